use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::wire::{
    Batch, Connection, Isolation, KafkaError, OffsetSpec, Partition, ProduceReply, ProduceResult,
    ProducerId, Record, StoredRecord,
};

use super::error::OwnerError;
use super::log::Follower;
use leftfold_cluster::ledger::{Stamp, Verdict};

/// The time that a leader may wait for its followers.
const WITHIN: Duration = Duration::from_secs(10);

/// The identity of a claiming owner.
#[derive(Debug, Clone)]
pub struct Identity {
    /// A readable name.
    pub name: String,
    /// The producer id and epoch by which brokers fence.
    pub producer: ProducerId,
}

/// The owner of a partition for one term.
#[derive(Debug)]
pub struct Owner {
    leader: Connection,
    identity: Identity,
    /// The known part of the log.
    known: Follower,
    term: u64,
    /// The stamp and the sequence of the next record to send.
    next: Stamp,
    sequence: i32,
    over: bool,
}

/// An append that was sent and not confirmed yet.
#[must_use = "the outcome of an append is unknown until it is confirmed"]
#[derive(Debug)]
pub struct PendingAppend {
    reply: ProduceReply,
    records: Vec<Record>,
    /// The stamp behind its last record.
    end: Stamp,
}

/// The outcome of an append whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The append counts; this is the offset of its first record.
    Counts(i64),
    /// The append will never count.
    Never,
    /// The append may still land; the next claim decides.
    Open,
}

impl Owner {
    /// Claims the partition and returns the owner and all records that count.
    ///
    /// It reads the partition to its end, writes a claim of the next term, and reads up to the claim.
    pub fn claim(
        leader: &Connection,
        partition: &Partition,
        identity: Identity,
    ) -> Result<(Self, Vec<StoredRecord>), OwnerError> {
        let mut known = Follower::new(partition.clone());
        let end = leader.offset(partition, OffsetSpec::Latest, Isolation::Uncommitted)?;
        let mut counting = known.read_to(leader, end)?;
        let term = known.ledger().term() + 1;
        let claim = Stamp::claim(term, &identity.name);
        let batch = Batch::of(now_millis(), [claim.clone()]).from(identity.producer, 0);
        let at = leader.produce(partition, batch.encode(), WITHIN)?.wait()?.base_offset;
        counting.extend(known.read_to(leader, at)?);
        if known.add_known(&claim) != Verdict::Claim {
            return Err(OwnerError::Overtaken);
        }
        let next = Stamp { term, number: 1 };
        let leader = leader.clone();
        let owner = Owner { leader, identity, known, term, next, sequence: 1, over: false };
        Ok((owner, counting))
    }

    /// Sends one atomic batch without waiting; several may be in flight.
    pub fn send(&mut self, records: Vec<Record>) -> Result<PendingAppend, OwnerError> {
        self.check_not_over()?;
        let (mut next, mut stamped) = (self.next, Vec::with_capacity(records.len()));
        for record in records {
            stamped.push(next.add_to(record));
            next.number += 1;
        }
        let batch = Batch::of(now_millis(), stamped).from(self.identity.producer, self.sequence);
        let reply = self.leader.produce(self.known.partition(), batch.encode(), WITHIN)?;
        self.sequence = batch.next_sequence();
        self.next = next;
        Ok(PendingAppend { reply, records: batch.records, end: next })
    }

    /// Waits until an append counts and returns the offset of its first record.
    ///
    /// Confirm appends in the order in which they were sent; another order costs a read.
    pub fn confirm(&mut self, appending: PendingAppend) -> Result<i64, OwnerError> {
        match appending.reply.wait() {
            Ok(landed) => self.acknowledge(landed, &appending.records, appending.end),
            Err(error) => Err(self.give_up(error)),
        }
    }

    /// Sends a batch and waits until it counts.
    pub fn append(&mut self, records: Vec<Record>) -> Result<i64, OwnerError> {
        let appending = self.send(records)?;
        self.confirm(appending)
    }

    /// Acknowledges an append: it landed at the next known offset, or the gap is read first.
    ///
    /// No other code acknowledges appends.
    fn acknowledge(
        &mut self,
        landed: ProduceResult,
        records: &[Record],
        end: Stamp,
    ) -> Result<i64, OwnerError> {
        if landed.base_offset > self.known.next_offset() {
            let read = self.known.read_to(&self.leader, landed.base_offset);
            read.map_err(|error| self.give_up(error))?;
        }
        // A barrier may have read the records already.
        if landed.base_offset == self.known.next_offset() {
            records.iter().for_each(|record| _ = self.known.add_known(record));
        }
        let reached = self.known.ledger().next();
        if reached.term == self.term && reached >= end {
            return Ok(landed.base_offset);
        }
        Err(self.deposed("a newer claim or a gap precedes the append"))
    }

    /// Makes a following read linearizable if the leader cannot be cut off from its followers.
    ///
    /// It asks the leader for the end of the log and reads the unknown records.
    pub fn barrier(&mut self) -> Result<(), OwnerError> {
        self.check_not_over()?;
        let partition = self.known.partition().clone();
        let end = self.leader.offset(&partition, OffsetSpec::Latest, Isolation::Uncommitted);
        let end = end.map_err(|error| self.give_up(error))?;
        if end > self.known.next_offset() {
            let read = self.known.read_to(&self.leader, end);
            read.map_err(|error| self.give_up(error))?;
        }
        if self.known.ledger().term() == self.term {
            return Ok(());
        }
        Err(self.deposed("a newer claim is in the log"))
    }

    /// Makes a following read linearizable on any cluster.
    ///
    /// It appends an empty record, which all in-sync replicas must acknowledge. A leader that was
    /// deposed without knowing it cannot achieve that.
    pub fn strict_barrier(&mut self) -> Result<(), OwnerError> {
        self.append(vec![Record::default()]).map(|_| ())
    }

    /// Looks up in the log what became of an append of this term.
    pub fn find_outcome(
        leader: &Connection,
        partition: &Partition,
        first: Stamp,
    ) -> Result<AppendOutcome, OwnerError> {
        let mut reader = Follower::new(partition.clone());
        let end = leader.offset(partition, OffsetSpec::Latest, Isolation::Uncommitted)?;
        let counting = reader.read_to(leader, end)?;
        let found = counting.iter().find(|stored| Stamp::of(&stored.record) == Some(first));
        let over = reader.ledger().term() > first.term;
        Ok(match found {
            Some(stored) => AppendOutcome::Counts(stored.offset),
            None if over => AppendOutcome::Never,
            None => AppendOutcome::Open,
        })
    }

    /// Returns the stamp of the next append's first record.
    pub fn next(&self) -> Stamp {
        self.next
    }

    /// Returns the known part of the log.
    pub fn known(&self) -> &Follower {
        &self.known
    }

    /// Returns the owner's producer id and epoch.
    pub fn producer(&self) -> ProducerId {
        self.identity.producer
    }

    fn check_not_over(&self) -> Result<(), OwnerError> {
        if !self.over {
            return Ok(());
        }
        Err(OwnerError::Deposed { term: self.term, why: "the owner gave up earlier".to_owned() })
    }

    fn give_up(&mut self, error: KafkaError) -> OwnerError {
        self.over = true;
        if error.is_fenced() {
            self.deposed(&error.to_string())
        } else {
            OwnerError::OutcomeUnknown(error)
        }
    }

    fn deposed(&mut self, why: &str) -> OwnerError {
        self.over = true;
        OwnerError::Deposed { term: self.term, why: why.to_owned() }
    }
}

/// Returns the clock's time. Brokers expire producers by the timestamps of their batches.
fn now_millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
