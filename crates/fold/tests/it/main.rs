//! Tests of the public interface.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod as_of;
mod bank;
mod commands;
mod compile;
mod contention;
mod cut;
mod dyn_store;
mod encoding;
mod entities;
mod evolution;
mod execute;
mod flows;
mod given;
mod golden;
mod ids;
mod metadata;
mod partitioned;
mod queries;
mod reactor;
mod runtime;
mod simulation;
mod snapshots;
mod views;
#[cfg(feature = "axum")]
mod web;
