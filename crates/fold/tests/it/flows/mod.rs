//! Timers, processes and messages: exactly once, in order, across restarts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod messages;
mod processes;
mod support;
mod timers;
