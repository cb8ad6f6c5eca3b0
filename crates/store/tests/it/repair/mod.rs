//! Repair: the report names exactly what is lost, and all else is as it was.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod flips;
mod kept;
mod support;
