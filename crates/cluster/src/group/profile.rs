//! What a member reports about itself when it joins.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::MetadataError;

/// The most bytes of a report: over 10,000 copies.
const PROFILE_LIMIT: usize = 512 << 10;

/// The most bytes of an advertised URL.
pub(super) const URL_LIMIT: usize = 2048;

const VERSION: u32 = 1;
const WHAT: &str = "the report of a member";

/// What a member reports about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The URL under which other nodes and clients reach the node.
    pub url: String,
    /// The node is about to leave and hands its partitions over.
    pub is_draining: bool,
    /// How far the node's copy of a partition is: the offset of the next record.
    pub copies: BTreeMap<u32, u64>,
    /// The partitions that the node owns, and the term of its claim; 0 if it has not claimed the partition yet.
    pub owned: BTreeMap<u32, u64>,
}

/// The bytes: JSON, so that Kafka's tools show it. Unknown fields are ignored.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    version: u32,
    #[serde(borrow)]
    url: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    draining: bool,
    #[serde(default)]
    copies: Vec<(u32, u64)>,
    #[serde(default)]
    owned: Vec<(u32, u64)>,
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
        check_size("the advertised URL", self.url.len(), URL_LIMIT)?;
        let wire = Wire {
            version: VERSION,
            url: self.url.as_str().into(),
            draining: self.is_draining,
            copies: self.copies.iter().map(|(&partition, &offset)| (partition, offset)).collect(),
            owned: self.owned.iter().map(|(&partition, &term)| (partition, term)).collect(),
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
        check_size("the advertised URL", wire.url.len(), URL_LIMIT)?;
        Ok(Profile {
            url: wire.url.into_owned(),
            is_draining: wire.draining,
            copies: wire.copies.into_iter().collect(),
            owned: wire.owned.into_iter().collect(),
        })
    }
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
