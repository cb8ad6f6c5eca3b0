//! The tests of views whose tables answer SQL.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod definitions;
mod functions;
mod guide;
mod held;
mod history;
mod host;
mod hostile;
mod interruptions;
mod live;
mod log;
mod parked;
mod pass;
mod rows;
mod rust_views;
mod support;
mod windows;
