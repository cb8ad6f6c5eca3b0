//! Producing by hand: an idempotent producer with several batches in flight.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use leftfold::Partitioner;
use leftfold_kafka::{Batch, Connection, Partition, ProduceReply, ProducerId, Record};

use super::broker::PATIENCE;

/// The batches of a partition that may be in flight: a broker knows as many of an idempotent producer.
const IN_FLIGHT: usize = 5;
/// The records of a batch, which stays below the broker's limit of 1 MB.
const BATCH: usize = 1_000;
/// The pause before a broker that has just started is asked once more.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends records to the partitions of a topic.
pub(super) struct Producer {
    connection: Connection,
    id: ProducerId,
    partitions: Vec<Sequence>,
}

/// A partition, the next sequence, and the batches in flight.
struct Sequence {
    partition: Partition,
    next: i32,
    pending: VecDeque<ProduceReply>,
}

impl Producer {
    /// Connects a producer.
    pub(super) async fn new(
        connection: Connection,
        topic: &str,
        partitions: u32,
    ) -> anyhow::Result<Self> {
        let id = new_producer_id(&connection).await?;
        let sequence = |number| Sequence {
            partition: Partition::new(topic, number),
            next: 0,
            pending: VecDeque::new(),
        };
        let partitions = (0..i32::try_from(partitions)?).map(sequence).collect();
        Ok(Producer { connection, id, partitions })
    }

    /// Sends records, each to the partition of its key. Waits only while too many batches are in flight.
    pub(super) async fn send(
        &mut self,
        records: impl IntoIterator<Item = Record>,
    ) -> anyhow::Result<()> {
        let count = u32::try_from(self.partitions.len())?;
        let mut by_partition: Vec<Vec<Record>> =
            self.partitions.iter().map(|_| Vec::new()).collect();
        for record in records {
            let key = record.key.as_deref().unwrap_or_default();
            let number = usize::try_from(Partitioner::Murmur2.partition_of(key, count))?;
            by_partition.get_mut(number).context("no such partition")?.push(record);
        }
        for (sequence, mut records) in self.partitions.iter_mut().zip(by_partition) {
            while !records.is_empty() {
                let rest = records.split_off(records.len().min(BATCH));
                sequence.send(&self.connection, self.id, records).await?;
                records = rest;
            }
        }
        Ok(())
    }

    /// Waits until the broker has all batches.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        for reply in self.partitions.iter_mut().flat_map(|sequence| sequence.pending.drain(..)) {
            reply.wait().await?;
        }
        Ok(())
    }
}

impl Sequence {
    async fn send(
        &mut self,
        connection: &Connection,
        id: ProducerId,
        records: Vec<Record>,
    ) -> anyhow::Result<()> {
        if self.pending.len() >= IN_FLIGHT
            && let Some(oldest) = self.pending.pop_front()
        {
            oldest.wait().await?;
        }
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let batch = Batch::of(now, records).from(id, self.next);
        self.next = batch.next_sequence();
        self.pending.push_back(connection.produce(&self.partition, batch.encode(), PATIENCE)?);
        Ok(())
    }
}

/// Returns a new producer id; a broker that has just started gives none at first.
async fn new_producer_id(connection: &Connection) -> anyhow::Result<ProducerId> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connection.new_producer_id().await {
            Err(error) if error.code().is_some() && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            given => return Ok(given?),
        }
    }
}
