use std::io;
use std::sync::Arc;

use thiserror::Error;

/// Why the index can't answer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The bytes of an index file are not what was written.
    #[error(
        "{file} is damaged at offset {offset}: {what}; delete the file and open the store again: \
         it is made again from the log"
    )]
    Damaged {
        /// The file.
        file: String,
        /// The offset in the file, in bytes.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// What was asked for can't be written as one index file.
    #[error("{file} can't be written: {what}")]
    Unfit {
        /// The file.
        file: String,
        /// What is in the way.
        what: &'static str,
    },
}

impl IndexError {
    pub(crate) fn io(file: &str, source: io::Error) -> Self {
        IndexError::Io { file: file.to_owned(), source: Arc::new(source) }
    }
}
