use leftfold_api::{AppendError, Coded, Invalid, ReadError};
use thiserror::Error;

/// Why a reactor does not go on. What its handlers meet is none of these: that is tried again,
/// waited for or parked.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReactorError {
    /// Another process runs a reactor of this name, and began later; or the checkpoint was moved by
    /// hand. Nothing that this one does counts any more.
    #[error(
        "reactor {reactor} was overtaken: another process runs it, or its checkpoint was moved; \
         stop this one, or start it again when the other has ended"
    )]
    Overtaken {
        /// Its name.
        reactor: String,
    },
    /// A fact of its journal makes no sense.
    #[error("what reactor {reactor} has done can't be read at position {position}: {message}")]
    Journal {
        /// Its name.
        reactor: String,
        /// The fact's position.
        position: u64,
        /// What is wrong.
        message: String,
    },
    /// Its name or its query is not one.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store takes no progress.
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
