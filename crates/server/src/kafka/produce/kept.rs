//! What a record has that an event has not: headers of its own, and the lack of a value. It is kept in the event's metadata,
//! as JSON, and consumers get it back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What the metadata begins with.
const START: &[u8] = b"{\"kafka\":{";

/// Headers that were sent, and whether there was no value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::kafka) struct Kept {
    headers: Vec<(String, Vec<u8>)>,
    tombstone: bool,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    kafka: Parts,
}

#[derive(Serialize, Deserialize)]
struct Parts {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, HeaderValue)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    tombstone: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum HeaderValue {
    Text(String),
    Bytes { base64: String },
}

impl Kept {
    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        self.headers.push((name.to_owned(), value.to_vec()));
    }

    pub(super) fn set_tombstone(&mut self) {
        self.tombstone = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty() && !self.tombstone
    }

    /// Whether the record had no value.
    pub(in crate::kafka) fn is_tombstone(&self) -> bool {
        self.tombstone
    }

    /// Whether a header was sent.
    pub(in crate::kafka) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(sent, _)| sent == name)
    }

    /// Returns the headers in the order in which they were sent.
    pub(in crate::kafka) fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice())))
    }

    /// Returns the metadata of the event.
    pub(super) fn into_metadata(self) -> Result<Bytes, serde_json::Error> {
        let headers = self.headers.into_iter().map(|(name, value)| {
            let value = match String::from_utf8(value) {
                Ok(text) => HeaderValue::Text(text),
                Err(error) => HeaderValue::Bytes { base64: STANDARD.encode(error.as_bytes()) },
            };
            (name, value)
        });
        let kafka = Parts { headers: headers.collect(), tombstone: self.tombstone };
        serde_json::to_vec(&Metadata { kafka }).map(Bytes::from)
    }
}

/// Reads the metadata of an event; `None` if it is none of a record.
pub(in crate::kafka) fn read(metadata: &[u8]) -> Option<Kept> {
    if !metadata.starts_with(START) {
        return None;
    }
    let Metadata { kafka } = serde_json::from_slice(metadata).ok()?;
    let headers = kafka.headers.into_iter().map(|(name, value)| {
        let value = match value {
            HeaderValue::Text(text) => text.into_bytes(),
            HeaderValue::Bytes { base64 } => STANDARD.decode(base64).ok()?,
        };
        Some((name, value))
    });
    Some(Kept { headers: headers.collect::<Option<_>>()?, tombstone: kafka.tombstone })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_read_back(
            headers in vec((".*", vec(any::<u8>(), 0..20)), 0..5),
            tombstone in any::<bool>(),
        ) {
            let mut kept = Kept { tombstone, ..Kept::default() };
            headers.iter().for_each(|(name, value)| kept.push(name, value));
            let metadata = kept.into_metadata().unwrap();
            let read = read(&metadata).unwrap();
            prop_assert_eq!(read, Kept { headers, tombstone });
        }
    }

    #[test]
    fn other_metadata_is_left_alone() {
        for metadata in ["", "{}", "{\"kafka\":1}", "{\"kafka\":{\"headers\":[1]}}", "{\"kafka\":{"]
        {
            assert_eq!(read(metadata.as_bytes()), None, "{metadata}");
        }
    }
}
