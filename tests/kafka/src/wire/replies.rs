use std::time::Duration;

use kafka_protocol::protocol::Request;
use leftfold_kafka::{KafkaError, ProduceResult, ProducerId};

use super::block_on;

/// A pending answer.
#[must_use = "the outcome of a request is unknown until its answer arrives"]
#[derive(Debug)]
pub struct Reply<R>(pub(super) leftfold_kafka::Reply<R>);

/// The pending answer to a Produce.
#[must_use = "the outcome of an append is unknown until its answer arrives"]
#[derive(Debug)]
pub struct ProduceReply(pub(super) leftfold_kafka::ProduceReply);

/// The pending answer to a ListOffsets request.
#[must_use]
#[derive(Debug)]
pub struct OffsetReply(pub(super) leftfold_kafka::OffsetReply);

/// The pending answer to the end of a transaction.
#[must_use]
#[derive(Debug)]
pub struct EndReply(pub(super) leftfold_kafka::EndReply);

impl<R: Request> Reply<R> {
    /// Waits for the answer.
    pub fn wait(self) -> Result<R::Response, KafkaError> {
        block_on(self.0.wait())
    }

    /// Waits at most `patience` for the answer.
    pub fn wait_for(self, patience: Duration) -> Result<R::Response, KafkaError> {
        block_on(self.0.wait_for(patience))
    }
}

impl ProduceReply {
    /// Waits until all in-sync replicas have the batch, or the broker refuses it.
    pub fn wait(self) -> Result<ProduceResult, KafkaError> {
        block_on(self.0.wait())
    }

    /// Waits at most `patience`.
    pub fn wait_for(self, patience: Duration) -> Result<ProduceResult, KafkaError> {
        block_on(self.0.wait_for(patience))
    }
}

impl OffsetReply {
    /// Waits for the offset.
    pub fn wait(self) -> Result<i64, KafkaError> {
        block_on(self.0.wait())
    }
}

impl EndReply {
    /// Waits until the end is decided and returns the producer of the next transaction.
    pub fn wait(self) -> Result<ProducerId, KafkaError> {
        block_on(self.0.wait())
    }

    /// Waits at most `patience`.
    pub fn wait_for(self, patience: Duration) -> Result<ProducerId, KafkaError> {
        block_on(self.0.wait_for(patience))
    }
}
