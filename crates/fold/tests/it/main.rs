//! The crate as its users see it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bank;
mod commands;
mod entities;
mod evolution;
mod execute;
mod golden;
mod snapshots;
