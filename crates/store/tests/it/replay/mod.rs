//! Replay on several threads gives what a fold on one thread gives.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod equality;
mod stopping;
mod support;
