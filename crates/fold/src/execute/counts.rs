//! Live counters of decisions.

use std::sync::atomic::{AtomicU64, Ordering};

use super::answer::Executed;
use super::error::ExecuteError;

/// How many commands were executed, and what it took; see
/// [`Decider::counts`](crate::Decider::counts).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandCounts {
    /// Commands whose decision was carried out.
    pub executed: u64,
    /// Commands that the domain refused.
    pub refused: u64,
    /// Commands that had been handled before.
    pub repeated: u64,
    /// Decisions: one for each command without conflicts.
    pub attempts: u64,
    /// Decisions that other writers invalidated.
    pub conflicts: u64,
}

/// The counters behind [`CommandCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    executed: AtomicU64,
    refused: AtomicU64,
    repeated: AtomicU64,
    attempts: AtomicU64,
    conflicts: AtomicU64,
}

/// The decisions on one command.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    pub(crate) attempts: u32,
    pub(crate) conflicts: u32,
}

impl Counters {
    pub(crate) fn add_effort(&self, effort: &Effort) {
        self.attempts.fetch_add(effort.attempts.into(), Ordering::Relaxed);
        self.conflicts.fetch_add(effort.conflicts.into(), Ordering::Relaxed);
    }

    pub(crate) fn add_answer<E, R>(&self, answer: &Result<Executed<E>, ExecuteError<R>>) {
        let counter = match answer {
            Ok(executed) if executed.repeated => &self.repeated,
            Ok(_) => &self.executed,
            Err(ExecuteError::Refused(_)) => &self.refused,
            Err(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> CommandCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CommandCounts {
            executed: read(&self.executed),
            refused: read(&self.refused),
            repeated: read(&self.repeated),
            attempts: read(&self.attempts),
            conflicts: read(&self.conflicts),
        }
    }
}
