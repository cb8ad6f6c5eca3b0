//! Backups: after any failure the directory holds the last whole backup, which restores exactly the events
//! up to its head.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chain;
mod crash;
mod damage;
mod lost_history;
mod refusals;
mod stream;
mod support;
