//! What is known of idempotent producers: the last batches of each in each partition.
//!
//! It decides what comes out of order. It does not decide what is a repeat: events get ids of their producer and
//! sequence, and the store recognises these, also after a restart, when nothing is known here any more.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use leftfold_kafka::{ProducerId, ResponseError, StoredBatch};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Batches that are remembered, as in Kafka: as many as a producer has in flight.
const BATCHES: usize = 5;
/// Producers in partitions that are remembered.
const MOST: usize = 100_000;
/// After this time without a batch a producer is forgotten, as in Kafka.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3_600);

/// The producers of all partitions.
#[derive(Default)]
pub(in crate::kafka) struct Producers(Mutex<HashMap<Key, Known>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    id: i64,
    topic: Uuid,
    partition: u32,
}

struct Known {
    epoch: i16,
    term: u64,
    batches: VecDeque<Written>,
    used: Instant,
}

/// A batch that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    first: i32,
    last: i32,
    offset: i64,
}

/// What a batch is to what was written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequence {
    /// It is to be written.
    Next,
    /// It was written at this offset.
    Repeated(i64),
}

/// Where a batch comes from, and goes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchOrigin {
    pub(super) producer: ProducerId,
    pub(super) topic: Uuid,
    pub(super) partition: u32,
    /// The term of the store's partition. In another one, another node may have had batches in between.
    pub(super) term: u64,
}

impl BatchOrigin {
    fn key(&self) -> Key {
        Key { id: self.producer.id, topic: self.topic, partition: self.partition }
    }

