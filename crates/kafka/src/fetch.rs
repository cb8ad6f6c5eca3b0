use std::collections::HashSet;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest};

use crate::batch::{StoredBatch, StoredRecord};
use crate::client::Partition;
use crate::connection::Connection;
use crate::error::KafkaError;

/// The isolation level of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All records that the in-sync replicas have, including those of open transactions.
    Uncommitted,
    /// Only records before the first open transaction; the reader omits aborted records.
    Committed,
}

const NOT_A_REPLICA: BrokerId = BrokerId(-1);
/// The most bytes per Fetch unless the caller says otherwise. A larger first batch is returned nevertheless.
const MOST_BYTES: i32 = 8 << 20;

/// The options of a Fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchOptions {
    /// The isolation level.
    pub isolation: Isolation,
    /// The most time that the broker waits for `least_bytes`.
    pub wait: Duration,
    /// The bytes for which the broker waits.
    pub least_bytes: i32,
    /// The most bytes of the answer. A larger first batch is returned nevertheless.
    pub most_bytes: i32,
}

impl Default for FetchOptions {
    fn default() -> Self {
        let isolation = Isolation::Uncommitted;
        FetchOptions { isolation, wait: Duration::ZERO, least_bytes: 1, most_bytes: MOST_BYTES }
    }
}

/// The result of a Fetch.
#[derive(Debug, Clone, Default)]
pub struct FetchResult {
    /// The offset of the first record that the partition still has.
    pub start: i64,
    /// The offset behind the last record that all in-sync replicas have.
    pub high_watermark: i64,
    /// The offset of the first record of an open transaction, or the high watermark.
    pub last_stable: i64,
    /// Aborted transactions among the batches: the producer id and the first offset of each.
    pub aborted: Vec<(i64, i64)>,
    /// Complete batches; the first may begin before the requested offset.
    pub batches: Vec<StoredBatch>,
}

impl Isolation {
    pub(crate) fn code(self) -> i8 {
        match self {
            Isolation::Uncommitted => 0,
            Isolation::Committed => 1,
        }
    }
}

impl Connection {
    /// Reads from this offset on. It waits for the answer as long as the broker may wait for records, plus the patience
    /// of the connection.
    ///
    /// # Errors
    /// The request was refused, the answer is damaged, or none came in time.
    pub async fn fetch(
        &self,
        partition: &Partition,
        from: i64,
        options: FetchOptions,
    ) -> Result<FetchResult, KafkaError> {
        let reply = self.send(&request(partition, from, options))?;
        let mut answer = reply.wait_for(self.patience().saturating_add(options.wait)).await?;
        KafkaError::check("FetchRequest", answer.error_code, None)?;
        let only = answer.responses.pop().and_then(|mut topic| topic.partitions.pop());
        let missing = || KafkaError::malformed("FetchRequest", "it names no partition");
        let only = only.ok_or_else(missing)?;
        KafkaError::check("FetchRequest", only.error_code, None)?;
        let aborted = only.aborted_transactions.unwrap_or_default();
        Ok(FetchResult {
            start: only.log_start_offset,
            high_watermark: only.high_watermark,
            last_stable: only.last_stable_offset,
            aborted: aborted.iter().map(|one| (one.producer_id.0, one.first_offset)).collect(),
            batches: StoredBatch::decode_all(only.records.unwrap_or_default())?,
        })
    }
}

fn request(partition: &Partition, from: i64, options: FetchOptions) -> FetchRequest {
    let asked = FetchPartition::default()
        .with_partition(partition.number)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(from)
        .with_partition_max_bytes(options.most_bytes);
    let topic = FetchTopic::default().with_topic(partition.topic_name());
    FetchRequest::default()
        .with_replica_id(NOT_A_REPLICA)
        .with_max_wait_ms(i32::try_from(options.wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(options.least_bytes)
        .with_max_bytes(options.most_bytes)
        .with_isolation_level(options.isolation.code())
        .with_session_epoch(-1)
        .with_topics(vec![topic.with_partitions(vec![asked])])
}

impl FetchResult {
    /// Returns the records without markers and, at isolation level Committed, without aborted ones.
    pub fn records(&self) -> Vec<&StoredRecord> {
        let mut begins = self.aborted.clone();
        begins.sort_by_key(|(_, first)| *first);
        let mut begins = begins.into_iter().peekable();
        let mut aborting = HashSet::new();
        let mut records = Vec::new();
        for batch in &self.batches {
            while let Some((producer, _)) = begins.next_if(|(_, at)| *at <= batch.last_offset) {
                aborting.insert(producer);
            }
            let producer = batch.producer.map_or(-1, |producer| producer.id);
            if batch.marker.is_some() {
                aborting.remove(&producer);
            } else if !batch.transactional || !aborting.contains(&producer) {
                records.extend(&batch.records);
            }
        }
        records
    }
}
