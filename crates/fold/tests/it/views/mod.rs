//! Views: rows that follow the events, changes to subscribe to, and sinks.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod batches;
mod changes;
mod failures;
mod growing;
mod rows;
mod sinks;
mod support;
mod typed;
