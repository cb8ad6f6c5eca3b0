use bytes::{Bytes, BytesMut};
use leftfold_api::{EventStore, Page, Point, Read, Start};
use leftfold_kafka::{BatchWriter, ResponseError};

use super::record::RecordShape;
use super::{Call, Found, Wanted};
use crate::access::ReadPermit;
use crate::kafka::errors::{of_denial, of_page, of_read};
use crate::kafka::topics::Topic;

/// The fewest bytes for which it pays to read a partition.
const LEAST: usize = 1 << 10;
/// Offsets that a batch covers.
const MOST_OFFSETS: u64 = i32::MAX as u64;
/// Partitions whose records one client can have of `limits.answers_bytes`, at least.
const AT_ONCE: usize = 8;
/// Pages without an event to show that one Fetch reads of a partition: of what was scavenged.
const EMPTY_PAGES: usize = 16;

/// The records of a partition, and the offset behind the last one that they cover.
struct Batch {
    records: BytesMut,
    end: u64,
}

impl Call {
    /// Reads a partition from an offset on. It gets one record at least if it is the first one with records.
    pub(super) async fn read_partition(
        &self,
        name: &str,
        wanted: &Wanted,
        left: usize,
        is_first: bool,
    ) -> Found {
        let found = self.try_partition(name, wanted, left, is_first).await;
        found.unwrap_or_else(Found::failed)
    }

    async fn try_partition(
        &self,
        name: &str,
        wanted: &Wanted,
        left: usize,
        is_first: bool,
    ) -> Result<Found, ResponseError> {
        // What was listed begins to be when it is used.
        self.topic(name, true).await.map_err(|error| error.code())?;
        let found = self.broker.topics.find_for(&self.caller, name).await;
        let (topic, permit) = found.map_err(|error| error.code())?;
        let partition =
            topic.has(wanted.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        if wanted.leader_epoch > 0 {
            return Err(ResponseError::UnknownLeaderEpoch);
        }
        let offset = u64::try_from(wanted.offset).map_err(|_| ResponseError::OffsetOutOfRange)?;
        let end =
            self.broker.topics.end_of(&topic, partition).await.map_err(|error| of_read(&error))?;
        if offset > end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let most = usize::try_from(wanted.max_bytes).unwrap_or(0).min(left);
        let nothing =
            Found { code: 0, end: end.cast_signed(), records: Bytes::new(), memory: None };
        if offset == end || (most < LEAST && !is_first) {
            return Ok(nothing);
        }
        let state = &self.broker.state;
        // What a client can have of all answers is enough for several partitions.
        let share = state.config.answers_bytes.get() / 100 * state.config.share.min(100);
        let most = most.min(share / AT_ONCE);
        // The page, and then the batch that it becomes.
        let memory =
            state.limits.answers.wait(&self.client, 2 * most.max(LEAST), state.config.wait_time);
        let mut memory = memory.await.ok_or(ResponseError::KafkaStorageError)?;
        let batch = self.read_batch(&topic, &permit, partition, (offset, end), most).await?;
        if !memory.resize(batch.records.len().max(1)) {
            return Err(ResponseError::KafkaStorageError);
        }
        state.metrics.read(batch.end.saturating_sub(offset) as usize);
        let records = batch.records.freeze();
        Ok(Found {
            end: end.max(batch.end).cast_signed(),
            records,
            memory: Some(memory),
            ..nothing
        })
    }

    /// Reads and encodes what lies between an offset and an end that was seen before.
    async fn read_batch(
        &self,
        topic: &Topic,
        permit: &ReadPermit,
        partition: u32,
        (offset, end): (u64, u64),
        most: usize,
    ) -> Result<Batch, ResponseError> {
        let (state, store) = (&self.broker.state, &self.broker.state.store);
        let query = topic.query_of(partition);
        let keyless = topic.prefix.as_ref().and_then(|_| topic.keyless(partition));
        let source = state.config.kafka_source.as_str();
        let shape = RecordShape { topic, source, keyless: keyless.as_deref() };
        let from = Start::Including(Point::Ordinal(offset));
        let mut read = Read { from, ..Read::forward(query.clone()) };
        read = read.max_bytes(most.max(1)).with_ordinals();
        for _ in 0..EMPTY_PAGES {
            let encode = |page: Page| {
                permit.admit(&page.events).map_err(|denial| of_denial(&denial))?;
                let batch = encode(&shape, &page, (offset, end), most);
                Ok::<_, ResponseError>((batch, page.cursor))
            };
            let read_page = state.read_in_turn_with(&read, encode).await;
            let (batch, cursor) = read_page.map_err(|error| of_page(&error))??;
            if let Some(batch) = batch {
                return Ok(batch);
            }
            read.from = Start::Excluding(Point::Cursor(cursor));
        }
        // So much was scavenged that the next Fetch goes on behind it.
        let reached = store.ordinal(query, read.from).await.map_err(|error| of_read(&error))?;
        Ok(hole(offset, reached))
    }
}

/// Encodes a page as one batch; `None` if it shows nothing, but more follows.
fn encode(
    shape: &RecordShape<'_>,
    page: &Page,
    (offset, end): (u64, u64),
    most: usize,
) -> Option<Batch> {
    if page.events.is_empty() {
        return (!page.more).then(|| hole(offset, end));
    }
    let mut records =
        BytesMut::with_capacity(most.min(page.events.iter().map(|event| event.size() + 256).sum()));
    let mut batch = BatchWriter::begin(&mut records, offset.cast_signed());
    let mut reached = offset;
    for event in &page.events {
        let ordinal = event.ordinal().unwrap_or(reached);
        if ordinal - offset >= MOST_OFFSETS {
            return Some(match batch.is_empty() {
                true => hole(offset, ordinal),
                false => {
                    batch.finish(reached.cast_signed() - 1);
                    Batch { records, end: reached }
                }
            });
        }
        if !shape.add(&mut batch, ordinal.cast_signed(), event, most) {
            batch.finish(reached.cast_signed() - 1);
            return Some(Batch { records, end: reached });
        }
        reached = ordinal + 1;
    }
    if !page.more {
        // What lies behind the last event was scavenged, up to the end that was seen before.
        reached = reached.max(end.min(offset.saturating_add(MOST_OFFSETS)));
    }
    batch.finish(reached.cast_signed() - 1);
    Some(Batch { records, end: reached })
}

/// Returns a batch without records, which tells a consumer to go on behind what was scavenged.
fn hole(offset: u64, reached: u64) -> Batch {
    let mut records = BytesMut::new();
    // A batch counts its offsets in 31 bits; the next Fetch goes on behind it.
    let reached = reached.clamp(offset, offset.saturating_add(MOST_OFFSETS));
    if reached > offset {
        BatchWriter::begin(&mut records, offset.cast_signed()).finish(reached.cast_signed() - 1);
    }
    Batch { records, end: reached }
}
