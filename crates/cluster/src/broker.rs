//! What a partition asks of Kafka: one topic-partition, behind a trait, so that a simulation can take its place.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_kafka::{KafkaError, ProducerId, StoredBatch};

/// One partition of a topic, and the transactional id of its owner.
pub trait Broker: Send + Sync + 'static {
    /// Takes the partition's transactional id over: brokers that remember it refuse earlier owners from the claim on.
    fn take_over(&self) -> BoxFuture<'_, Result<ProducerId, KafkaError>>;

    /// Appends an encoded batch and returns the offset of its first record. It is acknowledged by all in-sync
    /// replicas. Batches are sent in the order of the calls, several may be in flight, and each may be sent again in
    /// that order, as it is, to another leader.
    ///
    /// # Errors
    /// After any error the outcome of this batch and of all later ones is not known, unless
    /// [`KafkaError::is_outcome_unknown`] says otherwise.
    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<i64, KafkaError>>;

    /// Reads batches from an offset on; waits at most `wait` if there is none.
    fn fetch(&self, from: i64, wait: Duration) -> BoxFuture<'_, Result<Fetched, KafkaError>>;

    /// Returns the offset behind the last record that all in-sync replicas have, as the leader knows it.
    fn end(&self) -> BoxFuture<'_, Result<i64, KafkaError>>;
}

impl<B: Broker + ?Sized> Broker for Arc<B> {
    fn take_over(&self) -> BoxFuture<'_, Result<ProducerId, KafkaError>> {
        (**self).take_over()
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<i64, KafkaError>> {
        (**self).append(batch)
    }

    fn fetch(&self, from: i64, wait: Duration) -> BoxFuture<'_, Result<Fetched, KafkaError>> {
        (**self).fetch(from, wait)
    }

    fn end(&self) -> BoxFuture<'_, Result<i64, KafkaError>> {
        (**self).end()
    }
}

/// What a fetch has found.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// The offset of the first record that the partition still has.
    pub start: i64,
    /// The offset behind the last record that all in-sync replicas have.
    pub end: i64,
    /// Whole batches, in order; the first may begin before the offset that was asked for.
    pub batches: Vec<StoredBatch>,
}
