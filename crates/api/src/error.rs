//! One error type per operation, each with a stable code. Invalid input, a conflict and a failure of the
//! store are three different types.

use std::fmt;
use std::io::{self, ErrorKind};

use thiserror::Error;

use crate::cursor::Cursor;

/// Invalid input. Nothing was changed, and a retry can't succeed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Invalid {
    /// A stable code, such as `name_invalid`.
    pub code: &'static str,
    /// What was found and what is allowed.
    pub message: String,
}

impl Invalid {
    /// Returns an error with a code of [`CODES`](crate::CODES) and a message.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Invalid { code, message: message.into() }
    }

    /// Returns the error for more of something than a limit allows.
    pub fn over_limit(code: &'static str, what: &str, found: usize, allowed: usize) -> Self {
        Invalid::new(code, format!("{what}: {found}; at most {allowed} are allowed"))
    }
}

/// Returns text that an error quotes: at most a hundred characters of it.
pub(crate) fn shortened(text: &str) -> std::borrow::Cow<'_, str> {
    /// The most characters that are quoted.
    const MAX_QUOTED: usize = 100;
    match text.char_indices().nth(MAX_QUOTED) {
        None => text.into(),
        Some((end, _)) => format!("{}\u{2026}", &text[..end]).into(),
    }
}

/// The store can't execute a valid call.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Stored bytes are damaged.
    #[error("{message}")]
    Damaged {
        /// The file, the offset, and what to do.
        message: String,
    },
    /// Bytes of the index are damaged.
    #[error("{message}")]
    IndexDamaged {
        /// The file, the offset, and what to do.
        message: String,
    },
    /// A record with valid checksums is not an event.
    #[error("the event at position {position} can't be read: {what}")]
    Record {
        /// The position.
        position: u64,
        /// What is wrong with the record.
        what: &'static str,
    },
    /// The disk is full. The store tries again, and goes on when there is space.
    #[error("{message}")]
    DiskFull {
        /// The operation, and what to do.
        message: String,
    },
    /// The process, or the machine, has too many files open. Nothing was written; retry.
    #[error("{message}")]
    OutOfDescriptors {
        /// The operation, and what to do.
        message: String,
    },
    /// A write or an fsync failed. The store writes nothing until it is opened again.
    #[error("{message}")]
    Write {
        /// The operation, and what to do.
        message: String,
    },
    /// Another process can have the store: its lock or one of its files was replaced. The store writes
    /// nothing until it is opened again.
    #[error("{message}")]
    Replaced {
        /// What was replaced, and what to do.
        message: String,
    },
    /// The store's directory can't be written, so the store is open for reading only.
    #[error("{message}")]
    ReadOnly {
        /// What to do.
        message: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The store is a copy of one that another node owns, and only the owner appends. Nothing was written.
    #[error("this node does not own the partition: ask the owner, or retry")]
    NotOwner,
    /// The store is a copy, and differs from what the owner has committed. Nothing was written.
    #[error("{message}")]
    Diverged {
        /// What was expected, what was found, and what to do.
        message: String,
    },
    /// Other appends changed the answer at every attempt; retry.
    #[error("the append was overtaken {attempts} times by others; try again")]
    Busy {
        /// The number of attempts.
        attempts: u32,
    },
    /// A disk failed, but not in a write of the log.
    #[error("{what}: {message}")]
    Disk {
        /// The file, or the operation.
        what: String,
        /// What the operating system reported.
        message: String,
    },
    /// A failure that a server reported, or a server that can't be reached.
    #[error("{message}")]
    Remote {
        /// A stable code, of [`CODES`](crate::CODES).
        code: &'static str,
        /// What is wrong.
        message: String,
        /// Whether a retry of the same call can succeed.
        can_retry: bool,
    },
}

impl Failure {
    /// Returns the failure of an operation on a disk.
    pub fn of_disk(what: impl Into<String>, error: &io::Error) -> Self {
        let (what, full) = (what.into(), [ErrorKind::StorageFull, ErrorKind::QuotaExceeded]);
        if full.contains(&error.kind()) {
            Failure::DiskFull { message: format!("the disk is full ({what}): free space") }
        } else if is_out_of_descriptors(error) {
            Failure::OutOfDescriptors {
                message: format!(
                    "no file descriptor is left ({what}): retry, or raise the limit of open files"
                ),
            }
        } else {
            Failure::Disk { what, message: error.to_string() }
        }
    }

