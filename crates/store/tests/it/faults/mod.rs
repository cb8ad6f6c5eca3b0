//! The store when something goes wrong: power, disk, rot, rivals.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod errors;
mod support;
mod waiting;
mod waking;
