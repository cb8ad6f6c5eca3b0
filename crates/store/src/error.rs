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

/// The store itself is in trouble.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Reading the log failed.
    #[error(transparent)]
    Log(#[from] leftfold_log::ReadError),
    /// Reading the index failed.
    #[error("{0}")]
    Index(#[from] leftfold_index::IndexError),
    /// Writing failed, and stays so until the store is opened again.
    #[error(transparent)]
    Write(#[from] leftfold_log::WriteError),
    /// A whole record makes no sense.
    #[error("the event at position {position} can't be read: {what}")]
    Record {
        /// Its position.
        position: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Other work kept coming in between; try again.
    #[error("the append was overtaken {attempts} times by others; try again")]
    Busy {
        /// How often it was tried.
        attempts: u32,
    },
    /// The disk failed beside the log.
    #[error("{what}: {message}")]
    Disk {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        message: String,
    },
    /// A server says so, or it can't be asked.
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

impl From<leftfold_log::RewriteError> for Failure {
    fn from(error: leftfold_log::RewriteError) -> Self {
        match error {
            leftfold_log::RewriteError::Read(error) => error.into(),
            error => Failure::Disk { what: "writing a segment again", message: error.to_string() },
        }
    }
}

impl Failure {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        use leftfold_index::IndexError;
        use leftfold_log::{ReadError, WriteError};
        match self {
            Failure::Log(ReadError::Damaged(_)) | Failure::Record { .. } => "data_damaged",
            Failure::Index(IndexError::Damaged { .. }) => "index_damaged",
            Failure::Write(WriteError::DiskFull { .. }) => "disk_full",
            Failure::Write(WriteError::Closed) => "store_closed",
            Failure::Write(_) => "write_failed",
            Failure::Busy { .. } => "store_busy",
            Failure::Remote { code, .. } => code,
            Failure::Log(_) | Failure::Index(_) | Failure::Disk { .. } => "disk_failed",
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
    #[error("checkpoint {name} was expected {}, but it is {}", at(*expected), at(*actual))]
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

fn at(cursor: Option<Cursor>) -> String {
    cursor.map_or("not set".to_owned(), |cursor| format!("at {cursor}"))
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

/// Why a store can't be opened.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log can't be opened.
    #[error(transparent)]
    Log(#[from] leftfold_log::OpenError),
    /// What is in it can't be read.
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

impl Coded for OpenError {
    fn code(&self) -> &'static str {
        use leftfold_log::OpenError as Log;
        match self {
            OpenError::Log(Log::Locked(_)) => "store_locked",
            OpenError::Log(Log::Missing(_)) => "store_missing",
            OpenError::Log(Log::Unusable { .. }) => "store_unusable",
            OpenError::Log(Log::Damaged(_)) => "data_damaged",
            OpenError::Log(_) => "disk_failed",
            OpenError::Failure(failure) => failure.code(),
        }
    }

    fn can_retry(&self) -> bool {
        matches!(self, OpenError::Log(leftfold_log::OpenError::Locked(_)))
    }
}

impl Coded for crate::BackupError {
    fn code(&self) -> &'static str {
        crate::embedded::code_of_backup(self)
    }

    fn can_retry(&self) -> bool {
        matches!(self, crate::BackupError::Locked(_))
    }
}

macro_rules! failure_from {
    ($($from:ty => $to:ty),* $(,)?) => {$(
        impl From<$from> for $to {
            fn from(error: $from) -> Self {
                Failure::from(error).into()
            }
        }
    )*};
}

failure_from! {
    leftfold_log::ReadError => AppendError,
    leftfold_index::IndexError => AppendError,
    leftfold_log::WriteError => AppendError,
    leftfold_log::ReadError => ReadError,
    leftfold_index::IndexError => ReadError,
    leftfold_log::WriteError => ReadError,
    leftfold_log::ReadError => OpenError,
    leftfold_index::IndexError => OpenError,
}

impl From<ReadError> for AppendError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Invalid(invalid) => invalid.into(),
            ReadError::Failure(failure) => failure.into(),
        }
    }
}