    /// Returns the id of the event of a record. The time tells records apart whose sequence came around again.
    pub(super) fn event_id(&self, sequence: i32, timestamp: i64) -> Uuid {
        let mut hash = Sha256::new();
        hash.update(b"leftfold kafka record");
        hash.update(self.producer.id.to_be_bytes());
        hash.update(self.producer.epoch.to_be_bytes());
        hash.update(self.topic.as_bytes());
        hash.update(self.partition.to_be_bytes());
        hash.update(sequence.to_be_bytes());
        hash.update(timestamp.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// Returns the sequence of the record that comes `by` records later.
pub(super) fn advance(sequence: i32, by: usize) -> i32 {
    let around = i64::from(i32::MAX) + 1;
    let by = i64::try_from(by).unwrap_or(i64::MAX) % around;
    i32::try_from((i64::from(sequence) + by) % around).unwrap_or(0)
}

impl Producers {
    /// Compares a batch with those before.
    ///
    /// # Errors
    /// It is out of order, or of an epoch that has passed.
    pub(super) fn check(
        &self,
        origin: &BatchOrigin,
        batch: &StoredBatch,
    ) -> Result<Sequence, ResponseError> {
        let known = self.0.lock();
        let known = known.get(&origin.key()).filter(|known| known.term == origin.term);
        let Some(known) = known else { return Ok(Sequence::Next) };
        let epoch = origin.producer.epoch;
        if epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if epoch > known.epoch {
            // A new epoch begins to count anew.
            let begins = batch.sequence == 0;
            return if begins {
                Ok(Sequence::Next)
            } else {
                Err(ResponseError::OutOfOrderSequenceNumber)
            };
        }
        let last = advance(batch.sequence, batch.records.len().saturating_sub(1));
        let same = |written: &&Written| (written.first, written.last) == (batch.sequence, last);
        if let Some(written) = known.batches.iter().find(same) {
            return Ok(Sequence::Repeated(written.offset));
        }
        match known.batches.back() {
            Some(newest) if batch.sequence == advance(newest.last, 1) => Ok(Sequence::Next),
            Some(newest) if batch.sequence > newest.last => {
                Err(ResponseError::OutOfOrderSequenceNumber)
            }
            Some(_) => Err(ResponseError::DuplicateSequenceNumber),
            None => Ok(Sequence::Next),
        }
    }

    /// Notes that a batch was written.
    pub(super) fn written(&self, origin: &BatchOrigin, batch: &StoredBatch, offset: i64) {
        let mut producers = self.0.lock();
        if producers.len() >= MOST {
            producers.retain(|_, known| known.used.elapsed() < FORGOTTEN);
        }
        if producers.len() >= MOST {
            // Repeats are recognised all the same.
            producers.clear();
        }
        let (epoch, term) = (origin.producer.epoch, origin.term);
        let new = || {
            let batches = VecDeque::with_capacity(BATCHES);
            Known { epoch, term, batches, used: Instant::now() }
        };
        let known = producers.entry(origin.key()).or_insert_with(new);
        if known.epoch < epoch || known.term != term {
            *known = new();
        }
        known.used = Instant::now();
        let is_next =
            known.batches.back().is_none_or(|newest| batch.sequence == advance(newest.last, 1));
        // A repeat on another connection may be done when later batches already are.
        if known.epoch > epoch || !is_next {
            return;
        }
        if known.batches.len() == BATCHES {
            known.batches.pop_front();
        }
        let last = advance(batch.sequence, batch.records.len().saturating_sub(1));
        known.batches.push_back(Written { first: batch.sequence, last, offset });
    }
}

#[cfg(test)]
mod tests {
    use leftfold_kafka::{Batch, Record};

    use super::*;

    fn origin(epoch: i16) -> BatchOrigin {
        let producer = ProducerId { id: 7, epoch };
        BatchOrigin { producer, topic: Uuid::nil(), partition: 1, term: 3 }
    }

    fn batch(sequence: i32, records: usize) -> StoredBatch {
        let records = (0..records).map(|_| Record::new("x"));
        let batch = Batch::of(0, records).from(ProducerId { id: 7, epoch: 0 }, sequence);
        StoredBatch::decode_all(batch.encode()).unwrap().remove(0)
    }

    fn write(producers: &Producers, epoch: i16, sequence: i32, records: usize, offset: i64) {
        let batch = batch(sequence, records);
        assert_eq!(producers.check(&origin(epoch), &batch), Ok(Sequence::Next));
        producers.written(&origin(epoch), &batch, offset);
    }

    #[test]
    fn a_batch_is_next_repeated_or_out_of_order() {
        let producers = Producers::default();
        for n in 0..7 {
            write(&producers, 0, n * 10, 10, i64::from(n) * 100);
        }
        let check = |sequence, records| producers.check(&origin(0), &batch(sequence, records));
        assert_eq!(check(60, 10), Ok(Sequence::Repeated(600)));
        assert_eq!(check(20, 10), Ok(Sequence::Repeated(200)));
        assert_eq!(check(10, 10), Err(ResponseError::DuplicateSequenceNumber));
        assert_eq!(check(71, 1), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(check(70, 1), Ok(Sequence::Next));
    }

    #[test]
    fn an_epoch_begins_at_zero_and_ends_those_before() {
        let producers = Producers::default();
        write(&producers, 3, 17, 1, 5);
        let check = |epoch, sequence| producers.check(&origin(epoch), &batch(sequence, 1));
        assert_eq!(check(2, 18), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(check(4, 18), Err(ResponseError::OutOfOrderSequenceNumber));
        write(&producers, 4, 0, 1, 6);
        assert_eq!(check(3, 18), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(check(4, 1), Ok(Sequence::Next));
    }

    #[test]
    fn a_late_repeat_is_not_the_newest_batch() {
        let producers = Producers::default();
        for n in 0..3 {
            write(&producers, 1, n, 1, i64::from(n));
        }
        // Both were checked when they were the next ones.
        producers.written(&origin(1), &batch(0, 1), 0);
        producers.written(&origin(0), &batch(9, 1), 9);
        let check = |sequence| producers.check(&origin(1), &batch(sequence, 1));
        assert_eq!(check(3), Ok(Sequence::Next));
        assert_eq!(check(1), Ok(Sequence::Repeated(1)));
    }

    #[test]
    fn in_another_term_nothing_is_known_of_a_producer() {
        let producers = Producers::default();
        write(&producers, 0, 0, 1, 0);
        let later = BatchOrigin { term: 5, ..origin(0) };
        let skipped = batch(7, 1);
        let out_of_order = Err(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(producers.check(&origin(0), &skipped), out_of_order);
        assert_eq!(producers.check(&later, &skipped), Ok(Sequence::Next));
        producers.written(&later, &skipped, 7);
        assert_eq!(producers.check(&later, &skipped), Ok(Sequence::Repeated(7)));
        assert_eq!(producers.check(&later, &batch(9, 1)), out_of_order);
    }

    #[test]
    fn sequences_come_around() {
        assert_eq!((advance(i32::MAX, 1), advance(i32::MAX - 1, 3), advance(5, 0)), (0, 1, 5));
        let producers = Producers::default();
        write(&producers, 0, i32::MAX - 1, 2, 0);
        write(&producers, 0, 0, 3, 2);
        write(&producers, 0, 3, 1, 5);
        let repeated = producers.check(&origin(0), &batch(i32::MAX - 1, 2));
        assert_eq!(repeated, Ok(Sequence::Repeated(0)));
    }

    #[test]
    fn ids_of_events_differ_by_all_that_tells_records_apart() {
        let one = origin(0).event_id(5, 9);
        // By Python's hashlib, from docs/format.md: a retry over an upgrade is a repeat as well.
        assert_eq!(one.to_string(), "283aff74-1972-80bf-80d0-03ba7b40ad02");
        assert_eq!(one, origin(0).event_id(5, 9));
        let other = BatchOrigin { partition: 2, ..origin(0) };
        for id in [
            origin(1).event_id(5, 9),
            origin(0).event_id(6, 9),
            origin(0).event_id(5, 8),
            other.event_id(5, 9),
        ] {
            assert_ne!(one, id);
        }
    }
}
