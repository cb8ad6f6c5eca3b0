//! Refusals by an owner that may have been deposed without noticing.
//!
//! What its successor has committed since is missing in its copy. A refusal that more events can't change is right
//! anyway. Before any other one is answered, the owner proves by a barrier that it still is the owner; a deposed one
//! sends the caller on.

use leftfold_api::{AppendError, Conflict, Expected, Failure, Invalid, ReadError};
use leftfold_store::Embedded;

/// Returns the outcome of a call to the owner's copy, or `not_owner` if it is a refusal by a deposed owner.
pub(super) async fn confirm_refusal<T, E>(store: &Embedded, outcome: Result<T, E>) -> Result<T, E>
where
    E: Refusal + From<Failure>,
{
    match outcome {
        Err(error) if error.is_in_doubt() => match store.barrier().await {
            Ok(()) => Err(error),
            Err(_) => Err(Failure::NotOwner.into()),
        },
        outcome => outcome,
    }
}

/// An error that may come of what a copy lacks.
pub(super) trait Refusal {
    /// Whether the call might succeed on a copy with more events.
    fn is_in_doubt(&self) -> bool;
}

impl Refusal for AppendError {
    fn is_in_doubt(&self) -> bool {
        match self {
            AppendError::Conflict(conflict) => conflict.is_in_doubt(),
            AppendError::Invalid(invalid) => invalid.is_in_doubt(),
            _ => false,
        }
    }
}

impl Refusal for ReadError {
    fn is_in_doubt(&self) -> bool {
        matches!(self, ReadError::Invalid(invalid) if invalid.is_in_doubt())
    }
}

impl Refusal for Invalid {
    fn is_in_doubt(&self) -> bool {
        self.code == "cursor_ahead"
    }
}

impl Refusal for Conflict {
    fn is_in_doubt(&self) -> bool {
        match self {
            // Versions only grow.
            Conflict::Version { expected: Expected::Exactly(version), actual, .. } => {
                *actual < Some(*version)
            }
            Conflict::Version { actual, .. } => actual.is_none(),
            Conflict::Query { .. } | Conflict::Tombstoned { .. } => false,
            _ => true,
        }
    }
}
