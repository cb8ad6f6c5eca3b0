//! The event store with Apache Kafka as its log, on many nodes.
//!
//! A partition is a whole store whose batches are committed by Kafka instead of by `fdatasync`. One node owns it and
//! admits appends; the others apply the same records to their own copies. Who may write is decided by the order of the
//! log ([`ledger`]).

pub mod broker;
mod commit;
pub mod group;
pub mod kafka_broker;
pub mod kafka_coordinator;
pub mod ledger;
pub mod local;
pub mod many;
pub mod node;
pub mod partition;
pub mod record;
pub mod store;
pub mod topic;

/// Tests inside the crate share files with those outside.
#[cfg(test)]
extern crate self as leftfold_cluster;

/// Kafka's protocol, for those who configure a node.
pub use leftfold_kafka as kafka;
