//! The tests of SQL views.
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
mod rows;
mod support;
mod windows;
