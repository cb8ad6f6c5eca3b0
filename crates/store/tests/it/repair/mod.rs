//! Repair: the report names exactly the lost events, and all other events are unchanged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod flips;
mod kept;
mod support;
