//! Experiments on live brokers: which producer may write to a partition, and what readers see.
//!
//! Each test asserts the observed behaviour, even if it is undesirable. `docs/cluster-fencing.md`
//! draws the conclusions and names these tests.
//!
//! On the same clusters, `delivery`, `topics`, `compression`, `security` and `membership` check what the
//! client and the cluster crate promise.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod barrier;
mod claims;
mod compression;
mod delayed_end_txn;
mod delivery;
mod expiry;
mod membership;
mod nodes;
mod owners;
mod readers;
mod security;
mod support;
mod topics;
mod transactions;
