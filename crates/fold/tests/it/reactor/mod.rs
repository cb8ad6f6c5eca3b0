//! Reactors: guarantees, order, and the handling of failures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crashes;
mod decisions;
mod limits;
mod order;
mod parking;
mod progress;
mod support;
mod waiting;
