//! What reading a file gives: drafts of events, refusals, and a summary.

use crate::reason::Reason;
use bytes::Bytes;
use std::fmt;
use std::io;
use std::ops::Deref;
use uuid::Uuid;

/// The most of a record's text that a [`Draft`] or [`Reject`] carries along.
///
/// Enough to recognise and repair any ordinary record; a bound so that a file of huge broken
/// records does not become a rejects file of the same size.
pub const MAX_SHOWN_BYTES: usize = 16 * 1024;

/// What follows a record's text when it was cut at [`MAX_SHOWN_BYTES`].
pub const CUT_MARK: &str = "... [cut]";

/// One good record, ready to become an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The stream the event belongs to.
    pub stream: String,
    /// The event's type.
    pub event_type: String,
    /// UUIDv5 of the record's natural key: the same record always gets the same id.
    pub id: Uuid,
    /// When it happened, in microseconds since 1970-01-01T00:00:00Z.
    pub event_time_micros: i64,
    /// Tags, ordered by name.
    pub tags: Vec<(String, String)>,
    /// The payload: one JSON object.
    pub data: Bytes,
    /// The line of the file, counted from 1, where the record begins.
    pub line: u64,
    /// The record as it stood in the file, for a refusal that comes later; cut like
    /// [`Reject::record`].
    pub raw: Shown,
}

/// A record's text, cut at [`MAX_SHOWN_BYTES`]; many of them share one piece of memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(pub(crate) Bytes);

impl Deref for Shown {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq<&str> for Shown {
    fn eq(&self, other: &&str) -> bool {
        &**self == *other
    }
}

/// One refused record.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// The line of the file, counted from 1, where the record begins.
    pub line: u64,
    /// The stable reason.
    pub reason: Reason,
    /// A sentence: which field, what is wrong with it, what is allowed.
    pub message: String,
    /// The record's text, at most [`MAX_SHOWN_BYTES`] of it and then [`CUT_MARK`]. Empty for a
    /// [`Reason::BalanceMismatch`], which is about a whole statement.
    pub record: String,
}

/// What the reader hands to its caller, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A good record.
    Record(Draft),
    /// A refused one.
    Reject(Reject),
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadSummary {
    /// Bytes taken from the input, before any decoding.
    pub bytes: u64,
    /// Drafts delivered.
    pub records: u64,
    /// Rejects delivered, those about whole statements and the file included.
    pub rejects: u64,
    /// Groups (statements) that ended.
    pub groups: u64,
    /// Groups whose balance was checked and holds.
    pub balances_held: u64,
    /// Groups whose balance was checked and does not hold; each is one reject too.
    pub balances_mismatched: u64,
    /// Groups with a balance rule that could not be checked: opening or closing balance missing,
    /// an entry refused, or sums beyond exact arithmetic.
    pub balances_unchecked: u64,
    /// Whether the input was read to its end. If not, the last reject says why.
    pub complete: bool,
}

/// Reading had to stop for a reason that lies outside the file's content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError<E> {
    /// The input failed. Ingesting the file again is safe: ids are the same every time.
    #[error("reading the input failed; check the file and ingest it again: {0}")]
    Io(#[from] io::Error),
    /// The caller's sink refused an item.
    #[error("{0}")]
    Sink(E),
}

/// `text` as it is shown in rejects.
pub(crate) fn shown(text: &str) -> String {
    let (head, mark) = cut(text);
    [head, mark].concat()
}

/// What is shown of `text`, and the mark behind it if that is not all.
pub(crate) fn cut(text: &str) -> (&str, &str) {
    if text.len() <= MAX_SHOWN_BYTES {
        return (text, "");
    }
    let mut cut = MAX_SHOWN_BYTES;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    (&text[..cut], CUT_MARK)
}
