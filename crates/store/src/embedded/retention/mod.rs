//! What is kept of streams and of what queries yield: set by events of the store's own, honoured by
//! every read, and carried out by scavenging.
//!
//! What is kept of a stream is said by the last event of a stream of its own; so it costs memory
//! only while it is in use, however many streams have such. Rules are few, and all in memory.

mod change;
mod rules;
mod scavenge;
mod streams;
mod visibility;

pub(crate) use change::{CATEGORY_OF_RULES, CATEGORY_OF_STREAMS, StoreChange};
pub(crate) use rules::Rule;
pub(crate) use streams::StreamRetention;
pub(crate) use visibility::Visibility;
