use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TransactionalId};
use kafka_protocol::protocol::StrBytes;

use super::client::Partition;
use super::connection::{Connection, Reply};
use super::error::WireError;

const BY_ALL_IN_SYNC: i16 = -1;

/// The newest Produce that leaves it to AddPartitionsToTxn to open a transaction.
const OLD_TRANSACTIONS: i16 = 11;

/// Where a batch was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// The offset of its first record. For a repeat of one of the producer's last five batches: the
    /// offset it got the first time.
    pub base_offset: i64,
}

/// The answer to a Produce.
#[must_use = "an append that nobody waits for has an outcome that nobody knows"]
#[derive(Debug)]
pub struct ProduceReply(Reply<ProduceRequest>);

impl Connection {
    /// Sends encoded batches to be appended by all in-sync replicas. Brokers take one batch for a
    /// partition and request.
    pub fn produce(
        &self,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, WireError> {
        self.send(&request(partition, batches, within)).map(ProduceReply)
    }

    /// The same as part of a transaction, which it opens if it is not open (from Kafka 4.0 on).
    pub fn produce_in(
        &self,
        transactional_id: &str,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, WireError> {
        let request = request(partition, batches, within);
        let request = request.with_transactional_id(Some(transactional(transactional_id)));
        self.send(&request).map(ProduceReply)
    }

    /// The same as part of a transaction that was opened before, as clients did until Kafka 4.0.
    pub fn produce_in_open(
        &self,
        transactional_id: &str,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, WireError> {
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

pub(super) fn transactional(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}

impl ProduceReply {
    /// Waits until all in-sync replicas have it, or it is refused.
    pub fn wait(self) -> Result<Produced, WireError> {
        self.0.wait().and_then(only_answer)
    }

    /// Waits so long.
    pub fn wait_for(self, patience: Duration) -> Result<Produced, WireError> {
        self.0.wait_for(patience).and_then(only_answer)
    }
}

pub(crate) fn only_answer(
    mut answer: kafka_protocol::messages::ProduceResponse,
) -> Result<Produced, WireError> {
    let only = answer.responses.pop().and_then(|mut topic| topic.partition_responses.pop());
    let only =
        only.ok_or_else(|| WireError::malformed("ProduceRequest", "it names no partition"))?;
    WireError::check("ProduceRequest", only.error_code, only.error_message.as_deref())?;
    Ok(Produced { base_offset: only.base_offset })
}
