//! Turns JSON records into drafts. Numbers are kept as written and never become floats.

use super::records::Records;
use super::walk::{RawValues, Walk};
use crate::assemble::{Assembler, Lookup};
use crate::input::Window;
use crate::item::{Draft, shown};
use crate::output::{Halt, Output};
use crate::plan::ndjson::{NdjsonPlan, Node};
use crate::plan::{Field, Kind, Plan};
use crate::reason::{Problem, Reason, too_large};
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Read;

pub(crate) fn read<R: Read, E>(
    plan: &Plan,
    pointers: &NdjsonPlan,
    input: R,
    out: &mut Output<'_, E>,
) -> Result<(), Halt<E>> {
    let mut records = Records::new(Window::new(input, plan.max_record_bytes), pointers.array);
    let mut emitter = Emitter { plan, pointers, assembler: Assembler::new(plan), index: 0 };
    while records.next()? {
        emitter.index += 1;
        let window = &mut records.window;
        let line = window.line();
        let head = window.head();
        let found = match window.is_too_large() {
            true => Err(too_large(window.limit())),
            false => find(pointers, window.pinned()),
        };
        match found {
            Ok(found) => emitter.record(found, line, head.trim_end(), out)?,
            Err(problem) => out.reject(line, problem, shown(head.trim_end()))?,
        }
    }
    Ok(())
}

/// Emits the drafts of a record: one, or one for each element of its list.
struct Emitter<'m> {
    plan: &'m Plan,
    pointers: &'m NdjsonPlan,
    assembler: Assembler<'m>,
    /// The number of the current record, from 1.
    index: u64,
}

impl Emitter<'_> {
    fn record<E>(
        &mut self,
        found: RawValues<'_>,
        line: u64,
        raw: &str,
        out: &mut Output<'_, E>,
    ) -> Result<(), Halt<E>> {
        let parts = match parts(self.pointers, &found) {
            Ok(parts) => parts,
            Err(problem) => return out.reject(line, problem, shown(raw)),
        };
        let mut record = Record { plan: self.plan, pointers: self.pointers, found };
        if parts.is_empty() {
            return emit(self.draft(&record, None, line, raw), line, raw, out);
        }
        // All parts are checked before the first is emitted: a record is accepted or refused as a whole.
        for (at, part) in parts.iter().enumerate() {
            let draft = record.enter(part).and_then(|()| self.draft(&record, Some(at), line, raw));
            if draft.as_ref().is_err_and(|problem| !problem.is_skip()) {
                return emit(draft, line, raw, out);
            }
        }
        for (at, part) in parts.iter().enumerate() {
            let draft = record.enter(part).and_then(|()| self.draft(&record, Some(at), line, raw));
            emit(draft, line, raw, out)?;
        }
        Ok(())
    }

    fn draft(
        &mut self,
        record: &Record<'_>,
        part: Option<usize>,
        line: u64,
        raw: &str,
    ) -> Result<Draft, Problem> {
        self.assembler.check(self.index, part.map(|part| part + 1), record)?;
        self.assembler.draft(line, raw)
    }
}

fn emit<E>(
    draft: Result<Draft, Problem>,
    line: u64,
    raw: &str,
    out: &mut Output<'_, E>,
) -> Result<(), Halt<E>> {
    match draft {
        Ok(draft) => out.record(draft),
        Err(problem) => out.reject(line, problem, shown(raw)),
    }
}

fn find<'a>(plan: &NdjsonPlan, record: &'a [u8]) -> Result<RawValues<'a>, Problem> {
    let malformed = |message: String| Problem::new(Reason::MalformedRecord, message);
    let text = std::str::from_utf8(record)
        .map_err(|error| malformed(format!("The record is not UTF-8: {error}.")))?;
    let mut found = RawValues(vec![None; plan.slots]);
    walk(&plan.root, text, &mut found)?;
    Ok(found)
}

/// Fills the slots of the pointers below `root` from one JSON value.
fn walk<'a>(root: &Node, text: &'a str, found: &mut RawValues<'a>) -> Result<(), Problem> {
    let mut json = serde_json::Deserializer::from_str(text);
    let walked = Walk { node: root, found }.deserialize(&mut json).and_then(|()| json.end());
    walked.map_err(|error| {
        let message = format!("The record is not one JSON value: {error}.");
        Problem::new(Reason::MalformedRecord, message)
    })
}

/// Returns the elements of the list that the mapping splits; an absent list has none.
fn parts<'a>(plan: &NdjsonPlan, found: &RawValues<'a>) -> Result<Vec<&'a RawValue>, Problem> {
    let Some(split) = &plan.split else { return Ok(Vec::new()) };
    let Some(list) = found.0[split.list].filter(|list| *list != "null") else {
        return Ok(Vec::new());
    };
    serde_json::from_str(list).map_err(|error| {
        let message =
            format!("The value at {} is split, so it must be an array: {error}.", split.pointer);
        Problem::new(Reason::MalformedRecord, message)
    })
}

/// Looks up the fields' values in one record.
struct Record<'a> {
    plan: &'a Plan,
    pointers: &'a NdjsonPlan,
    found: RawValues<'a>,
}

impl<'a> Record<'a> {
    /// Replaces the values of the last part by those of `part`.
    fn enter(&mut self, part: &'a RawValue) -> Result<(), Problem> {
        let Some(split) = &self.pointers.split else { return Ok(()) };
        for slot in &split.slots {
            self.found.0[*slot] = None;
        }
        walk(&split.root, part.get(), &mut self.found)
    }
}

impl Lookup for Record<'_> {
    fn find(&self, field: usize) -> Result<Option<Cow<'_, str>>, Problem> {
        for raw in self.pointers.inputs[field].iter().filter_map(|slot| self.found.0[*slot]) {
            let value = match &self.plan.fields[field] {
                Field { kind: Kind::Json, .. } if self.plan.whole == Some(field) => object(raw)?,
                Field { kind: Kind::Json, .. } if raw == "null" => Cow::Borrowed(""),
                Field { kind: Kind::Json, .. } => Cow::Borrowed(raw),
                scalar_field => scalar(scalar_field, raw)?,
            };
            if !value.trim().is_empty() {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// Returns a record that is the payload, or the problem if it is not an object.
fn object(raw: &str) -> Result<Cow<'_, str>, Problem> {
    if raw.starts_with('{') {
        return Ok(Cow::Borrowed(raw));
    }
    let message = "The record is the payload, so it must be a JSON object.";
    Err(Problem::new(Reason::MalformedRecord, message))
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
