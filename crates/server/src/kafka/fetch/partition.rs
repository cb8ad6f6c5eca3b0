use bytes::{Bytes, BytesMut};
use leftfold_api::{EventStore, Page, Point, Read, Recorded, Start};
use leftfold_kafka::{BatchWriter, ResponseError};

use super::record::RecordShape;
use super::{Call, Found, LEAST, Wanted};
use crate::access::ReadPermit;
use crate::kafka::errors::{of_denial, of_page, of_read};
use crate::kafka::topics::Topic;

/// Offsets that a batch covers.
const MOST_OFFSETS: u64 = i32::MAX as u64;
/// Partitions whose records one client can have of `limits.answers_bytes`, at least.
const SHARED_BY: usize = 8;
/// Pages without an event to show that one Fetch reads of a partition: of what was scavenged.
const EMPTY_PAGES: usize = 16;
/// The share of a batch's bytes that is read first; what then fits is known by how much the records have grown.
const FIRST_SHARE: usize = 4;
/// A batch that lacks less than this share is full.
const LAST_SHARE: usize = 8;
/// By how much a record is larger than its event, about.
const USUAL_GROWTH: usize = 256;

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
        let most = most.min(share / SHARED_BY);
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
        let mut records = BytesMut::new();
        let mut filling = Filling {
            batch: BatchWriter::begin(&mut records, offset.cast_signed()),
            offset,
            reached: offset,
            most,
        };
        let from = Start::Including(Point::Ordinal(offset));
        let mut read = Read { from, ..Read::forward(query.clone()) }.with_ordinals();
        let (mut bytes, mut empty) = (0, 0);
        // A record is larger than its event by what its headers are called: less is read than may be sent.
        read = read.max_bytes((most / FIRST_SHARE).max(1));
        loop {
            let encode = |page: Page| {
                permit.admit(&page.events).map_err(|denial| of_denial(&denial))?;
                let size = page.events.iter().map(Recorded::size).sum::<usize>();
                Ok::<_, ResponseError>((filling.add(&shape, &page), size, page.more, page.cursor))
            };
            let read_page = state.read_in_turn_with(&read, encode).await;
            let added = read_page.map_err(|error| of_page(&error)).flatten();
            let (added, size, more, cursor) = match added {
                // What came before is sent; the error comes with the next Fetch.
                Err(_) if !filling.batch.is_empty() => break,
                added => added?,
            };
            if !added {
                break;
            }
            if !more {
                // What lies behind the last event was scavenged, up to the end that was seen before.
                let covered = end.min(offset.saturating_add(MOST_OFFSETS));
                filling.reached = filling.reached.max(covered);
                break;
            }
            read.from = Start::Excluding(Point::Cursor(cursor));
            bytes += size;
            empty += usize::from(size == 0);
            if empty == EMPTY_PAGES {
                if filling.batch.is_empty() {
                    // So much was scavenged that the next Fetch goes on behind it.
                    let reached = store.ordinal(query, read.from).await;
                    filling.reached = reached.map_err(|error| of_read(&error))?.max(offset);
                }
                break;
            }
            let (len, left) = (filling.batch.len(), most.saturating_sub(filling.batch.len()));
            if left < most / LAST_SHARE {
                break;
            }
            if bytes > 0 {
                read.max_bytes = (left as u128 * bytes as u128 / len as u128).max(1) as usize;
            }
        }
        let reached = filling.finish();
        if reached == offset {
            records.clear();
        }
        Ok(Batch { records, end: reached })
    }
}

/// A batch that is being filled with pages.
struct Filling<'a> {
    batch: BatchWriter<'a>,
    offset: u64,
    /// The offset behind what it covers.
    reached: u64,
    /// Its bytes, at most; its first record comes at any size.
    most: usize,
}

impl Filling<'_> {
    /// Adds the events of a page. Returns whether there was room for all of them.
    fn add(&mut self, shape: &RecordShape<'_>, page: &Page) -> bool {
        let sizes = page.events.iter().map(|event| event.size() + USUAL_GROWTH);
        self.batch.reserve(sizes.sum::<usize>().min(self.most.saturating_sub(self.batch.len())));
        for event in &page.events {
            let ordinal = event.ordinal().unwrap_or(self.reached);
            if ordinal - self.offset >= MOST_OFFSETS {
                // The next Fetch goes on behind a batch without records.
                if self.batch.is_empty() {
                    self.reached = self.offset.saturating_add(MOST_OFFSETS);
                }
                return false;
            }
            if !shape.add(&mut self.batch, ordinal.cast_signed(), event, self.most) {
                return false;
            }
            self.reached = ordinal + 1;
        }
        true
    }

    /// Ends the batch; returns the offset behind it. Without records it tells a consumer to go on behind what was scavenged.
    fn finish(self) -> u64 {
        // A batch counts its offsets in 31 bits.
        let reached = self.reached.min(self.offset.saturating_add(MOST_OFFSETS));
        self.batch.finish(reached.cast_signed() - 1);
        reached
    }
}
