//! An idempotent producer that costs little itself: batches are encoded once, and only their numbers change.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use leftfold_kafka::{Batch, Connection, Partition, ProduceReply, ProducerId, Record};

use crate::systems::{PATIENCE, System};

/// The bytes of a record's value.
pub(crate) const VALUE: usize = 256;
/// Batches that are encoded, so that a log does not repeat itself at once.
const ENCODED: usize = 64;
/// Where the numbers of a batch lie.
const CRC: std::ops::Range<usize> = 17..21;
const TIMES: [std::ops::Range<usize>; 2] = [27..35, 35..43];
const PRODUCER: std::ops::Range<usize> = 43..51;
const SEQUENCE: std::ops::Range<usize> = 53..57;

/// A producer with a connection of its own.
pub(crate) struct Producer {
    connection: Connection,
    id: ProducerId,
    partitions: Vec<(Partition, i32)>,
    batches: Vec<Bytes>,
    records: i32,
    in_flight: usize,
    sent: usize,
    pending: VecDeque<(Instant, ProduceReply)>,
}

impl Producer {
    /// Connects a producer with this number of records in a batch, and of batches at a time.
    pub(crate) async fn new(
        system: &System,
        topic: &str,
        partitions: i32,
        records: usize,
        in_flight: usize,
    ) -> anyhow::Result<Self> {
        let connection = system.connect().await?;
        let id = new_producer_id(&connection).await?;
        let partitions = (0..partitions).map(|number| (Partition::new(topic, number), 0)).collect();
        let mut letters = Letters(id.id.unsigned_abs());
        let batch = |_| {
            let records = (0..records).map(|_| Record::new(letters.value()));
            let batch = Batch { producer: Some(id), ..Batch::of(0, records) };
            batch.encode()
        };
        let batches = (0..ENCODED).map(batch).collect();
        let (records, pending) = (i32::try_from(records)?, VecDeque::with_capacity(in_flight));
        Ok(Producer { connection, id, partitions, batches, records, in_flight, sent: 0, pending })
    }

    /// Sends the next batch, to the next partition. Returns the latency of the oldest one if it had to wait for it.
    pub(crate) async fn send(&mut self) -> anyhow::Result<Option<Duration>> {
        let oldest = match self.pending.len() < self.in_flight {
            true => None,
            false => self.answered().await?,
        };
        let count = self.partitions.len();
        let (partition, sequence) =
            self.partitions.get_mut(self.sent % count).context("there are no partitions")?;
        let encoded = self.batches.get(self.sent % ENCODED).context("there are no batches")?;
        let batch = numbered(encoded, self.id, *sequence)?;
        *sequence = sequence.wrapping_add(self.records) & i32::MAX;
        let at = Instant::now();
        self.pending.push_back((at, self.connection.produce(partition, batch, PATIENCE)?));
        self.sent += 1;
        Ok(oldest)
    }

    /// Waits for the answer to the oldest batch.
    pub(crate) async fn answered(&mut self) -> anyhow::Result<Option<Duration>> {
        let Some((at, reply)) = self.pending.pop_front() else { return Ok(None) };
        reply.wait().await?;
        Ok(Some(at.elapsed()))
    }

    /// Sends batches until a moment, and waits for their answers. Returns the latencies of those that were answered
    /// before it.
    pub(crate) async fn run(&mut self, until: Instant) -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        while Instant::now() < until {
            latencies.extend(self.send().await?);
        }
        while self.answered().await?.is_some() {}
        Ok(latencies)
    }

    /// Sends this many records at least, and waits for their answers.
    pub(crate) async fn fill(&mut self, records: u64) -> anyhow::Result<()> {
        for _ in 0..records.div_ceil(u64::try_from(self.records)?) {
            self.send().await?;
        }
        while self.answered().await?.is_some() {}
        Ok(())
    }
}

/// Returns a new producer id; a broker that has just started gives none at first.
async fn new_producer_id(connection: &Connection) -> anyhow::Result<ProducerId> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connection.new_producer_id().await {
            Err(error) if error.code().is_some() && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            given => return Ok(given?),
        }
    }
}

/// Returns a batch with the numbers of its place in a partition, and the time.
fn numbered(encoded: &Bytes, id: ProducerId, sequence: i32) -> anyhow::Result<Bytes> {
    let mut batch = BytesMut::from(&encoded[..]);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    for times in TIMES {
        batch[times].copy_from_slice(&now.to_be_bytes());
    }
    batch[PRODUCER].copy_from_slice(&id.id.to_be_bytes());
    batch[SEQUENCE].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC.end..]);
    batch[CRC].copy_from_slice(&crc.to_be_bytes());
    Ok(batch.freeze())
}

/// Pseudo-random letters, by xorshift.
struct Letters(u64);

impl Letters {
    /// Returns a JSON object of the size of a value.
    fn value(&mut self) -> String {
        let mut value = String::from("{\"text\":\"");
        while value.len() + 2 < VALUE {
            self.0 = if self.0 == 0 { 1 } else { self.0 };
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            value.push(char::from(b'a' + (self.0 % 26) as u8));
        }
        value + "\"}"
    }
}
