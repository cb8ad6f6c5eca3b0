//! Checks the body of a request before it is decoded.
//!
//! The decoder reserves the memory of an array for the length that the client claims, before it reads the
//! first element: a request of a few bytes could make it ask for hundreds of gigabytes. The guard walks
//! through the body by the layout of the request. It allocates nothing, and accepts only what the decoder
//! decodes whole.
//!
//! `requests/` has the layouts, written as in Kafka's own message files; tests hold them against the decoder.

mod layout;
mod requests;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
#[cfg(test)]
mod tests;
mod walk;

use thiserror::Error;

use super::versions::SupportedRequest;
use layout::Encoding;
use walk::Walk;

/// The limits of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a string. The caller bounds names further.
    pub string_bytes: usize,
    /// The most tagged fields of a struct.
    pub tags: usize,
    /// The most memory of a decoded request, as [`Weight::decoded`] counts it.
    pub decoded_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { string_bytes: 32 << 10, tags: 16, decoded_bytes: 64 << 20 }
    }
}

/// The memory that a request takes, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Bytes of the decoded message besides the body: its structs, and copies of its strings and byte fields.
    /// Records are not counted, as they stay slices of the body.
    pub decoded: usize,
}

/// A request that is not decoded, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The server does not decode this version of this request.
    #[error("expected a supported request, found API key {api_key} version {version}")]
    UnsupportedVersion {
        /// The number of the kind of request.
        api_key: i16,
        /// The version.
        version: i16,
    },
    /// The body ends too early.
    #[error("the request ends within {field}")]
    Truncated {
        /// The field, or the struct whose tagged fields these are.
        field: &'static str,
    },
    /// Bytes follow the request.
    #[error("expected the end of the request, found {0} more bytes")]
    TrailingBytes(usize),
    /// A length is negative, or null where the field cannot be null.
    #[error("the length of {field} is invalid")]
    InvalidLength {
        /// The field, or the struct whose tagged fields these are.
        field: &'static str,
    },
    /// A string is longer than [`Limits::string_bytes`].
    #[error("{field} has {found} bytes; at most {limit} are allowed")]
    StringTooLong {
        /// The field.
        field: &'static str,
        /// The length.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A string is no UTF-8.
    #[error("expected UTF-8 in {field}")]
    InvalidText {
        /// The field.
        field: &'static str,
    },
    /// An array has more elements than the rest of the body can hold.
    #[error("{field} claims {found} elements; the {left} bytes left cannot hold them")]
    ArrayTooLong {
        /// The field.
        field: &'static str,
        /// The claimed elements.
        found: usize,
        /// The bytes left.
        left: usize,
    },
    /// A struct has more tagged fields than [`Limits::tags`].
    #[error("{name} has {found} tagged fields; at most {limit} are allowed")]
    TooManyTags {
        /// The struct.
        name: &'static str,
        /// The number of tagged fields.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The value of a tagged field does not fill its length, or the version has no such field.
    #[error("the tagged field {field} is invalid in this version")]
    InvalidTag {
        /// The field.
        field: &'static str,
    },
    /// The decoded request would take more than [`Limits::decoded_bytes`].
    #[error("the request would take more than {0} bytes of memory")]
    TooLarge(usize),
}

/// Checks whether the body of a request may be decoded; returns the memory that this takes.
///
/// The decoder then decodes an accepted body without an error, and leaves no byte of it. It must decode from
/// [`Bytes`](bytes::Bytes): from other buffers it copies all strings and records.
///
/// # Errors
/// The body is malformed or exceeds a limit.
pub fn check(api_key: i16, version: i16, body: &[u8], limits: &Limits) -> Result<Weight, Refusal> {
    let unsupported = Refusal::UnsupportedVersion { api_key, version };
    let request = SupportedRequest::of(api_key).filter(|request| request.is_decoded(version));
    let request = request.ok_or(unsupported)?;
    let shape = requests::shape(api_key).ok_or(unsupported)?;
    let encoding = Encoding { version, is_flexible: request.is_flexible(version) };
    Walk::new(body, encoding, limits).request(shape)
}
