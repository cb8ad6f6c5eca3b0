//! A small client of Kafka's wire protocol that exposes what clients usually hide.
//!
//! The caller chooses the producer id, epoch and sequence of each batch, the version of each request,
//! and when to retry.
//!
//! The cluster crate will take this client over, so it is written for that: no runtime, one thread
//! for each connection's answers, everything bounded, no hidden retries. [`Connection::send`] returns
//! at once, so several requests can be in flight; [`Reply::wait`] waits for the answer.
//!
//! After an error, [`KafkaError::is_outcome_unknown`] says whether the broker may have executed the
//! request.
//!
//! Produce and Fetch stop at version 12, the last one that identifies topics by name.

mod client;
mod connection;
mod fetch;
mod offsets;
mod produce;
mod transactions;
mod versions;

pub use client::{Client, Partition};
pub use connection::{Connection, Reply};
pub use fetch::{FetchResult, Isolation};
pub use kafka_protocol::error::ResponseError;
pub use leftfold_kafka::{Batch, KafkaError, ProducerId, Record, StoredBatch, StoredRecord};
pub use offsets::{OffsetReply, OffsetSpec};
pub use produce::{ProduceReply, ProduceResult};
pub use transactions::{End, EndReply, EndVersion};

/// Decodes answers to replayed requests.
pub(crate) mod replayed {
    pub(crate) use super::connection::decode as answer;
    pub(crate) use super::produce::only_answer as produced;
}
