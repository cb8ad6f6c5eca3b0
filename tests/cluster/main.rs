//! The whole cluster on real brokers of Apache Kafka: real processes, kill -9, pauses, and networks that fail.
//!
//! - [`deployment`]: brokers, nodes, and a [`link`] of each node to each broker, which a test cuts or delays.
//! - [`clients`] and [`subscribers`] make a [`history`]; [`model`] and [`log`] check it; [`faults`] happen by a seed.
//! - `history_test`, `failover`, `connectors`, `restore`, `transfer`, `size` and `listener` are the tests.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod clients;
mod connectors;
mod deployment;
mod failover;
mod faults;
mod history;
mod history_test;
mod link;
mod listener;
mod log;
mod model;
mod nodes;
mod random;
#[path = "../system/receiver.rs"]
mod receiver;
mod restore;
mod size;
mod subscribers;
mod transfer;

use parking_lot::{Mutex, MutexGuard};

/// Lets tests with brokers run one after the other: load of one would delay the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock()
}
