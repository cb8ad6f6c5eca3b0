//! The store when something goes wrong: power, disk, rot, rivals.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod crash;
mod errors;
mod support;
mod waiting;
