use std::fmt;

use axum::http::{HeaderName, HeaderValue, Request};
use uuid::Uuid;

/// The longest id that is accepted from a request.
const LONGEST: usize = 128;

/// Names a request in logs and in its answer: the client's own, if it sent one that fits.
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let given = request.headers().get(Self::HEADER);
        let fits = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(is_usual)
        };
        given.filter(fits).cloned().map_or_else(RequestId::new, RequestId)
    }

    /// Returns a new id.
    pub(super) fn new() -> Self {
        let text = Uuid::new_v4().simple().to_string();
        RequestId(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none")))
    }

    pub(super) fn into_value(self) -> HeaderValue {
        self.0
    }
}

/// Returns whether a byte is one of usual ids, none of which ends a value in a line of the log.
fn is_usual(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}
