use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};

use crate::client::Partition;
use crate::connection::{Connection, Reply};
use crate::error::KafkaError;
use crate::fetch::Isolation;

/// An end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The offset of the first record.
    Earliest,
    /// The offset behind the last readable record.
    Latest,
}

const NOT_A_REPLICA: BrokerId = BrokerId(-1);

/// The pending answer to a ListOffsets request.
#[must_use]
#[derive(Debug)]
pub struct OffsetReply(Reply<ListOffsetsRequest>);

impl Connection {
    /// Asks a leader for an offset without waiting.
    ///
    /// With [`Isolation::Uncommitted`] the latest offset is the high watermark.
    ///
    /// # Errors
    /// The request was not sent.
    pub fn ask_offset(
        &self,
        partition: &Partition,
        place: OffsetSpec,
        isolation: Isolation,
    ) -> Result<OffsetReply, KafkaError> {
        let timestamp = match place {
            OffsetSpec::Earliest => -2,
            OffsetSpec::Latest => -1,
        };
        let asked = ListOffsetsPartition::default()
            .with_partition_index(partition.number)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(partition.topic_name());
        let request = ListOffsetsRequest::default()
            .with_replica_id(NOT_A_REPLICA)
            .with_isolation_level(isolation.code())
            .with_topics(vec![topic.with_partitions(vec![asked])]);
        self.send(&request).map(OffsetReply)
    }

    /// Asks a leader for an offset and waits for the answer.
    ///
    /// # Errors
    /// The request was not sent, or was refused, or no answer came in time.
    pub async fn offset(
        &self,
        partition: &Partition,
        place: OffsetSpec,
        isolation: Isolation,
    ) -> Result<i64, KafkaError> {
        self.ask_offset(partition, place, isolation)?.wait().await
    }
}

impl OffsetReply {
    /// Waits for the offset.
    ///
    /// # Errors
    /// The request was refused, or no answer came in time.
    pub async fn wait(self) -> Result<i64, KafkaError> {
        let mut answer = self.0.wait().await?;
        let only = answer.topics.pop().and_then(|mut topic| topic.partitions.pop());
        let missing = || KafkaError::malformed("ListOffsetsRequest", "it names no partition");
        let only = only.ok_or_else(missing)?;
        KafkaError::check("ListOffsetsRequest", only.error_code, None)?;
        Ok(only.offset)
    }
}
