//! From a command to its events in the store.
//!
//! The states that the command reads are loaded, `decide` is called, and its events are appended on
//! condition that nothing that was read has changed. On a conflict the states are brought up to
//! date from where they were, and `decide` is called again, a bounded number of times, with growing pauses.

mod answer;
mod append;
mod as_of;
mod backoff;
mod context;
mod counts;
mod decider;
mod digest;
mod error;
mod handled;
mod load;

pub use answer::{Executed, WrittenEvent};
pub(crate) use append::DecisionEvents;
pub use as_of::AsOf;
#[cfg(feature = "testing")]
pub(crate) use backoff::Backoff;
pub(crate) use context::metadata_of;
pub use context::{COMMAND_TAG, CommandContext, MAX_METADATA, event_id};
pub use counts::CommandCounts;
pub(crate) use counts::Effort;
pub use decider::{Decider, Execute};
pub(crate) use decider::{DecisionOf, OutcomeEvents, decide_on};
pub use error::{ExecuteError, FoldError, Overtaken};
pub(crate) use handled::check_command;
pub(crate) use load::{LoadedStates, handled};
