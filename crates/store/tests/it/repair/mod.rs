//! Repair: the report names exactly the lost events, and all other events are unchanged.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod crash;
mod ends;
mod flips;
mod kept;
mod random;
mod superseded;
pub(crate) mod support;
mod undone;
