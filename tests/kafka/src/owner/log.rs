use crate::wire::{Connection, Partition, StoredBatch, StoredRecord, WireError};

use super::ledger::{Ledger, Verdict};

/// Reads a partition from its beginning and keeps what counts.
#[derive(Debug, Clone)]
pub struct Follower {
    partition: Partition,
    ledger: Ledger,
    next_offset: i64,
}

impl Follower {
    /// Has read nothing.
    pub fn new(partition: Partition) -> Self {
        Follower { partition, ledger: Ledger::default(), next_offset: 0 }
    }

    /// Reads up to this offset, exclusive, and gives what counts of it.
    pub fn read_to(
        &mut self,
        leader: &Connection,
        to: i64,
    ) -> Result<Vec<StoredRecord>, WireError> {
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
            if self.ledger.see(&stored.record) == Verdict::Counts {
                counting.push(stored.clone());
            }
        }
        self.next_offset = self.next_offset.max(to);
        counting
    }

    /// Takes a record of one's own that is known to lie exactly here.
    pub(super) fn knows(&mut self, record: &crate::wire::Record) -> Verdict {
        self.next_offset += 1;
        self.ledger.see(record)
    }

    /// Where it goes on.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// What it knows of terms.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Which partition it reads.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }
}
