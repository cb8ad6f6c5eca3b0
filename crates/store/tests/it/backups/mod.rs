//! Backups: whatever happens to a run, the directory holds the last whole one, and it restores to
//! exactly the events up to its head.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chain;
mod crash;
mod damage;
mod refusals;
mod support;
