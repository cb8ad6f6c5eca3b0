//! Drafts a mapping of lines or an array of JSON objects.

use super::guess::Values;
use super::page::Page;
use super::{DraftingError, SAMPLES};
use crate::input::Window;
use crate::ndjson::Records;
use serde_json::Value;
use std::convert::Infallible;

/// The longest record of a draft: the text is in memory anyway.
const LIMIT: usize = 1 << 20;
/// How deep objects are followed; what is deeper is a JSON value.
const MAX_DEPTH: usize = 4;

pub(super) fn draft(text: &str) -> Result<Page, DraftingError> {
    let mut records = Records::new(Window::new(text.as_bytes(), LIMIT), None);
    let (mut fields, mut count): (Vec<(String, Values)>, _) = (Vec::new(), 0);
    while count < SAMPLES && records.next::<Infallible>().unwrap_or(false) {
        // The last record may be cut.
        if let Ok(Value::Object(record)) = serde_json::from_slice(records.window.pinned()) {
            count += 1;
            for (name, value) in &record {
                add(&mut fields, &format!("/{}", escape(name)), value, 1);
            }
        }
    }
    if count == 0 {
        return Err(DraftingError("no line or element is a complete JSON object".to_owned()));
    }
    for (_, values) in &mut fields {
        values.records = count;
    }
    Ok(Page { format: "ndjson", section: String::new(), fields })
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn add(fields: &mut Vec<(String, Values)>, pointer: &str, value: &Value, depth: usize) {
    match value {
        Value::Object(inner) if depth < MAX_DEPTH && !inner.is_empty() => {
            for (name, value) in inner {
                add(fields, &format!("{pointer}/{}", escape(name)), value, depth + 1);
            }
            return;
        }
        Value::Null => return,
        _ => {}
    }
    let at = fields.iter().position(|(known, _)| known == pointer);
    let at = at.unwrap_or_else(|| {
        fields.push((pointer.to_owned(), Values::default()));
        fields.len() - 1
    });
    let Some((_, values)) = fields.get_mut(at) else { return };
    match value {
        Value::String(text) => values.add(text),
        Value::Object(_) | Value::Array(_) => {
            values.nested = true;
            values.add("nested");
        }
        other => values.add(&other.to_string()),
    }
}
