//! A consumer that asks for the next records as soon as it knows where they begin, as the usual clients do, and then looks
//! at those that it has: the checksum of each batch, and where each record ends.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Buf, Bytes};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use leftfold_kafka::{Connection, Reply};

use crate::systems::{PATIENCE, System};

/// As Java's consumer: of a partition, and of all.
const PARTITION_BYTES: i32 = 1 << 20;
const BYTES: i32 = 50 << 20;
/// How long a broker may wait for records.
const WAIT: Duration = Duration::from_millis(500);
/// Bytes of a batch before its records.
const HEADER: usize = 61;
/// Where the checksum of a batch begins to count.
const CRC_FROM: usize = 21;

/// A consumer of all partitions of a topic, from their beginnings.
pub(crate) struct Consumer {
    connection: Connection,
    topic: TopicName,
    offsets: Vec<i64>,
    asked: Option<Reply<FetchRequest>>,
}

impl Consumer {
    /// Connects a consumer.
    pub(crate) async fn new(
        system: &System,
        topic: &str,
        partitions: usize,
    ) -> anyhow::Result<Self> {
        let connection = system.connect().await?;
        let topic = TopicName(StrBytes::from_string(topic.to_owned()));
        Ok(Consumer { connection, topic, offsets: vec![0; partitions], asked: None })
    }

    /// Returns the number of further records, and of their bytes, after it has asked for those behind them.
    pub(crate) async fn next(&mut self) -> anyhow::Result<(u64, usize)> {
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => self.ask()?,
        };
        let answer = asked.wait_for(PATIENCE + WAIT).await?;
        let batches = self.advance(answer)?;
        self.asked = Some(self.ask()?);
        let (mut records, mut bytes) = (0, 0);
        for batch in batches {
            records += checked(&batch)?;
            bytes += batch.len();
        }
        Ok((records, bytes))
    }

    fn ask(&self) -> anyhow::Result<Reply<FetchRequest>> {
        let partitions = (0..).zip(&self.offsets).map(|(number, offset)| {
            FetchPartition::default()
                .with_partition(number)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(PARTITION_BYTES)
        });
        let topic = FetchTopic::default()
            .with_topic(self.topic.clone())
            .with_partitions(partitions.collect());
        let request = FetchRequest::default()
            .with_max_wait_ms(i32::try_from(WAIT.as_millis())?)
            .with_min_bytes(1)
            .with_max_bytes(BYTES)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        Ok(self.connection.send(&request)?)
    }

    /// Splits an answer into batches, and goes on behind them.
    fn advance(&mut self, answer: FetchResponse) -> anyhow::Result<Vec<Bytes>> {
        let mut batches = Vec::new();
        let count = self.offsets.len();
        for partition in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            ensure!(partition.error_code == 0, "a Fetch is refused: {}", partition.error_code);
            let number = usize::try_from(partition.partition_index)?;
            let offset = self.offsets.get_mut(number);
            let offset = offset.with_context(|| format!("partition {number} of {count}"))?;
            let mut rest = partition.records.unwrap_or_default();
            while let Some(mut head) = rest.get(..HEADER) {
                let (base, length) = (head.get_i64(), usize::try_from(head.get_i32())? + 12);
                if length > rest.len() {
                    break;
                }
                let last = rest.get(23..27).and_then(|four| four.try_into().ok());
                let last = last.map(i32::from_be_bytes).context("a batch is cut off")?;
                *offset = base + i64::from(last) + 1;
                batches.push(rest.split_to(length));
            }
        }
        Ok(batches)
    }
}

/// Checks a batch, and returns the number of its records.
fn checked(batch: &Bytes) -> anyhow::Result<u64> {
    let sum = batch.get(17..CRC_FROM).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes);
    ensure!(sum == Some(crc32c::crc32c(&batch[CRC_FROM..])), "a batch is damaged");
    let (mut rest, mut records) = (&batch[HEADER..], 0);
    while !rest.is_empty() {
        let length = length(&mut rest)?;
        let Some(behind) = rest.get(length..) else { bail!("a record is cut off") };
        rest = behind;
        records += 1;
    }
    Ok(records)
}

/// Takes the length of a record from the start.
fn length(bytes: &mut &[u8]) -> anyhow::Result<usize> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (first, behind) = bytes.split_first().context("a length is cut off")?;
        *bytes = behind;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(usize::try_from(value >> 1)?);
        }
    }
    bail!("a length does not end")
}
