use crate::wire::{Connection, KafkaError, Partition, StoredBatch, StoredRecord};

use leftfold_cluster::ledger::{Ledger, Verdict};

/// Reads a partition from its beginning and returns the records that count.
#[derive(Debug, Clone)]
pub struct Follower {
    partition: Partition,
    ledger: Ledger,
    next_offset: i64,
}

impl Follower {
    /// Creates a follower that has read nothing.
    pub fn new(partition: Partition) -> Self {
        Follower { partition, ledger: Ledger::default(), next_offset: 0 }
    }

    /// Reads up to this offset, exclusive, and returns the new records that count.
    pub fn read_to(
        &mut self,
        leader: &Connection,
        to: i64,
    ) -> Result<Vec<StoredRecord>, KafkaError> {
        let batches = leader.read_range(&self.partition, self.next_offset, to)?;
        Ok(self.fold(&batches, to))
    }

    fn fold(&mut self, batches: &[StoredBatch], to: i64) -> Vec<StoredRecord> {
        let mut counting = Vec::new();
        for stored in batches.iter().flat_map(|batch| &batch.records) {
            if stored.offset < self.next_offset || stored.offset >= to {
                continue;
            }
            self.next_offset = stored.offset + 1;
            if self.ledger.apply(&stored.record) == Verdict::Counts {
                counting.push(stored.clone());
            }
        }
        self.next_offset = self.next_offset.max(to);
        counting
    }

    /// Adds a record of the owner that is known to be at the next offset, without reading it.
    pub(super) fn add_known(&mut self, record: &crate::wire::Record) -> Verdict {
        self.next_offset += 1;
        self.ledger.apply(record)
    }

    /// Returns the offset behind the last record read.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Returns the state of the rule.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns the partition.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }
}
