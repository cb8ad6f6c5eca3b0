//! Tests of the crate from outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod connectors;
mod fake;
mod folds;
mod many;
mod memory;
mod nodes;
mod records;
mod restore;
mod simulation;
mod takeover;
mod transfer;
mod views;
