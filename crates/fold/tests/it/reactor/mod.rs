//! Reactors: what happens once, in which order, and what becomes of what fails.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crashes;
mod order;
mod parking;
mod progress;
mod support;
mod waiting;
