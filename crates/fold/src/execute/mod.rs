//! From a command to its events in the store.
//!
//! The states that the command reads are loaded, `decide` is called, and its events are appended on
//! condition that nothing that was read has changed. On a conflict the states are brought up to
//! date from where they were, and `decide` is called again, a bounded number of times.

mod answer;
mod append;
mod decider;
mod error;
mod issued;
mod load;

pub use answer::{Done, Executed};
pub(crate) use append::DecisionEvents;
pub use decider::{Decider, Execute};
pub(crate) use decider::{DecisionOf, OutcomeEvents, decide_on};
pub use error::{ExecuteError, FoldError, Overtaken};
pub use issued::{COMMAND_TAG, Issued, event_id};
pub(crate) use load::{LoadedStates, handled};
