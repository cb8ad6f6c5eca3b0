//! The experiments: who may write to a partition, and what a reader sees, on live brokers.
//!
//! Each test asserts what was seen, welcome or not. What follows from it is written in
//! `docs/cluster-fencing.md`, which names these tests.

mod claims;
mod support;
