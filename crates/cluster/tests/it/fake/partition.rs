//! The log that all in-sync replicas have.

use leftfold_kafka::{ProducerId, Record, ResponseError, StoredBatch, StoredRecord};

use super::producers::{Check, Producers};

#[derive(Debug, Default)]
pub(super) struct Partition {
    log: Vec<StoredBatch>,
    producers: Producers,
}

impl Partition {
    pub(super) fn log(&self) -> &[StoredBatch] {
        &self.log
    }

    /// Returns the offset behind the last record.
    pub(super) fn end(&self) -> i64 {
        self.log.last().map_or(0, |batch| batch.last_offset + 1)
    }

    pub(super) fn forget_producers(&mut self) {
        self.producers.forget();
    }

    /// Appends a batch as a leader does, and returns the offset of its first record.
    pub(super) fn append(&mut self, batch: &StoredBatch) -> Result<i64, ResponseError> {
        match self.producers.check(batch)? {
            Check::Repeat(offset) => Ok(offset),
            Check::Append => {
                let placed = self.place(batch.clone());
                self.producers.note(&placed);
                let offset = placed.base_offset;
                self.log.push(placed);
                Ok(offset)
            }
        }
    }

    /// Appends a batch that no leader checks.
    pub(super) fn append_unchecked(&mut self, batch: StoredBatch) {
        let placed = self.place(batch);
        self.log.push(placed);
    }

    /// Moves a batch to the end of the log.
    fn place(&self, mut batch: StoredBatch) -> StoredBatch {
        let moved = self.end() - batch.base_offset;
        batch.base_offset += moved;
        batch.last_offset += moved;
        batch.records.iter_mut().for_each(|stored| stored.offset += moved);
        batch
    }

    /// Returns at most `most` batches from an offset on, below an end.
    pub(super) fn read(&self, from: i64, end: i64, most: usize) -> Vec<StoredBatch> {
        let first = self.log.partition_point(|batch| batch.last_offset < from);
        let below = self.log[first..].iter().take_while(|batch| batch.last_offset < end);
        below.take(most).cloned().collect()
    }
}

/// Returns a batch of records without a producer.
pub(super) fn unfenced(records: Vec<Record>) -> StoredBatch {
    let records: Vec<_> = (0..)
        .zip(records)
        .map(|(offset, record)| StoredRecord { offset, timestamp: 0, record })
        .collect();
    StoredBatch {
        base_offset: 0,
        last_offset: records.len() as i64 - 1,
        producer: None::<ProducerId>,
        sequence: -1,
        transactional: false,
        marker: None,
        records,
    }
}
