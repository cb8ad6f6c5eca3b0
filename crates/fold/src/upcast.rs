//! Decodes payloads of older versions.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use leftfold_api::{BYTES, JSON};

use crate::event::WrongShape;
use crate::payload::Payload;

/// An upcast: converts a payload from one version to the next.
pub(crate) type Step<'a> = &'a dyn Fn(Value) -> Result<Value, String>;

/// Decodes a payload of a version, after upcasting it to the known version.
pub fn decode<T: DeserializeOwned>(
    version: u16,
    known: u16,
    payload: &Payload<'_>,
    steps: &[Step<'_>],
) -> Result<T, WrongShape> {
    // Events that were appended without a schema version have version 0; they count as version 1.
    let version = version.max(1);
    if version > known {
        return Err(WrongShape::Newer { known, found: version });
    }
    // Arbitrary bytes, the default of an append without this crate, may be JSON too.
    if !payload.is_json() && payload.content_type != BYTES {
        payload.expect(JSON)?;
    }
    let data = &payload.data;
    let wrong = |message: String| WrongShape::Payload {
        message: format!("its data is not version {version} of the event: {message}"),
    };
    if version == known {
        return serde_json::from_slice(data).map_err(|error| wrong(error.to_string()));
    }
    let mut value: Value =
        serde_json::from_slice(data).map_err(|error| wrong(error.to_string()))?;
    for step in steps.iter().skip(usize::from(version) - 1) {
        value = step(value).map_err(wrong)?;
    }
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

/// Runs an upcast function of any types that serde can read and write.
pub fn upcast<A: DeserializeOwned, B: Serialize>(
    step: impl Fn(A) -> B,
    old: Value,
) -> Result<Value, String> {
    let old = serde_json::from_value(old).map_err(|error| error.to_string())?;
    serde_json::to_value(step(old)).map_err(|error| error.to_string())
}
