//! Runtimes: restarts, leases, shutdown and status.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod lease;
mod restarts;
mod shutdown;
mod simulated;
mod support;
