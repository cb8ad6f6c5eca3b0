//! Functions that the derive's code calls. Not a public interface.

pub use crate::event_query::{select_tagged, select_types};
pub use crate::upcast::{decode, upcast};
pub use serde;
pub use serde::de::IgnoredAny as Anything;

use std::fmt::Display;

use crate::event::Unencodable;
use crate::payload::Payload;

/// Encodes a payload as JSON.
pub fn encode(payload: &impl serde::Serialize) -> Result<Payload<'static>, Unencodable> {
    serde_json::to_vec(payload)
        .map(Payload::json)
        .map_err(|error| Unencodable { message: error.to_string() })
}

/// Adds a tag, unless there is an equal one.
pub fn add_tag(tags: &mut Vec<(String, String)>, key: &str, value: &impl Display) {
    let value = value.to_string();
    if !tags.iter().any(|tag| tag.0 == key && tag.1 == value) {
        tags.push((key.to_owned(), value));
    }
}
