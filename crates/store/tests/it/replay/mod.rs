//! A replay on several threads equals a fold on one thread.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod equality;
mod stopping;
mod support;
