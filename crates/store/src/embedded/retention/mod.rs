//! Retention: which events of a stream or a query are kept. Every read applies it, and scavenging removes
//! the payloads of dropped events.
//!
//! Retention settings are events. The last event of a stream's settings stream applies, and it is read and
//! cached when the stream is read. Retention rules are few, and all are in memory.

mod change;
mod rules;
mod scavenge;
mod streams;
mod visibility;

pub(crate) use change::StoreChange;
pub(crate) use rules::{Rule, read_change};
pub(crate) use streams::{StreamRetention, read_stream_retention};
pub(crate) use visibility::Visibility;
