//! What the derive's code calls. Not for use by hand.

pub use crate::upcast::{decode, upcast};
pub use serde;
pub use serde::de::IgnoredAny as Anything;

use crate::event::Unencodable;

/// Writes a payload.
pub fn encode(payload: &impl serde::Serialize) -> Result<Vec<u8>, Unencodable> {
    serde_json::to_vec(payload).map_err(|error| Unencodable { message: error.to_string() })
}
