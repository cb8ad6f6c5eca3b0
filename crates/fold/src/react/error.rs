use leftfold_api::{AppendError, Coded, Invalid, ReadError};
use thiserror::Error;

/// Why a reactor has stopped. Errors of handlers are not among these: they are retried, waited for
/// or parked.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReactorError {
    /// Another process runs a reactor of this name and started later, or the checkpoint was moved
    /// by hand. From then on this run can write nothing.
    #[error(
        "reactor {reactor} was overtaken: another process runs it, or its checkpoint was moved; \
         stop this one, or start it again when the other has ended"
    )]
    Overtaken {
        /// Its name.
        reactor: String,
    },
    /// An event of its journal cannot be decoded.
    #[error("the journal of reactor {reactor} can't be read at position {position}: {message}")]
    Journal {
        /// Its name.
        reactor: String,
        /// The event's position.
        position: u64,
        /// What is wrong.
        message: String,
    },
    /// Its name or its query is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The progress can't be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Coded for ReactorError {
    fn code(&self) -> &'static str {
        match self {
            ReactorError::Overtaken { .. } => "reactor_overtaken",
            ReactorError::Journal { .. } => "journal_unreadable",
            ReactorError::Invalid(invalid) => invalid.code,
            ReactorError::Read(error) => error.code(),
            ReactorError::Append(error) => error.code(),
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            ReactorError::Read(error) => error.can_retry(),
            ReactorError::Append(error) => error.can_retry(),
            ReactorError::Overtaken { .. }
            | ReactorError::Journal { .. }
            | ReactorError::Invalid(_) => false,
        }
    }
}
