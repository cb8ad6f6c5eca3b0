//! The tests of SQL views in PostgreSQL, with a real one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod definitions;
mod failures;
mod lifecycle;
mod rows;
mod support;
