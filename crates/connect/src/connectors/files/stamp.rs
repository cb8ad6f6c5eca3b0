//! By what a change of a file is noticed.

use std::fs::Metadata;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// The size of a file and the time of its last change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Its bytes, as they are on disk.
    pub(crate) bytes: u64,
    /// When it was changed, in microseconds since 1970.
    pub(crate) modified: i64,
}

impl Stamp {
    pub(super) fn of(about: &Metadata) -> Self {
        let micros =
            |since: std::time::Duration| i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let modified = match about.modified().map(|time| time.duration_since(UNIX_EPOCH)) {
            Ok(Ok(since)) => micros(since),
            Ok(Err(before)) => micros(before.duration()).saturating_neg(),
            // A file system without such times: then only the size tells.
            Err(_) => 0,
        };
        Stamp { bytes: about.len(), modified }
    }
}
