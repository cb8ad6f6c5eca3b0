//! From a command to its events in the store.
//!
//! The states that the command reads are loaded, `decide` is called, and its events are appended on
//! condition that nothing that was read has changed. On a conflict the states are brought up to
//! date from where they were, and `decide` is called again, a bounded number of times.

mod answer;
mod append;
mod context;
mod decider;
mod error;
mod load;

pub use answer::{Executed, WrittenEvent};
pub(crate) use append::DecisionEvents;
pub use context::{COMMAND_TAG, CommandContext, event_id};
pub use decider::{Decider, Execute};
pub(crate) use decider::{DecisionOf, OutcomeEvents, decide_on};
pub use error::{ExecuteError, FoldError, Overtaken};
pub(crate) use load::{LoadedStates, handled};
