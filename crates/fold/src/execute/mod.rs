//! From a command to its events in the store.
//!
//! What the command reads is loaded, `decide` is asked, and its events are appended on condition that
//! nothing that was read has changed. If something has, what was read is brought up to date from where
//! it ended, and `decide` is asked again, a bounded number of times.

mod answer;
mod append;
mod decider;
mod error;
mod issued;
mod load;

pub use answer::{Done, Executed};
pub(crate) use append::Decided;
pub use decider::{Decider, Execute};
pub(crate) use decider::{DecisionOf, OutcomeOf, decided};
pub use error::{ExecuteError, FoldError, Overtaken};
pub use issued::{COMMAND_TAG, Issued, event_id};
pub(crate) use load::{Loaded, handled};
