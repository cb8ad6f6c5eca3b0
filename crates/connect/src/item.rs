//! The output of a reader: drafts of events, rejects, and a summary.

use crate::origin::Origin;
use crate::reason::{Reason, Warning};
use bytes::Bytes;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use uuid::Uuid;

/// The most bytes of a record's text that a [`Draft`] or [`Reject`] carries.
///
/// It is enough to recognise and repair an ordinary record. The bound keeps a file of huge broken
/// records from becoming a rejects file of the same size.
pub const MAX_SHOWN_BYTES: usize = 16 * 1024;

/// The mark behind a record's text that was cut at [`MAX_SHOWN_BYTES`].
pub const CUT_MARK: &str = "... [cut]";

/// One good record, ready to become an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The stream the event belongs to.
    pub stream: String,
    /// The event's type.
    pub event_type: String,
    /// The event's id, a UUIDv5 of the record's natural key: the same record has the same id.
    pub id: Uuid,
    /// The event time, in microseconds since 1970-01-01T00:00:00Z.
    pub event_time_micros: i64,
    /// What links it with other records of one matter.
    pub correlation: Option<String>,
    /// Tags, ordered by name.
    pub tags: Vec<(String, String)>,
    /// The payload: one JSON object.
    pub data: Bytes,
    /// How it is told from equal records, if the mapping's ids count them.
    pub occurrence: Option<Occurrence>,
    /// What is in doubt about it.
    pub warnings: Vec<Warning>,
    /// The line of the file, from 1, where the record begins.
    pub line: u64,
    /// The record's text in the file, in case the store refuses it; cut like [`Reject::record`].
    pub raw: RecordText,
}

/// One of several records that may be equal.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    /// The same for all equal records.
    pub kind: Uuid,
    /// Its number among the equal ones of its statement, from 1.
    pub number: u64,
    /// Its number among all equal ones of its stream, from 1: at first that in its statement.
    pub ordinal: u64,
    /// Its number in its statement, from 1.
    pub index: u64,
    /// Its statement.
    pub origin: Arc<Origin>,
    /// Fields that are no part of its content, by name.
    pub metadata: Vec<(String, String)>,
}

impl Occurrence {
    /// Returns the id of the n-th of all equal records of a stream.
    pub(crate) fn id(kind: Uuid, number: u64) -> Uuid {
        Uuid::new_v5(&kind, &number.to_le_bytes())
    }
}

/// The end of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEnd {
    /// Whether its balances hold; `None` if they could not be checked.
    pub balance_holds: Option<bool>,
}

/// A record's text, cut at [`MAX_SHOWN_BYTES`]. Several share one allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordText(pub(crate) Bytes);

impl Deref for RecordText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for RecordText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq<&str> for RecordText {
    fn eq(&self, other: &&str) -> bool {
        &**self == *other
    }
}

/// One refused record.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// The line of the file, from 1, where the record begins.
    pub line: u64,
    /// The stable reason.
    pub reason: Reason,
    /// A sentence that names the field, its value and what is allowed.
    pub message: String,
    /// The record's text: at most [`MAX_SHOWN_BYTES`], then [`CUT_MARK`] if it was cut. Empty for
    /// a [`Reason::BalanceMismatch`], which concerns a whole statement.
    pub record: String,
}

/// One result of the reader, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most items are records: a box would cost each of them"
)]
pub enum Item {
    /// A good record.
    Record(Draft),
    /// A refused record.
    Reject(Reject),
    /// The end of a statement, after all of its records.
    GroupEnd(GroupEnd),
}

/// Counts of what the reader found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadSummary {
    /// Bytes read from the input, before decoding.
    pub bytes: u64,
    /// Drafts delivered.
    pub records: u64,
    /// Rejects delivered, including those of whole statements and of the file.
    pub rejects: u64,
    /// Records, or parts of records, that a rule of the mapping skips.
    pub skipped: u64,
    /// Groups (statements) that ended.
    pub groups: u64,
    /// Groups whose balance was checked and holds.
    pub balances_held: u64,
    /// Groups whose balance was checked and does not hold; each is one reject too.
    pub balances_mismatched: u64,
    /// Groups with a balance rule that could not be checked: opening or closing balance missing,
    /// an entry refused, or sums beyond exact arithmetic.
    pub balances_unchecked: u64,
    /// Whether the reader reached the end of the input. If not, the last reject says why.
    pub complete: bool,
}

/// An error outside the file's content that stopped the reader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The input failed. Ingesting the file again is safe, because the ids are the same.
    #[error("reading the input failed; check the file and ingest it again: {0}")]
    Io(#[from] io::Error),
    /// The caller's sink refused an item.
    #[error("{0}")]
    Sink(E),
}

/// Returns `text` as rejects show it.
pub(crate) fn shown(text: &str) -> String {
    let (head, mark) = cut(text);
    [head, mark].concat()
}

/// Returns the start of `text` that rejects show, and the mark if the text was cut.
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
