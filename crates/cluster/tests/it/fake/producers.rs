//! What a leader remembers of producers, and what it refuses because of it.

use std::collections::{BTreeMap, VecDeque};

use leftfold_kafka::{ProducerId, ResponseError, StoredBatch};

/// The number of batches of each producer that a leader knows again.
const REMEMBERED: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Producers {
    known: BTreeMap<i64, Producer>,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// The sequences of the last batches, first and last, and their offsets.
    batches: VecDeque<(i32, i32, i64)>,
}

/// What a leader does with a batch that it does not refuse.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// It appends the batch.
    Append,
    /// It has appended the batch before, at this offset.
    Repeat(i64),
}

impl Producers {
    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// Checks a batch.
    pub(super) fn check(&self, batch: &StoredBatch) -> Result<Check, ResponseError> {
        let Some(ProducerId { id, epoch }) = batch.producer else { return Ok(Check::Append) };
        // A leader accepts any sequence of a producer that it does not know.
        let Some(known) = self.known.get(&id) else { return Ok(Check::Append) };
        let sequences = (batch.sequence, batch.last_sequence());
        if epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if epoch > known.epoch {
            let is_first = batch.sequence == 0;
            return is_first
                .then_some(Check::Append)
                .ok_or(ResponseError::OutOfOrderSequenceNumber);
        }
        let repeated = known.batches.iter().find(|(first, last, _)| (*first, *last) == sequences);
        if let Some((_, _, offset)) = repeated {
            return Ok(Check::Repeat(*offset));
        }
        match known.batches.back() {
            Some((_, last, _)) if last.checked_add(1).unwrap_or(0) == batch.sequence => {
                Ok(Check::Append)
            }
            _ => Err(ResponseError::OutOfOrderSequenceNumber),
        }
    }

    /// Notes a batch that was appended.
    pub(super) fn note(&mut self, batch: &StoredBatch) {
        let Some(ProducerId { id, epoch }) = batch.producer else { return };
        let producer =
            self.known.entry(id).or_insert_with(|| Producer { epoch, batches: VecDeque::new() });
        if producer.epoch != epoch {
            *producer = Producer { epoch, batches: VecDeque::new() };
        }
        producer.batches.push_back((batch.sequence, batch.last_sequence(), batch.base_offset));
        if producer.batches.len() > REMEMBERED {
            producer.batches.pop_front();
        }
    }
}

/// The coordinator of the transactional id.
#[derive(Debug)]
pub(super) struct Coordinator {
    current: Option<ProducerId>,
    next_id: i64,
}

impl Coordinator {
    pub(super) fn new() -> Self {
        Coordinator { current: None, next_id: 1_000 }
    }

    /// Forgets the transactional id: the next takeover gets another producer id.
    pub(super) fn forget(&mut self) {
        self.current = None;
    }

    /// Gives the producer id its next epoch, or takes another id.
    pub(super) fn take_over(&mut self) -> ProducerId {
        let next = match self.current {
            Some(ProducerId { id, epoch }) if epoch < i16::MAX - 1 => {
                ProducerId { id, epoch: epoch + 1 }
            }
            _ => {
                self.next_id += 1;
                ProducerId { id: self.next_id, epoch: 0 }
            }
        };
        self.current = Some(next);
        next
    }
}
