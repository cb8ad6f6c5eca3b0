//! One error type per operation. Each has a stable code; a refusal of bad input, a conflict and a
//! broken store are three different things.

use std::fmt;

use thiserror::Error;

use crate::cursor::Cursor;

/// Input that can't be taken. Nothing was changed; trying again is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Invalid {
    /// A stable code, such as `name_invalid`.
    pub code: &'static str,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Invalid {
    /// Input that can't be taken, with a code of [`CODES`](crate::CODES) and a sentence.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Invalid { code, message: message.into() }
    }
}

/// The store can't do what was asked, though nothing is wrong with the input.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Stored bytes are not what was written.
    #[error("{message}")]
    Damaged {
        /// Which file, where, and what to do.
        message: String,
    },
    /// Bytes of the index are not what was written.
    #[error("{message}")]
    IndexDamaged {
        /// Which file, where, and what to do.
        message: String,
    },
    /// A record with valid checksums is not an event.
    #[error("the event at position {position} can't be read: {what}")]
    Record {
        /// Its position.
        position: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No space was left for a write. Nothing more is written until the store is opened again.
    #[error("{message}")]
    DiskFull {
        /// What was being done, and what to do.
        message: String,
    },
    /// A write failed. Nothing more is written until the store is opened again.
    #[error("{message}")]
    Write {
        /// What was being done, and what to do.
        message: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Other appends changed the answer at every attempt; try again.
    #[error("the append was overtaken {attempts} times by others; try again")]
    Busy {
        /// The number of attempts.
        attempts: u32,
    },
    /// A disk failed, but not under a write of the log.
    #[error("{what}: {message}")]
    Disk {
        /// The file, or what was being done.
        what: String,
        /// What the operating system reported.
        message: String,
    },
    /// A server reports it, or the server can't be reached.
    #[error("{message}")]
    Remote {
        /// A stable code, of [`CODES`](crate::CODES).
        code: &'static str,
        /// What is wrong.
        message: String,
        /// Whether the same call may succeed later without anything being repaired.
        can_retry: bool,
    },
}

impl Failure {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Damaged { .. } | Failure::Record { .. } => "data_damaged",
            Failure::IndexDamaged { .. } => "index_damaged",
            Failure::DiskFull { .. } => "disk_full",
            Failure::Write { .. } => "write_failed",
            Failure::Closed => "store_closed",
            Failure::Busy { .. } => "store_busy",
            Failure::Disk { .. } => "disk_failed",
            Failure::Remote { code, .. } => code,
        }
    }

    /// Whether the same call may succeed later without anything being repaired.
    pub fn can_retry(&self) -> bool {
        match self {
            Failure::Busy { .. } => true,
            Failure::Remote { can_retry, .. } => *can_retry,
            _ => false,
        }
    }
}

/// A condition of an append does not hold. What was found rests on durable facts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The stream is not where it was expected.
    #[error("stream {stream} was expected {expected}, but {}", found(*actual))]
    Version {
        /// The stream.
        stream: String,
        /// What was expected.
        expected: crate::Expected,
        /// Its last version; none if it has no events.
        actual: Option<u64>,
    },
    /// An event that should not be there is.
    #[error(
        "no event was expected to match {query} after the cursor, but the one at position \
         {position} does: {event_type} in stream {stream}"
    )]
    Query {
        /// The query.
        query: String,
        /// The first matching event's position.
        position: u64,
        /// Its stream.
        stream: String,
        /// Its type.
        event_type: String,
    },
    /// A checkpoint is not where it was expected: somebody else has moved it.
    #[error("checkpoint {name} was expected {}, but it is {}", at(expected), at(actual))]
    Checkpoint {
        /// Its name.
        name: String,
        /// Where it was expected; none for not yet set.
        expected: Option<Cursor>,
        /// Where it is.
        actual: Option<Cursor>,
    },
    /// The stream takes no more events, ever.
    #[error("stream {stream} was closed with a tombstone: it takes no more events; use another")]
    Tombstoned {
        /// The stream.
        stream: String,
    },
}

impl Conflict {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Conflict::Version { .. } => "wrong_version",
            Conflict::Query { .. } => "query_matched",
            Conflict::Checkpoint { .. } => "checkpoint_moved",
            Conflict::Tombstoned { .. } => "stream_tombstoned",
        }
    }
}

fn found(actual: Option<u64>) -> String {
    actual.map_or("it has no events".to_owned(), |version| format!("its last version is {version}"))
}

fn at(cursor: &Option<Cursor>) -> String {
    cursor.as_ref().map_or("not set".to_owned(), |cursor| format!("at {cursor}"))
}

/// Event ids that are known already, but not as this append.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Overlap {
    /// Some of the events are in the store and some are not.
    #[error(
        "the append repeats only a part of what is stored: event {id} is already in stream {stream} \
         as version {version}; repeat an append with all of its events, or send the new ones alone"
    )]
    Partial {
        /// The stream.
        stream: String,
        /// The first known id.
        id: uuid::Uuid,
        /// Where it is.
        version: u64,
    },
    /// The id is known with other content.
    #[error(
        "event {id} is already in stream {stream} as version {version} with other content; give \
         another event another id"
    )]
    Content {
        /// The stream.
        stream: String,
        /// The id.
        id: uuid::Uuid,
        /// Where it is.
        version: u64,
    },
}

impl Overlap {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Overlap::Partial { .. } => "partial_repeat",
            Overlap::Content { .. } => "event_id_reused",
        }
    }
}

/// Why an append was not done. Unless it is a [`Failure`], nothing was written.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The input can't be taken.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A condition does not hold: read again, decide again.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Event ids are known, but not as this append.
    #[error(transparent)]
    Overlap(#[from] Overlap),
    /// The store is in trouble; after a failed write the append may or may not be found later.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// Why a read or subscription can't go on.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The input can't be taken.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store is in trouble.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// What every error can say about itself.
pub trait Coded: fmt::Display {
    /// A stable code, such as `wrong_version`.
    fn code(&self) -> &'static str;

    /// Whether the same call may succeed later without anything being changed.
    fn can_retry(&self) -> bool;
}

impl Coded for AppendError {
    fn code(&self) -> &'static str {
        match self {
            AppendError::Invalid(invalid) => invalid.code,
            AppendError::Conflict(conflict) => conflict.code(),
            AppendError::Overlap(overlap) => overlap.code(),
            AppendError::Failure(failure) => failure.code(),
        }
    }

    fn can_retry(&self) -> bool {
        matches!(self, AppendError::Failure(failure) if failure.can_retry())
    }
}

impl Coded for ReadError {
    fn code(&self) -> &'static str {
        match self {
            ReadError::Invalid(invalid) => invalid.code,
            ReadError::Failure(failure) => failure.code(),
        }
    }

    fn can_retry(&self) -> bool {
        matches!(self, ReadError::Failure(failure) if failure.can_retry())
    }
}

impl From<ReadError> for AppendError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Invalid(invalid) => invalid.into(),
            ReadError::Failure(failure) => failure.into(),
        }
    }
}
