use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::error::ReadError;

/// Why a backup can't be made, checked or restored.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The directory holds other things than backups of this store.
    #[error("{dir} can't take a backup of this store: {what}; choose an empty directory")]
    Foreign {
        /// The directory.
        dir: String,
        /// What was found in it.
        what: String,
    },
    /// There is no whole backup in the directory.
    #[error("there is no whole backup in {0}; check the path")]
    Missing(String),
    /// Bytes of the backup are not what was written.
    #[error(
        "the backup in {dir} is damaged: {file}: {why}; restore from another one, or delete that \
         file and let the store be backed up again"
    )]
    Damaged {
        /// The directory.
        dir: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another process writes or reads the backup, or restores to the same directory.
    #[error("{0} is in use by another backup or restore; wait for its end")]
    Locked(String),
    /// A store is restored to an empty directory only.
    #[error(
        "{dir} is not empty: it holds {file}; restore to another directory, or empty it first if a \
         restore was cut short there"
    )]
    NotEmpty {
        /// The directory.
        dir: String,
        /// A file in it.
        file: String,
    },
    /// The caller stopped it, or the store was closed.
    #[error("the backup was stopped; the one before it is still whole")]
    Stopped,
    /// The store can't be read. The backup before is still whole.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A disk failed.
    #[error("{file}: {source}")]
    Io {
        /// Which file, and where.
        file: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl BackupError {
    pub(super) fn io(dir: &str, file: &str, source: io::Error) -> Self {
        BackupError::Io { file: format!("{dir}/{file}"), source: Arc::new(source) }
    }

    pub(super) fn damaged(dir: &str, file: &str, why: impl Into<String>) -> Self {
        BackupError::Damaged { dir: dir.to_owned(), file: file.to_owned(), why: why.into() }
    }
}
