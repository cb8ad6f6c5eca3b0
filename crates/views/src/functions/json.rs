//! Values of JSON as texts: no number passes through a float.

use std::borrow::Cow;

use rusqlite::{Connection, Result};

use super::{PURE, failure, text};
use crate::parameter::{PathTree, Value};

/// The most steps of a path; JSON in events is not deeper.
const MAX_STEPS: usize = 128;

pub(super) fn add_to(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("json_text", 2, PURE, |context| {
        let pair = text(context, 0, "json_text")?.zip(text(context, 1, "json_text")?);
        let Some((json, path)) = pair else { return Ok(None) };
        let mut tree = PathTree::default();
        tree.slot(&steps(&path).map_err(failure)?);
        let found = tree
            .find(json.as_bytes())
            .map_err(|error| failure(format!("json_text got what is no JSON: {error}")))?;
        Ok(found.first().copied().flatten().and_then(text_of))
    })?;
    connection.create_scalar_function("has_tag", 2, PURE, |context| {
        let pair = text(context, 0, "has_tag")?.zip(text(context, 1, "has_tag")?);
        let Some((tags, tag)) = pair else { return Ok(None) };
        let tags: Vec<Cow<'_, str>> = serde_json::from_str(&tags)
            .map_err(|_| failure("has_tag takes the column tags, and a tag as key=value"))?;
        Ok(Some(tags.iter().any(|own| *own == tag)))
    })
}

/// Returns a value as text: a number as it is written, a list or object as JSON.
fn text_of(raw: &str) -> Option<String> {
    match (raw.as_bytes().first(), Value::of_json(raw)) {
        (Some(b'"'), Value::Text(text)) => Some(text.into_owned()),
        (_, Value::Null) => None,
        _ => Some(raw.to_owned()),
    }
}

/// Splits a path such as `$.a.b[0]."c d"`.
fn steps(path: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{:?} is no path: write $.name.name[0]", shortened(path));
    let mut rest = path.strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(quoted) = rest.strip_prefix(".\"") {
            quoted.split_once('"').ok_or_else(wrong)?
        } else if let Some(name) = rest.strip_prefix('.') {
            name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
        } else {
            let (number, after) =
                rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong());
            }
            (number, after)
        };
        if step.is_empty() || steps.len() == MAX_STEPS {
            return Err(wrong());
        }
        steps.push(step.to_owned());
        rest = after;
    }
    Ok(steps)
}

fn shortened(path: &str) -> String {
    path.chars().take(100).collect()
}
