//! The answers without events: refused by the domain, overtaken by other writers, failed store.

use std::fmt;

use leftfold_api::{AppendError, Coded, ReadError};
use thiserror::Error;
use uuid::Uuid;

use crate::command::Wait;
use crate::event::{Undecodable, Unencodable};

/// Why a command has produced no events. Nothing was written, unless it is a failed append
/// ([`FoldError::Append`] with a failure).
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ExecuteError<R> {
    /// The command was refused. The refusal rests on durable facts, as they were together at one
    /// moment.
    #[error("refused: {0}")]
    Refused(#[source] R),
    /// Other writers changed what the decision rests on at every attempt. Retry.
    #[error(transparent)]
    Conflict(Overtaken),
    /// The state does not allow the command yet, and only a command stream can stash it.
    #[error("the state does not allow the command yet; it may wait for {:?}", .0.at_most)]
    Waits(Wait),
    /// The store failed, an event cannot be read or written, or the command's id belongs to another
    /// command.
    #[error(transparent)]
    Store(#[from] FoldError),
}

/// The answer to a command when other writers changed its states at every attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overtaken {
    /// How often it was decided.
    pub attempts: u32,
    /// The stream of the event that invalidated the last decision.
    pub stream: String,
    /// The position and the type of that event. `None` if retention hides it already.
    pub event: Option<(u64, String)>,
}

impl Overtaken {
    /// Makes an answer, for tests of what follows from it.
    pub fn new(attempts: u32, stream: impl Into<String>, event: Option<(u64, String)>) -> Self {
        Overtaken { attempts, stream: stream.into(), event }
    }
}

impl fmt::Display for Overtaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Overtaken { attempts, stream, event } = self;
        write!(f, "the command was decided {attempts} times and each time overtaken, at last by ")?;
        match event {
            Some((at, what)) => write!(f, "{what} at position {at} in stream {stream}; try again"),
            None => write!(f, "an event in stream {stream}; try again"),
        }
    }
}

impl std::error::Error for Overtaken {}

/// Why a fold, a read or an append failed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum FoldError {
    /// A read failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An append failed, for another reason than a conflict.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A stored event can't be read.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// A new event can't be written.
    #[error(transparent)]
    Unencodable(#[from] Unencodable),
    /// The command's id belongs to another command.
    #[error(
        "command id {id} belongs to another command, which was handled or accepted before; repeat a \
         command unchanged, and give another command another id"
    )]
    IdReused {
        /// The id.
        id: Uuid,
    },
    /// A command or a state panicked. Only entities and command streams report it; elsewhere the
    /// panic reaches the caller.
    #[error("a command or a state panicked: {message}")]
    Panicked {
        /// The text of the panic.
        message: String,
    },
}

impl PartialEq for FoldError {
    /// Compares codes and texts.
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code() && self.to_string() == other.to_string()
    }
}

impl Coded for FoldError {
    fn code(&self) -> &'static str {
        match self {
            FoldError::Read(error) => error.code(),
            FoldError::Append(error) => error.code(),
            FoldError::Undecodable(_) => "event_undecodable",
            FoldError::Unencodable(_) => "event_unencodable",
            FoldError::IdReused { .. } => "command_id_reused",
            FoldError::Panicked { .. } => "command_panicked",
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            FoldError::Read(error) => error.can_retry(),
            FoldError::Append(error) => error.can_retry(),
            FoldError::Undecodable(_)
            | FoldError::Unencodable(_)
            | FoldError::IdReused { .. }
            | FoldError::Panicked { .. } => false,
        }
    }
}

impl<R> ExecuteError<R> {
    /// Returns why the domain has refused the command, if it has.
    pub fn refusal(&self) -> Option<&R> {
        match self {
            ExecuteError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Returns why the domain has refused the command, or the other error.
    pub fn into_refusal(self) -> Result<R, Self> {
        match self {
            ExecuteError::Refused(refusal) => Ok(refusal),
            other => Err(other),
        }
    }

    /// Makes another refusal of the domain's, and leaves other errors as they are.
    pub fn map_refusal<S>(self, map: impl FnOnce(R) -> S) -> ExecuteError<S> {
        match self {
            ExecuteError::Refused(refusal) => ExecuteError::Refused(map(refusal)),
            ExecuteError::Conflict(overtaken) => ExecuteError::Conflict(overtaken),
            ExecuteError::Waits(wait) => ExecuteError::Waits(wait),
            ExecuteError::Store(error) => ExecuteError::Store(error),
        }
    }
}

impl<R: std::error::Error + 'static> Coded for ExecuteError<R> {
    fn code(&self) -> &'static str {
        match self {
            ExecuteError::Refused(_) => "command_refused",
            ExecuteError::Conflict(_) => "command_overtaken",
            ExecuteError::Waits(_) => "command_waits",
            ExecuteError::Store(error) => error.code(),
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            ExecuteError::Refused(_) => false,
            ExecuteError::Conflict(_) | ExecuteError::Waits(_) => true,
            ExecuteError::Store(error) => error.can_retry(),
        }
    }
}

impl<R> From<ReadError> for ExecuteError<R> {
    fn from(error: ReadError) -> Self {
        FoldError::from(error).into()
    }
}
