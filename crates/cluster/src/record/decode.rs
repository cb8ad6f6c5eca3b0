use std::slice::Iter;

use leftfold_kafka::{StoredBatch, StoredRecord};
use leftfold_store::{CommittedAppend, CommittedEvent};

use super::claim::Claimant;
use super::error::RecordError;
use super::fields::{Fields, ReadTime};
use crate::ledger::{Ledger, Mark, Stamp, Verdict, VoidReason};

/// What a record or several of them mean.
#[derive(Debug, Clone)]
pub enum Decoded {
    /// A term begins.
    Claim {
        /// The offset of the claim.
        offset: i64,
        /// The term.
        term: u64,
        /// The node that claims.
        owner: Claimant,
    },
    /// An append counts.
    Append {
        /// The append.
        append: CommittedAppend,
        /// The stamp of its last record.
        last: Stamp,
    },
    /// A record counts that holds nothing.
    Barrier {
        /// Its offset.
        offset: i64,
        /// Its stamp.
        stamp: Stamp,
    },
    /// A record is void.
    Void {
        /// Its offset.
        offset: i64,
        /// The reason.
        reason: VoidReason,
    },
}

/// Reads a partition in the order of the log.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    ledger: Ledger,
    next_offset: i64,
}

impl Decoder {
    /// Returns a decoder that has read all records below an offset.
    pub fn resume(ledger: Ledger, next_offset: i64) -> Self {
        Decoder { ledger, next_offset }
    }

    /// Returns the state of the rule.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns the offset of the next record to read.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Applies consecutive records that their writer need not read. Returns whether they are the next ones, and count;
    /// otherwise nothing changes.
    pub fn apply_own(&mut self, base_offset: i64, first: Stamp, records: u64) -> bool {
        let end = i64::try_from(records).ok().and_then(|records| base_offset.checked_add(records));
        let Some(end) = end.filter(|_| base_offset == self.next_offset) else { return false };
        let counts = self.ledger.apply_own(first, records);
        if counts {
            self.next_offset = end;
        }
        counts
    }

    /// Reads the next batch. Records that were read before are passed over.
    ///
    /// # Errors
    /// A record that counts cannot be read. The decoder then stands before the batch.
    pub fn decode(&mut self, batch: &StoredBatch) -> Result<Vec<Decoded>, RecordError> {
        let mut next = self.clone();
        let mut decoded = Vec::with_capacity(batch.records.len());
        let mut records = batch.records.iter();
        while let Some(stored) = records.next() {
            if stored.offset >= next.next_offset {
                decoded.push(next.read(stored, &mut records)?);
            }
        }
        next.next_offset = next.next_offset.max(batch.last_offset.saturating_add(1));
        *self = next;
        Ok(decoded)
    }

    fn read(
        &mut self,
        stored: &StoredRecord,
        rest: &mut Iter<'_, StoredRecord>,
    ) -> Result<Decoded, RecordError> {
        let (offset, record) = (stored.offset, &stored.record);
        let mark = Mark::of(record);
        match (self.apply(stored, mark), mark) {
            (Verdict::Counts, Some(mark)) => self.read_counting(stored, mark, rest),
            (Verdict::Claim, _) => {
                let owner = Claimant::read(self.ledger.owner());
                Ok(Decoded::Claim { offset, term: self.ledger.term(), owner })
            }
            (Verdict::Void(reason), _) => Ok(Decoded::Void { offset, reason }),
            (Verdict::Counts, None) => Err(unreadable(stored, "its stamp is missing")),
        }
    }

    fn apply(&mut self, stored: &StoredRecord, mark: Option<Mark<'_>>) -> Verdict {
        self.next_offset = stored.offset.saturating_add(1);
        self.ledger.apply_marked(mark, &stored.record)
    }

    fn read_counting(
        &mut self,
        stored: &StoredRecord,
        mark: Mark<'_>,
        rest: &mut Iter<'_, StoredRecord>,
    ) -> Result<Decoded, RecordError> {
        let mut fields = Fields::read(&stored.record).map_err(|why| unreadable(stored, why))?;
        let record = &stored.record;
        if mark.place.is_empty()
            && record.key.is_none()
            && record.value.is_none()
            && fields.is_bare()
        {
            return Ok(Decoded::Barrier { offset: stored.offset, stamp: mark.stamp });
        }
        let Some((0, count)) = mark.place() else {
            return Err(unreadable(stored, "expected is the first record of an append"));
        };
        let append = fields.append().map_err(|why| unreadable(stored, why))?;
        let position = u64::try_from(stored.offset).ok().and_then(|offset| offset.checked_add(1));
        let mut committed = CommittedAppend {
            first: position.ok_or_else(|| unreadable(stored, "its offset is negative"))?,
            append_id: append.append_id,
            commit_time: append.commit_time.time,
            events: Vec::new(),
            checkpoints: append.checkpoints,
        };
        let is_empty = record.key.is_none() && record.value.is_none() && !fields.has_event();
        if is_empty && count == 1 {
            return Ok(Decoded::Append { append: committed, last: mark.stamp });
        }
        let count_here = u64::try_from(rest.len()).map_or(count, |rest| count.min(rest + 1));
        committed.events.reserve_exact(usize::try_from(count_here).unwrap_or(0));
        committed.events.push(read_event(stored, fields, append.commit_time)?);
        for index in 1..count {
            let stored = rest.next().ok_or_else(|| {
                unreadable(
                    stored,
                    format!("its batch holds {index} of the append's {count} records"),
                )
            })?;
            committed.events.push(self.read_following(
                stored,
                &committed,
                append.commit_time,
                (index, count),
            )?);
        }
        Ok(Decoded::Append { append: committed, last: mark.stamp.after(count - 1) })
    }

    /// Reads a record of an append behind the first.
    fn read_following(
        &mut self,
        stored: &StoredRecord,
        append: &CommittedAppend,
        commit_time: ReadTime<'_>,
        (index, count): (u64, u64),
    ) -> Result<CommittedEvent, RecordError> {
        let is_next = u64::try_from(stored.offset).ok() == append.first.checked_add(index - 1);
        let mark = Mark::of(&stored.record);
        let place = mark.and_then(|mark| mark.place());
        let counts = self.apply(stored, mark) == Verdict::Counts;
        if !is_next || !counts || place != Some((index, count)) {
            let why = format!("expected is record {} of {count} of an append", index + 1);
            return Err(unreadable(stored, why));
        }
        let fields = Fields::read(&stored.record).map_err(|why| unreadable(stored, why))?;
        if fields.has_append() {
            return Err(unreadable(stored, "only the first record of an append describes it"));
        }
        read_event(stored, fields, commit_time)
    }
}

fn read_event(
    stored: &StoredRecord,
    fields: Fields<'_>,
    commit_time: ReadTime<'_>,
) -> Result<CommittedEvent, RecordError> {
    let record = &stored.record;
    let key =
        record.key.as_ref().ok_or_else(|| unreadable(stored, "an event has a key, its stream"))?;
    fields.event(key, record.value.as_ref(), commit_time).map_err(|why| unreadable(stored, why))
}

fn unreadable(stored: &StoredRecord, reason: impl Into<String>) -> RecordError {
    RecordError { offset: stored.offset, reason: reason.into() }
}
