//! Kafka's protocol: record batches, and a client that exposes what clients usually hide.
//!
//! The caller chooses the producer id, epoch and sequence of each batch, and when to retry. After an error,
//! [`KafkaError::is_outcome_unknown`] says whether the broker may have executed the request.

pub mod batch;
mod error;

pub use batch::{Batch, ProducerId, Record, StoredBatch, StoredRecord};
pub use error::KafkaError;
pub use kafka_protocol::error::ResponseError;
