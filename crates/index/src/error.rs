use std::io;
use std::sync::Arc;

use thiserror::Error;

/// An error of the index.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// An index file does not hold the bytes that were written.
    #[error(
        "{file} is damaged at offset {offset}: {what}; delete the file and open the store again, \
         which rebuilds it from the log"
    )]
    Damaged {
        /// The file.
        file: String,
        /// The offset in the file, in bytes.
        offset: u64,
        /// The defect.
        what: &'static str,
    },
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The error of the system.
        source: Arc<io::Error>,
    },
    /// The postings cannot be written as one index file.
    #[error("{file} cannot be written: {what}")]
    Unwritable {
        /// The file.
        file: String,
        /// The obstacle.
        what: &'static str,
    },
}

impl IndexError {
    pub(crate) fn io(file: &str, source: io::Error) -> Self {
        IndexError::Io { file: file.to_owned(), source: Arc::new(source) }
    }
}
