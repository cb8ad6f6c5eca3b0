//! Reads NDJSON: one JSON value per line. Numbers are kept as written and never become floats.

use crate::assemble::{Assembler, Lookup};
use crate::input::{Fill, Window};
use crate::item::shown;
use crate::output::{Halt, Output};
use crate::plan::Plan;
use crate::plan::ndjson::{NdjsonPlan, Node};
use crate::reason::{Problem, Reason, too_large};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

/// The values of one line, as JSON text, by slot.
struct RawValues<'a>(Vec<Option<&'a str>>);

pub(crate) fn read<R: Read, E>(
    plan: &Plan,
    pointers: &NdjsonPlan,
    input: R,
    out: &mut Output<'_, E>,
) -> Result<(), Halt<E>> {
    let mut window = Window::new(input, plan.max_record_bytes);
    let mut assembler = Assembler::new(plan);
    let mut index = 0;
    while next_line(&mut window)? {
        if window.pinned().trim_ascii().is_empty() && !window.is_lost() {
            continue;
        }
        index += 1;
        let line = window.line();
        let checked = if window.is_too_large() {
            Err(too_large(window.limit()))
        } else {
            find(pointers, window.pinned())
                .and_then(|found| assembler.check(index, None, &Line { plan: pointers, found }))
        };
        let draft = checked.and_then(|()| assembler.draft(line, window.head().trim_end()));
        match draft {
            Ok(draft) => out.record(draft)?,
            Err(problem) => out.reject(line, problem, shown(window.head().trim_end()))?,
        }
    }
    Ok(())
}

/// Pins the next line; returns false at the end of the file.
fn next_line<R: Read>(window: &mut Window<R>) -> io::Result<bool> {
    window.pin();
    loop {
        let rest = window.rest();
        if let Some(at) = memchr::memchr(b'\n', rest) {
            window.advance(at + 1);
            return Ok(true);
        }
        window.advance(rest.len());
        match window.more()? {
            Fill::More => {}
            Fill::End => return Ok(window.is_lost() || window.offset() > 0),
            Fill::Full => window.drop_record(),
        }
    }
}

fn find<'a>(plan: &NdjsonPlan, line: &'a [u8]) -> Result<RawValues<'a>, Problem> {
    let malformed = |message: String| Problem::new(Reason::MalformedRecord, message);
    let text = std::str::from_utf8(line)
        .map_err(|error| malformed(format!("The line is not UTF-8: {error}.")))?;
    let mut found = RawValues(vec![None; plan.slots]);
    let mut json = serde_json::Deserializer::from_str(text);
    Walk { node: &plan.root, found: &mut found }
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| malformed(format!("The line is not one JSON value: {error}.")))?;
    Ok(found)
}

/// Looks up the fields' values in one line.
struct Line<'a> {
    plan: &'a NdjsonPlan,
    found: RawValues<'a>,
}

impl Lookup for Line<'_> {
    fn find(&self, field: usize) -> Result<Option<Cow<'_, str>>, Problem> {
        for raw in self.plan.inputs[field].iter().filter_map(|slot| self.found.0[*slot]) {
            let value = scalar(raw)?;
            if !value.trim().is_empty() {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// Returns the text of a JSON string, number or boolean; `null` is empty. A string says itself where it begins
/// and ends, so white space belongs to it.
fn scalar(raw: &str) -> Result<Cow<'_, str>, Problem> {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|error| {
            let message = format!("The string {raw} cannot be read: {error}.");
            Problem::new(Reason::MalformedRecord, message)
        }),
        Some(b'{' | b'[') => {
            let message = "A field's pointer leads to a JSON object or array; it must lead to a \
                           string, a number, true, false or null.";
            Err(Problem::new(Reason::NotAScalar, message))
        }
        Some(b'n') => Ok(Cow::Borrowed("")),
        _ => Ok(Cow::Borrowed(raw)),
    }
}

/// Descends only along the pointers and skips everything else.
struct Walk<'p, 'f, 'a> {
    node: &'p Node,
    found: &'f mut RawValues<'a>,
}

impl<'a> DeserializeSeed<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, input: D) -> Result<(), D::Error> {
        if self.node.slots.is_empty() {
            return input.deserialize_any(self);
        }
        let raw: &'a RawValue = serde::Deserialize::deserialize(input)?;
        for slot in &self.node.slots {
            self.found.0[*slot] = Some(raw.get());
        }
        if self.node.children.is_empty() {
            return Ok(());
        }
        let mut inner = serde_json::Deserializer::from_str(raw.get());
        inner.deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'a> Visitor<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = vec![false; self.node.children.len()];
        while let Some(key) = map.next_key::<Cow<'a, str>>()? {
            let place = self.node.children.iter().position(|(child, _)| *child == key);
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if std::mem::replace(&mut seen[place], true) {
                return Err(A::Error::custom(format!("the key '{key}' occurs twice")));
            }
            let node = &self.node.children[place].1;
            map.next_value_seed(Walk { node, found: &mut *self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        for place in 0_usize.. {
            let more = match self.node.child(&place.to_string()) {
                Some(node) => seq.next_element_seed(Walk { node, found: &mut *self.found })?,
                None => seq.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}
