//! What a member reports about itself when it joins.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::MetadataError;

/// The most bytes of a report: over 10,000 copies.
const PROFILE_LIMIT: usize = 512 << 10;

/// The most bytes of an advertised URL.
const URL_LIMIT: usize = 2048;
/// The most bytes of an address for Kafka's clients: a name of DNS, and a port.
const KAFKA_LIMIT: usize = 300;

const VERSION: u32 = 1;
const WHAT: &str = "the report of a member";

/// What a member reports about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The URL under which other nodes and clients reach the node.
    pub url: String,
    /// The address at which Kafka's clients reach the node, as `host:port`, if they do.
    pub kafka: Option<String>,
    /// The node is about to leave and hands its partitions over.
    pub is_draining: bool,
    /// How far the node's copy of a partition is: the offset of the next record.
    pub copies: BTreeMap<u32, u64>,
    /// The partitions that the node owns, and the term of its claim; 0 if it has not claimed the partition yet.
    pub owned: BTreeMap<u32, u64>,
    /// The partitions that the node can't serve, because its own copy keeps failing.
    pub unfit: BTreeSet<u32>,
}

/// The bytes: JSON, so that Kafka's tools show it. Unknown fields are ignored: a leader of an earlier release reads
/// version 1 without `unfit`, and leaves such a partition where it is; and without `kafka`, so its routes have none.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    version: u32,
    #[serde(borrow)]
    url: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kafka: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    draining: bool,
    #[serde(default)]
    copies: Vec<(u32, u64)>,
    #[serde(default)]
    owned: Vec<(u32, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unfit: Vec<u32>,
}

#[derive(Deserialize)]
pub(super) struct Versioned {
    pub(super) version: u32,
}

impl Profile {
    /// Encodes the report.
    ///
    /// # Errors
    /// The report or the URL is too large.
    pub fn encode(&self) -> Result<Bytes, MetadataError> {
        check_addresses(&self.url, self.kafka.as_deref())?;
        let wire = Wire {
            version: VERSION,
            url: self.url.as_str().into(),
            kafka: self.kafka.clone(),
            draining: self.is_draining,
            copies: self.copies.iter().map(|(&partition, &offset)| (partition, offset)).collect(),
            owned: self.owned.iter().map(|(&partition, &term)| (partition, term)).collect(),
            unfit: self.unfit.iter().copied().collect(),
        };
        let bytes = serde_json::to_vec(&wire).map_err(|e| MetadataError::malformed(WHAT, e))?;
        check_size(WHAT, bytes.len(), PROFILE_LIMIT)?;
        Ok(bytes.into())
    }

    /// Decodes a report.
    ///
    /// # Errors
    /// The bytes are too many, not a report, or of an unknown version.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetadataError> {
        check_size(WHAT, bytes.len(), PROFILE_LIMIT)?;
        check_version(WHAT, bytes, VERSION)?;
        let wire: Wire<'_> =
            serde_json::from_slice(bytes).map_err(|e| MetadataError::malformed(WHAT, e))?;
        check_addresses(&wire.url, wire.kafka.as_deref())?;
        Ok(Profile {
            url: wire.url.into_owned(),
            kafka: wire.kafka,
            is_draining: wire.draining,
            copies: wire.copies.into_iter().collect(),
            owned: wire.owned.into_iter().collect(),
            unfit: wire.unfit.into_iter().collect(),
        })
    }
}

/// Checks the addresses of a node.
pub(super) fn check_addresses(url: &str, kafka: Option<&str>) -> Result<(), MetadataError> {
    check_size("the advertised URL", url.len(), URL_LIMIT)?;
    check_size("the address for Kafka's clients", kafka.map_or(0, str::len), KAFKA_LIMIT)
}

pub(super) fn check_size(
    what: &'static str,
    size: usize,
    limit: usize,
) -> Result<(), MetadataError> {
    if size > limit { Err(MetadataError::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// Checks the version before anything else, because later versions may look different.
pub(super) fn check_version(
    what: &'static str,
    json: &[u8],
    expected: u32,
) -> Result<(), MetadataError> {
    let Versioned { version: found } =
        serde_json::from_slice(json).map_err(|e| MetadataError::malformed(what, e))?;
    if found == expected { Ok(()) } else { Err(MetadataError::Version { what, found, expected }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_of_version_1_stay_readable() {
        let json = br#"{"version":1,"url":"http:\/\/a","draining":true,"copies":[[0,7],[3,9]],
            "owned":[[3,2]],"later":{"x":1}}"#;
        let profile = Profile::decode(json).unwrap();
        let expected = Profile {
            url: "http://a".to_owned(),
            kafka: None,
            is_draining: true,
            copies: [(0, 7), (3, 9)].into(),
            owned: [(3, 2)].into(),
            unfit: BTreeSet::new(),
        };
        assert_eq!(profile, expected);
        assert_eq!(Profile::decode(br#"{"version":1,"url":""}"#).unwrap(), Profile::default());
        let profile = Profile::decode(br#"{"version":1,"url":"","unfit":[4,2]}"#).unwrap();
        assert_eq!(profile, Profile { unfit: [2, 4].into(), ..Profile::default() });
        let profile = Profile::decode(br#"{"version":1,"url":"","kafka":"a:9092"}"#).unwrap();
        assert_eq!(profile, Profile { kafka: Some("a:9092".to_owned()), ..Profile::default() });
        // What is sound is not reported, so the bytes are those that earlier releases write.
        let bytes = Profile::default().encode().unwrap();
        assert_eq!(&bytes[..], br#"{"version":1,"url":"","copies":[],"owned":[]}"#);
    }

    #[test]
    fn bad_reports_are_refused() {
        let long = "u".repeat(URL_LIMIT + 1);
        let cases = [
            (r#"{"version":9,"url":7}"#.to_owned(), "has version 9, expected 1"),
            (r#"{"url":""}"#.to_owned(), "missing field `version`"),
            (r#"{"version":1,"url":"","copies":[[-1,2]]}"#.to_owned(), "cannot be read"),
            (r#"{"version":1,"url":"","owned":{"a":1}}"#.to_owned(), "cannot be read"),
            (r#"{"version":1,"url":"","unfit":[-1]}"#.to_owned(), "cannot be read"),
            (format!(r#"{{"version":1,"url":"{long}"}}"#), "URL has 2049 bytes"),
            (format!(r#"{{"version":1,"url":"","kafka":"{long}"}}"#), "clients has 2049 bytes"),
            (" ".repeat(PROFILE_LIMIT + 1), "expected at most"),
            ("[".repeat(100_000), "cannot be read"),
        ];
        for (json, expected) in cases {
            let error = Profile::decode(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Profile { url: long.clone(), ..Profile::default() }.encode().is_err());
        assert!(Profile { kafka: Some(long), ..Profile::default() }.encode().is_err());
    }

    proptest! {
        #[test]
        fn reports_survive_their_bytes(
            url in ".{0,40}", kafka in prop::option::of(".{0,40}"), is_draining: bool,
            copies in prop::collection::btree_map(any::<u32>(), any::<u64>(), 0..20),
            owned in prop::collection::btree_map(any::<u32>(), any::<u64>(), 0..20),
            unfit in prop::collection::btree_set(any::<u32>(), 0..20),
        ) {
            let profile = Profile { url, kafka, is_draining, copies, owned, unfit };
            prop_assert_eq!(Profile::decode(&profile.encode().unwrap()).unwrap(), profile);
        }
    }
}
