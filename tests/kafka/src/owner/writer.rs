use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::wire::{
    Batch, Connection, Isolation, Partition, Place, ProduceReply, Produced, ProducerId, Record,
    StoredRecord, WireError,
};

use super::error::OwnerError;
use super::ledger::{Stamp, Verdict};
use super::log::Follower;

/// How long a leader may wait for its followers.
const WITHIN: Duration = Duration::from_secs(10);

/// Who claims.
#[derive(Debug, Clone)]
pub struct Identity {
    /// A name for people.
    pub name: String,
    /// What the broker fences by, if it does.
    pub producer: ProducerId,
}

/// The owner of a partition for one term.
#[derive(Debug)]
pub struct Owner {
    leader: Connection,
    identity: Identity,
    /// What is known to be in the log.
    known: Follower,
    term: u64,
    /// Stamp and sequence of the next record to be sent.
    next: Stamp,
    sequence: i32,
    over: bool,
}

/// An append on its way.
#[must_use = "an append that is not confirmed has an outcome that nobody knows"]
#[derive(Debug)]
pub struct Appending {
    reply: ProduceReply,
    records: Vec<Record>,
    /// The stamp behind its last record.
    end: Stamp,
}

/// What became of an append that was in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It counts; its first record is here.
    Landed(i64),
    /// It never will count.
    Never,
    /// It may still land; the next claim decides.
    Open,
}

impl Owner {
    /// Claims the partition: reads it to its end, writes a claim of the next term, reads up to that.
    /// Gives the owner, and all that counts.
    pub fn claim(
        leader: &Connection,
        partition: &Partition,
        identity: Identity,
    ) -> Result<(Self, Vec<StoredRecord>), OwnerError> {
        let mut known = Follower::new(partition.clone());
        let end = leader.offset(partition, Place::Latest, Isolation::Uncommitted)?;
        let mut counting = known.read_to(leader, end)?;
        let term = known.ledger().term() + 1;
        let claim = Stamp::claim(term, &identity.name);
        let batch = Batch::of(now_millis(), [claim.clone()]).from(identity.producer, 0);
        let at = leader.produce(partition, batch.encode(), WITHIN)?.wait()?.base_offset;
        counting.extend(known.read_to(leader, at)?);
        if known.knows(&claim) != Verdict::Claim {
            return Err(OwnerError::Overtaken);
        }
        let next = Stamp { term, number: 1 };
        let leader = leader.clone();
        let owner = Owner { leader, identity, known, term, next, sequence: 1, over: false };
        Ok((owner, counting))
    }

    /// Sends one batch: all of it lands, or nothing. Several may be on their way.
    pub fn send(&mut self, records: Vec<Record>) -> Result<Appending, OwnerError> {
        self.check_not_over()?;
        let (mut next, mut stamped) = (self.next, Vec::with_capacity(records.len()));
        for record in records {
            stamped.push(next.put_on(record));
            next.number += 1;
        }
        let batch = Batch::of(now_millis(), stamped).from(self.identity.producer, self.sequence);
        let reply = self.leader.produce(self.known.partition(), batch.encode(), WITHIN)?;
        self.sequence = batch.next_sequence();
        self.next = next;
        Ok(Appending { reply, records: batch.records, end: next })
    }

    /// Waits until an append counts; gives the offset of its first record. They are best confirmed
    /// in the order in which they were sent: any other costs a read.
    pub fn confirm(&mut self, appending: Appending) -> Result<i64, OwnerError> {
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

    /// The one place where something is acknowledged: it landed behind what is known, or what came
    /// between is read first.
    fn acknowledge(
        &mut self,
        landed: Produced,
        records: &[Record],
        end: Stamp,
    ) -> Result<i64, OwnerError> {
        if landed.base_offset > self.known.next_offset() {
            let read = self.known.read_to(&self.leader, landed.base_offset);
            read.map_err(|error| self.give_up(error))?;
        }
        // A barrier may have read it already.
        if landed.base_offset == self.known.next_offset() {
            records.iter().for_each(|record| _ = self.known.knows(record));
        }
        let reached = self.known.ledger().next();
        if reached.term == self.term && reached >= end {
            return Ok(landed.base_offset);
        }
        Err(self.deposed("a newer claim, or a gap, lies before the append"))
    }

    /// Before a linearizable read, on clusters whose leader can't be cut off from the others: asks
    /// the leader how far the log goes, and reads what is not known yet.
    pub fn barrier(&mut self) -> Result<(), OwnerError> {
        self.check_not_over()?;
        let partition = self.known.partition().clone();
        let end = self.leader.offset(&partition, Place::Latest, Isolation::Uncommitted);
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

    /// Before a linearizable read, on any cluster: a record that means nothing, which all in-sync
    /// replicas must take. A leader that was deposed without knowing it can't get that done.
    pub fn strict_barrier(&mut self) -> Result<(), OwnerError> {
        self.append(vec![Record::default()]).map(|_| ())
    }

    /// What became of an append of this term, as far as the log tells by now.
    pub fn fate(
        leader: &Connection,
        partition: &Partition,
        first: Stamp,
    ) -> Result<Fate, OwnerError> {
        let mut reader = Follower::new(partition.clone());
        let end = leader.offset(partition, Place::Latest, Isolation::Uncommitted)?;
        let counting = reader.read_to(leader, end)?;
        let found = counting.iter().find(|stored| Stamp::of(&stored.record) == Some(first));
        let over = reader.ledger().term() > first.term;
        Ok(match found {
            Some(stored) => Fate::Landed(stored.offset),
            None if over => Fate::Never,
            None => Fate::Open,
        })
    }

    /// The stamp that the next append begins with.
    pub fn next(&self) -> Stamp {
        self.next
    }

    /// What it knows of the log.
    pub fn known(&self) -> &Follower {
        &self.known
    }

    /// Its producer, as the broker knows it.
    pub fn producer(&self) -> ProducerId {
        self.identity.producer
    }

    fn check_not_over(&self) -> Result<(), OwnerError> {
        if !self.over {
            return Ok(());
        }
        Err(OwnerError::Deposed { term: self.term, why: "it has given up before".to_owned() })
    }

    fn give_up(&mut self, error: WireError) -> OwnerError {
        self.over = true;
        if error.fenced() { self.deposed(&error.to_string()) } else { OwnerError::Doubt(error) }
    }

    fn deposed(&mut self, why: &str) -> OwnerError {
        self.over = true;
        OwnerError::Deposed { term: self.term, why: why.to_owned() }
    }
}

/// Brokers forget a producer by the time that its batches give, so it must be that of the clock.
fn now_millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
