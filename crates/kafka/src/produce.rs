use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TransactionalId};
use kafka_protocol::protocol::StrBytes;

use crate::client::Partition;
use crate::connection::{Connection, Reply};
use crate::error::KafkaError;

const BY_ALL_IN_SYNC: i16 = -1;

/// The newest version of Produce that does not open a transaction itself.
const OLD_TRANSACTIONS: i16 = 11;

/// The result of a Produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceResult {
    /// The offset of the first record. For a repeat of one of the producer's last five batches, the
    /// offset of the original.
    pub base_offset: i64,
}

/// The pending answer to a Produce.
#[must_use = "the outcome of an append is unknown until its answer arrives"]
#[derive(Debug)]
pub struct ProduceReply(Reply<ProduceRequest>);

impl Connection {
    /// Sends encoded batches with `acks=all`. Brokers accept one batch per partition and request.
    ///
    /// # Errors
    /// The request was not sent.
    pub fn produce(
        &self,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, KafkaError> {
        self.send(&request(partition, batches, within)).map(ProduceReply)
    }

    /// Sends batches of a transaction; opens the transaction if needed (from Kafka 4.0 on).
    ///
    /// # Errors
    /// The request was not sent.
    pub fn produce_in(
        &self,
        transactional_id: &str,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, KafkaError> {
        let request = request(partition, batches, within);
        let request = request.with_transactional_id(Some(transactional(transactional_id)));
        self.send(&request).map(ProduceReply)
    }

    /// Sends batches of a transaction that is already open, as clients did until Kafka 4.0.
    ///
    /// # Errors
    /// The request was not sent.
    pub fn produce_in_open(
        &self,
        transactional_id: &str,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, KafkaError> {
        let request = request(partition, batches, within);
        let request = request.with_transactional_id(Some(transactional(transactional_id)));
        self.send_at(OLD_TRANSACTIONS, &request).map(ProduceReply)
    }
}

fn request(partition: &Partition, batches: Bytes, within: Duration) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition.number);
    let data = data.with_records(Some(batches));
    let topic = TopicProduceData::default().with_name(partition.topic_name());
    ProduceRequest::default()
        .with_acks(BY_ALL_IN_SYNC)
        .with_timeout_ms(i32::try_from(within.as_millis()).unwrap_or(i32::MAX))
        .with_topic_data(vec![topic.with_partition_data(vec![data])])
}

pub(crate) fn transactional(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}

impl ProduceReply {
    /// Waits until all in-sync replicas have the batch, or the broker refuses it.
    ///
    /// # Errors
    /// The broker refused the batch, or no answer came in time.
    pub async fn wait(self) -> Result<ProduceResult, KafkaError> {
        ProduceResult::of(self.0.wait().await?)
    }

    /// Waits at most `patience` from now on.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn wait_for(self, patience: Duration) -> Result<ProduceResult, KafkaError> {
        ProduceResult::of(self.0.wait_for(patience).await?)
    }
}

impl ProduceResult {
    /// Reads the answer to a Produce of one partition.
    ///
    /// # Errors
    /// The broker refused the batch, or the answer names no partition.
    pub fn of(mut answer: ProduceResponse) -> Result<Self, KafkaError> {
        let only = answer.responses.pop().and_then(|mut topic| topic.partition_responses.pop());
        let missing = || KafkaError::malformed("ProduceRequest", "it names no partition");
        let only = only.ok_or_else(missing)?;
        KafkaError::check("ProduceRequest", only.error_code, only.error_message.as_deref())?;
        Ok(ProduceResult { base_offset: only.base_offset })
    }
}