    /// Whether the store goes on by itself once there is space, or a file descriptor.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Failure::DiskFull { .. } | Failure::OutOfDescriptors { .. })
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Damaged { .. } | Failure::Record { .. } => "data_damaged",
            Failure::IndexDamaged { .. } => "index_damaged",
            Failure::DiskFull { .. } => "disk_full",
            Failure::OutOfDescriptors { .. } => "descriptors_exhausted",
            Failure::Write { .. } => "write_failed",
            Failure::Replaced { .. } => "store_replaced",
            Failure::ReadOnly { .. } => "store_read_only",
            Failure::Closed => "store_closed",
            Failure::NotOwner => "not_owner",
            Failure::Diverged { .. } => "replica_diverged",
            Failure::Busy { .. } => "store_busy",
            Failure::Disk { .. } => "disk_failed",
            Failure::Remote { code, .. } => code,
        }
    }

    /// Whether a retry of the same call can succeed.
    pub fn can_retry(&self) -> bool {
        match self {
            Failure::Busy { .. } | Failure::NotOwner | Failure::OutOfDescriptors { .. } => true,
            Failure::Remote { can_retry, .. } => *can_retry,
            _ => false,
        }
    }
}

/// Whether a file could not be opened because the process or the machine has too many open.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    /// The same numbers on Linux, macOS and the BSDs. The standard library has no kind for them.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// A condition of an append does not hold. The reported state is durable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A stream is not in the expected state.
    #[error("{}", unexpected(stream, *expected, *actual))]
    Version {
        /// The stream.
        stream: String,
        /// The expected state.
        expected: crate::Expected,
        /// Its last version; `None` if it has no events.
        actual: Option<u64>,
    },
    /// An event matches the query of a condition.
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
    /// A checkpoint is not at the expected cursor: another reader has moved it.
    #[error("checkpoint {name} was expected {}, but it is {}", at(expected), at(actual))]
    Checkpoint {
        /// The checkpoint.
        name: String,
        /// The expected cursor; `None` for a checkpoint that is not set.
        expected: Option<Cursor>,
        /// Its cursor; `None` if it is not set.
        actual: Option<Cursor>,
    },
    /// The stream has a tombstone and takes no more events.
    #[error("stream {stream} was closed with a tombstone: it takes no more events; use another")]
    Tombstoned {
        /// The stream.
        stream: String,
    },
}

impl Conflict {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Conflict::Version { .. } => "wrong_version",
            Conflict::Query { .. } => "query_matched",
            Conflict::Checkpoint { .. } => "checkpoint_moved",
            Conflict::Tombstoned { .. } => "stream_tombstoned",
        }
    }
}

fn unexpected(stream: &str, expected: crate::Expected, actual: Option<u64>) -> String {
    match (expected, actual) {
        // Only an operation on the stream's events can fail then.
        (crate::Expected::Any, None) => format!("stream {stream} has no events"),
        _ => format!("stream {stream} was expected {expected}, but {}", found(actual)),
    }
}

fn found(actual: Option<u64>) -> String {
    actual.map_or("it has no events".to_owned(), |version| format!("its last version is {version}"))
}

fn at(cursor: &Option<Cursor>) -> String {
    cursor.as_ref().map_or("not set".to_owned(), |cursor| format!("at {cursor}"))
}

/// Event ids are stored already, but not as a repeat of this append.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Overlap {
    /// Only some of the events are stored.
    #[error(
        "the append repeats only a part of what is stored: event {id} is already in stream {stream} \
         as version {version}; repeat an append with all of its events, or send the new ones alone"
    )]
    Partial {
        /// The stream.
        stream: String,
        /// The first stored id.
        id: uuid::Uuid,
        /// Its version.
        version: u64,
    },
    /// The id is stored with other content.
    #[error(
        "event {id} is already in stream {stream} as version {version} with other content; give \
         another event another id"
    )]
    Content {
        /// The stream.
        stream: String,
        /// The id.
        id: uuid::Uuid,
        /// Its version.
        version: u64,
    },
}

impl Overlap {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Overlap::Partial { .. } => "partial_repeat",
            Overlap::Content { .. } => "event_id_reused",
        }
    }
}

/// Why an append failed. Unless it is a [`Failure`], nothing was written.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The input is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A condition does not hold. Read again, decide again and retry.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Event ids are stored, but not as a repeat of this append.
    #[error(transparent)]
    Overlap(#[from] Overlap),
    /// The store failed. After a failed write the append may or may not be stored.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// Why a read or a subscription failed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The input is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// An error with a stable code.
pub trait Coded: fmt::Display {
    /// Returns the stable code, such as `wrong_version`.
    fn code(&self) -> &'static str;

    /// Whether a retry of the same call can succeed.
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
