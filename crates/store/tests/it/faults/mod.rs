//! The store under power cuts, disk failures, bit rot and contention.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
pub(crate) mod crash;
mod errors;
mod full_disk;
mod hand_overs;
mod ownership;
mod refill;
pub(crate) mod support;
mod waiting;
mod waking;
