//! The tests of views in PostgreSQL, with a real one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod code;
mod definitions;
mod failures;
mod lifecycle;
mod nodes;
mod rows;
mod support;
