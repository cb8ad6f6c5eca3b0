//! Functions that the derive's code calls. Not a public interface.

pub use crate::upcast::{decode, upcast};
pub use serde;
pub use serde::de::IgnoredAny as Anything;

use crate::event::Unencodable;

/// Encodes a payload as JSON.
pub fn encode(payload: &impl serde::Serialize) -> Result<Vec<u8>, Unencodable> {
    serde_json::to_vec(payload).map_err(|error| Unencodable { message: error.to_string() })
}
