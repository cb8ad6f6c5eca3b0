//! Kafka's protocol: record batches, and a client that exposes what clients usually hide.
//!
//! The caller chooses the producer id, epoch and sequence of each batch, the version of each request, and when to retry.
//! After an error, [`KafkaError::is_outcome_unknown`] says whether the broker may have executed the request.
//!
//! [`Connection::send`] queues a request and returns at once, so several can be in flight; [`Reply::wait`] waits for the
//! answer. Nothing is retried in secret, and all queues and all times are bounded. [`Client`] finds the broker that is
//! responsible. Both need a Tokio runtime.
//!
//! Produce and Fetch stop at version 12, the last one that identifies topics by name.

mod address;
pub mod batch;
mod client;
mod connection;
mod error;
mod fetch;
mod group;
mod offsets;
mod produce;
pub mod security;
pub mod serving;
mod topics;
mod transactions;

pub use address::Address;
pub use batch::{
    Batch, BatchWriter, Compression, DecodeError, ProducerId, Record, StoredBatch, StoredRecord,
    WrittenRecord,
};
pub use client::{Client, Partition, PartitionLeader};
pub use connection::{Connection, Reply, decode_answer};
pub use error::KafkaError;
pub use fetch::{FetchOptions, FetchResult, Isolation};
pub use group::{Group, GroupGeneration, GroupJoin, GroupMember};
pub use kafka_protocol::error::ResponseError;
pub use offsets::{OffsetReply, OffsetSpec};
pub use produce::{ProduceReply, ProduceResult};
pub use security::{Sasl, SaslMechanism, Security, Tls};
pub use topics::{NewTopic, TopicDescription};
pub use transactions::{End, EndReply, EndVersion, OpenTransaction};
