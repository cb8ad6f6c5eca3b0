//! What tells the commands of one id apart: a digest in the metadata of their events.

use std::any::type_name;
use std::collections::BTreeMap;

use leftfold_api::Recorded;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::command::Command;
use crate::event::Unencodable;
use crate::reads::Reads;

/// The key of the digest in the metadata of a command's events.
pub(crate) const DIGEST: &str = "$command_digest";
/// The bytes of the digest; equal digests of different commands are as rare as equal random ids.
const BYTES: usize = 16;

/// Returns the digest of a command: of its type's name, the streams that it reads, and its JSON.
///
/// The text of a query is left out, because it changes with the program: a new event type of an
/// enum must not turn a repeated command into another one.
pub(crate) fn digest_of<C: Command + Serialize>(command: &C) -> Result<String, Unencodable> {
    let unencodable = |error: serde_json::Error| Unencodable { message: error.to_string() };
    let json = serde_json::to_vec(command).map_err(unencodable)?;
    let value: &RawValue = serde_json::from_slice(&json).map_err(unencodable)?;
    let mut text = String::new();
    write_text(&mut text, name_of::<C>());
    for source in command.reads().sources() {
        write_text(&mut text, source.stream.as_deref().unwrap_or_default());
    }
    write_value(&mut text, value).map_err(unencodable)?;
    let digest = Sha256::digest(text.as_bytes());
    Ok(digest.iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect())
}

/// Returns the digest that a stored event carries; those of earlier releases have none.
pub(crate) fn stored_digest(event: &Recorded) -> Option<String> {
    let metadata: Value = serde_json::from_slice(&event.metadata()).ok()?;
    metadata.get(DIGEST)?.as_str().map(str::to_owned)
}

/// Returns the name of a type without its path and its parameters, which vary between compilers.
pub(crate) fn name_of<C>() -> &'static str {
    let name = type_name::<C>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// Writes a text with its length, so that no two lists of texts are written alike.
fn write_text(into: &mut String, text: &str) {
    *into += &format!("{}:{text}", text.len());
}

/// Writes a JSON value with the keys of its objects in order: a hash map has none. Numbers are written as they stand,
/// because not every one of them survives being read.
fn write_value(into: &mut String, value: &RawValue) -> Result<(), serde_json::Error> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            *into += &format!("{{{}", fields.len());
            for (key, value) in fields {
                write_text(into, &key);
                write_value(into, value)?;
            }
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text)?;
            *into += &format!("[{}", values.len());
            for value in values {
                write_value(into, value)?;
            }
        }
        _ => write_text(into, text),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_an_objects_keys_does_not_count_and_everything_else_does() {
        let text = |json: &str| {
            let mut text = String::new();
            write_value(&mut text, serde_json::from_str(json).unwrap()).unwrap();
            text
        };
        assert_eq!(text(r#"{"a":1,"b":[2,{}]}"#), text(r#"{"b":[2,{}],"a":1}"#));
        let values = [
            "{}",
            "[]",
            "null",
            "0",
            "\"0\"",
            "[0]",
            "[[]]",
            "18446744073709551617",
            "18446744073709551618",
            r#"{"a":1}"#,
            r#"{"a":[1]}"#,
        ];
        let texts: std::collections::BTreeSet<_> = values.into_iter().map(text).collect();
        assert_eq!(texts.len(), values.len());
    }

    #[test]
    fn a_types_name_has_no_path_and_no_parameters() {
        assert_eq!(name_of::<Option<std::string::String>>(), "Option");
        assert_eq!(name_of::<std::string::String>(), "String");
    }
}
