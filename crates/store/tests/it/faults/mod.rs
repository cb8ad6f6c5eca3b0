//! The store under power cuts, disk failures, bit rot and contention.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
mod crash;
mod errors;
mod hand_overs;
mod ownership;
mod refill;
mod support;
mod waiting;
mod waking;
