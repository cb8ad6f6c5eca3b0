//! From the version that was written to the version that is known.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::event::WrongShape;

/// One step: from a version of a shape to the next.
pub(crate) type Step<'a> = &'a dyn Fn(Value) -> Result<Value, String>;

/// Reads a payload of a version, taking it through the steps that are left to the known one.
pub fn decode<T: DeserializeOwned>(
    version: u16,
    known: u16,
    data: &[u8],
    steps: &[Step<'_>],
) -> Result<T, WrongShape> {
    // Whoever appends by hand need not know of versions.
    let version = version.max(1);
    if version > known {
        return Err(WrongShape::Newer { known, found: version });
    }
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

/// Makes a step of a function of any types.
pub fn upcast<A: DeserializeOwned, B: Serialize>(
    step: impl Fn(A) -> B,
    old: Value,
) -> Result<Value, String> {
    let old = serde_json::from_value(old).map_err(|error| error.to_string())?;
    serde_json::to_value(step(old)).map_err(|error| error.to_string())
}
