//! The experiments: who may write to a partition, and what a reader sees, on live brokers.
//!
//! Each test asserts what was seen, welcome or not. What follows from it is written in
//! `docs/cluster-fencing.md`, which names these tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod barrier;
mod claims;
mod delayed_end_txn;
mod expiry;
mod owners;
mod readers;
mod support;
mod transactions;
