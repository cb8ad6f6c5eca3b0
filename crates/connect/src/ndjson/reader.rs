//! Turns JSON records into drafts. Numbers are kept as written and never become floats.

use super::records::Records;
use super::walk::{RawValues, Walk};
use crate::assemble::{Assembler, Lookup};
use crate::input::Window;
use crate::item::shown;
use crate::output::{Halt, Output};
use crate::plan::ndjson::NdjsonPlan;
use crate::plan::{Field, Plan};
use crate::reason::{Problem, Reason, too_large};
use serde::de::DeserializeSeed;
use std::borrow::Cow;
use std::io::Read;

pub(crate) fn read<R: Read, E>(
    plan: &Plan,
    pointers: &NdjsonPlan,
    input: R,
    out: &mut Output<'_, E>,
) -> Result<(), Halt<E>> {
    let mut records = Records::new(Window::new(input, plan.max_record_bytes), pointers.array);
    let mut assembler = Assembler::new(plan);
    let mut index = 0;
    while records.next()? {
        index += 1;
        let window = &mut records.window;
        let line = window.line();
        let checked = if window.is_too_large() {
            Err(too_large(window.limit()))
        } else {
            find(pointers, window.pinned()).and_then(|found| {
                let record = Record { fields: &plan.fields, plan: pointers, found };
                assembler.check(index, None, &record)
            })
        };
        let draft = checked.and_then(|()| assembler.draft(line, window.head().trim_end()));
        match draft {
            Ok(draft) => out.record(draft)?,
            Err(problem) => out.reject(line, problem, shown(window.head().trim_end()))?,
        }
    }
    Ok(())
}

fn find<'a>(plan: &NdjsonPlan, record: &'a [u8]) -> Result<RawValues<'a>, Problem> {
    let malformed = |message: String| Problem::new(Reason::MalformedRecord, message);
    let text = std::str::from_utf8(record)
        .map_err(|error| malformed(format!("The record is not UTF-8: {error}.")))?;
    let mut found = RawValues(vec![None; plan.slots]);
    let mut json = serde_json::Deserializer::from_str(text);
    Walk { node: &plan.root, found: &mut found }
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| malformed(format!("The record is not one JSON value: {error}.")))?;
    Ok(found)
}

/// Looks up the fields' values in one record.
struct Record<'a> {
    fields: &'a [Field],
    plan: &'a NdjsonPlan,
    found: RawValues<'a>,
}

impl Lookup for Record<'_> {
    fn find(&self, field: usize) -> Result<Option<Cow<'_, str>>, Problem> {
        for raw in self.plan.inputs[field].iter().filter_map(|slot| self.found.0[*slot]) {
            let value = scalar(&self.fields[field], raw)?;
            if !value.trim().is_empty() {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// Returns the text of a JSON string, number or boolean; `null` is empty. A string says itself where it begins
/// and ends, so white space belongs to it.
fn scalar<'a>(field: &Field, raw: &'a str) -> Result<Cow<'a, str>, Problem> {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|error| {
            let message = format!("The string {raw} cannot be read: {error}.");
            Problem::new(Reason::MalformedRecord, message)
        }),
        Some(b'{' | b'[') => {
            let kind = if raw.starts_with('{') { "an object" } else { "an array" };
            let message = format!(
                "Field '{}' must be a string, a number, true, false or null; its pointer leads to \
                 {kind}.",
                field.name
            );
            Err(Problem::new(Reason::NotAScalar, message))
        }
        Some(b'n') => Ok(Cow::Borrowed("")),
        _ => Ok(Cow::Borrowed(raw)),
    }
}
