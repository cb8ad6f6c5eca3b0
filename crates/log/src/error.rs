use std::fmt;
use std::io;
use std::sync::Arc;

use leftfold_api::is_out_of_descriptors;
use thiserror::Error;

/// Bytes on disk that differ from what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The position that is affected, or the first that may be.
    pub position: u64,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { file, offset, position, what } = self;
        write!(f, "{file} is damaged at offset {offset} (position {position}): {what}")
    }
}

/// Why a log can't be opened.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another handle in this one, has it open.
    #[error("{0} is open in another process; close that one first, or ask it over the network")]
    Locked(String),
    /// There is no store and none was to be created.
    #[error("there is no store in {0}; check the path, or create one by appending or ingesting")]
    Missing(String),
    /// The file `STORE` or `MANIFEST` can't be used.
    #[error(
        "{file} can't be used: {why}; let `leftfold repair` say what is left, or restore a backup"
    )]
    Unusable {
        /// Which file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store has another identity than the expected one.
    #[error(
        "the store in {0} is a copy of another store than the expected one: give another directory, or \
         remove this one if all of it is elsewhere too"
    )]
    Foreign(String),
    /// Data that was known to be synced is damaged.
    #[error("{0}; nothing was changed: restore the file from a backup")]
    Damaged(Damage),
    /// A repair was interrupted while it replaced files.
    #[error("a repair was interrupted; `leftfold repair --quarantine` finishes it")]
    RepairInterrupted,
    /// A repair can't tell which of the files are the store's.
    #[error("{0}; nothing was changed")]
    Ambiguous(String),
    /// There is no repair to undo, or the store has changed since.
    #[error("the repair can't be undone: {0}; nothing was changed")]
    CannotUndo(String),
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// The error of the system.
        source: Arc<io::Error>,
    },
}

impl OpenError {
    pub(crate) fn io(file: &str, source: io::Error) -> Self {
        OpenError::Io { file: file.to_owned(), source: Arc::new(source) }
    }
}

/// Why a read failed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes differ from what was written.
    #[error("{0}")]
    Damaged(Damage),
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// The error of the system.
        source: Arc<io::Error>,
    },
}

impl ReadError {
    pub(crate) fn io(file: &str, source: io::Error) -> Self {
        ReadError::Io { file: file.to_owned(), source: Arc::new(source) }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => OpenError::Damaged(damage),
            ReadError::Io { file, source } => OpenError::Io { file, source },
        }
    }
}

/// Why nothing more is written until the log is opened again.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No space was left for a write. It is tried again, and appends go on when it has succeeded.
    #[error(
        "the disk is full ({what}): the append may or may not be found later; free space, and appends go \
         on by themselves"
    )]
    DiskFull {
        /// What was being done.
        what: String,
    },
    /// No file descriptor was left for a new segment. Nothing was written; it is tried again.
    #[error(
        "no file descriptor is left ({what}): nothing of the append was written; retry, or raise the limit \
         of open files"
    )]
    OutOfDescriptors {
        /// What was being done.
        what: String,
    },
    /// A write or sync failed. The writer never retries it: after a failed sync the kernel may have
    /// dropped the dirty pages.
    #[error(
        "writing failed ({what}: {source}): the append may or may not be found after reopening; \
         check the disk, then open the store again"
    )]
    Failed {
        /// What was being done.
        what: String,
        /// The error of the system.
        source: Arc<io::Error>,
    },
    /// Another writer owns the log. What was in flight is in its log or not.
    #[error(
        "another writer owns the log now ({reason}): the append may or may not be found there; send \
         it again to the new owner, with the same event ids"
    )]
    OwnershipLost {
        /// How this was noticed.
        reason: String,
    },
    /// Another process can have the store: its lock or one of its files was replaced.
    #[error(
        "the store is not this process's any more: {reason}. Nothing more is written; what was not \
         acknowledged may or may not be found. Look which process uses the directory, then open the store \
         again"
    )]
    Replaced {
        /// How this was noticed.
        reason: String,
    },
    /// The store can't be written, as its disk is for reading only.
    #[error(
        "the store is open for reading only, because its directory can't be written; mount it for \
         writing, or give this user the right to write, and open it again"
    )]
    ReadOnly,
    /// The log was closed.
    #[error("the store is closed")]
    Closed,
}

impl WriteError {
    /// Whether the writer tries again what failed.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, WriteError::DiskFull { .. } | WriteError::OutOfDescriptors { .. })
    }

    pub(crate) fn io(what: &str, source: io::Error) -> Self {
        let what = what.to_owned();
        if let Some(replaced) = crate::ownership::Replaced::of(&source) {
            WriteError::Replaced { reason: replaced.to_string() }
        } else if crate::failure::is_full(&source) {
            WriteError::DiskFull { what }
        } else if is_out_of_descriptors(&source) {
            WriteError::OutOfDescriptors { what }
        } else {
            WriteError::Failed { what, source: Arc::new(source) }
        }
    }
}
