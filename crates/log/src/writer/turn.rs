use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::builder::{FrameBuilder, Place};
use super::tail::{Tail, body_of};
use super::{Admit, Outcome, Slot};
use crate::error::WriteError;
use crate::format::{FrameHeader, SegmentHeader};
use crate::head::Head;
use crate::log::{SegmentInfo, Shared};
use crate::manifest::SegmentState;
use crate::options::{Durability, Packing};

/// A draft on its way to the writer, and whom to answer.
pub(super) struct Pending<A: Admit> {
    pub(super) draft: A::Draft,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Outcome<A>>,
}

/// The one writer of a log. It has no thread of its own: whoever owns it gives it turns.
pub(super) struct Writer<A: Admit> {
    shared: Arc<Shared>,
    admit: A,
    tail: Tail,
    next_position: u64,
    ticket: u64,
    commit_time: i64,
    /// Frames of this turn, not written yet.
    buffer: Vec<u8>,
    answers: Vec<(oneshot::Sender<Outcome<A>>, Outcome<A>)>,
    /// Whether the end of the log is known to be synced only in memory, by no mark on disk.
    mark_due: bool,
    unsynced_since: Option<Instant>,
    failed: Option<WriteError>,
}

impl<A: Admit> Writer<A> {
    pub(super) fn new(shared: Arc<Shared>, admit: A, commit_time: i64) -> io::Result<Self> {
        let Some(segment) = shared.segments.load().last().cloned() else {
            return Err(io::Error::other("the log has no segment"));
        };
        Ok(Writer {
            tail: Tail::new(segment, shared.options.preallocate)?,
            next_position: shared.next_position.load(Ordering::Acquire),
            ticket: 0,
            commit_time,
            buffer: Vec::new(),
            answers: Vec::new(),
            mark_due: shared.unmarked.load(Ordering::Acquire),
            unsynced_since: None,
            failed: None,
            shared,
            admit,
        })
    }

    /// One turn: admit all, write once, sync once, answer all.
    pub(super) fn turn(&mut self, items: VecDeque<Pending<A>>) {
        let before = self.ticket;
        for item in items {
            match self.failed.clone() {
                Some(error) => self.answers.push((item.answer, Err(error))),
                None => self.take(item),
            }
        }
        if self.failed.is_none() {
            let done = self.write().and_then(|()| self.sync_if_due());
            let done = done.and_then(|()| self.roll_if_told());
            done.unwrap_or_else(|error| self.fail(error));
        }
        if self.ticket > before {
            self.shared.meters.batch.add(self.ticket - before);
        }
        self.answer_all();
    }

    /// How long to wait for work before [`Writer::rest`] is due.
    pub(super) fn patience(&self) -> Duration {
        let idle = self.shared.options.idle;
        match (self.shared.options.durability, self.unsynced_since) {
            (Durability::Relaxed(within), Some(_)) => within.min(idle),
            _ => idle,
        }
    }

    /// Nothing to do: sync what is not, and note down up to where the log is synced. A segment that
    /// is to be closed is closed.
    pub(super) fn rest(&mut self) {
        if self.failed.is_none() {
            // What is synced is noted before the segment is left.
            let done = self.settle().and_then(|()| self.roll_if_told());
            done.unwrap_or_else(|error| self.fail(error));
        }
    }

    fn roll_if_told(&mut self) -> Result<(), WriteError> {
        let told = self.shared.closing_segment.swap(false, Ordering::AcqRel);
        if told && self.tail.end > SegmentHeader::SIZE {
            self.settle()?;
            self.answer_all();
            self.admit.before_roll();
            self.roll().map_err(|error| WriteError::io("opening a new segment", error))?;
        }
        Ok(())
    }

    /// The last turn is over.
    pub(super) fn close(mut self) {
        self.rest();
        self.shared.head.close(None);
    }

    fn settle(&mut self) -> Result<(), WriteError> {
        if self.unsynced_since.is_some() {
            self.sync()?;
        }
        if self.mark_due {
            self.lay_mark();
            self.write()?;
            self.sync()?;
            self.mark_due = false;
        }
        Ok(())
    }

    fn take(&mut self, item: Pending<A>) {
        let room = item.bytes as u64 + FrameHeader::SIZE as u64;
        if let Err(error) = self.roll_if_full(room) {
            self.fail(error.clone());
            return self.answers.push((item.answer, Err(error)));
        }
        self.commit_time = self.commit_time.max(self.shared.clock.now_micros());
        let slot = Slot {
            position: self.next_position,
            ticket: self.ticket + 1,
            commit_time: self.commit_time,
        };
        let place = self.place();
        let mut frame = FrameBuilder::new(&mut self.buffer, place, slot);
        let admitted = self.admit.admit(item.draft, slot, &mut frame);
        if admitted.is_ok() {
            match body_of(&self.tail.segment) {
                Ok(body) => self.next_position += frame.finish(&mut body.blocks.write()),
                Err(error) => return self.fail(WriteError::io("writing to the log", error)),
            }
            self.ticket = slot.ticket;
        } else {
            frame.abandon();
        }
        self.answers.push((item.answer, Ok(admitted)));
    }

    fn lay_mark(&mut self) {
        let (position, commit_time) = (self.next_position, self.commit_time);
        let slot = Slot { position, ticket: self.ticket, commit_time };
        let place = self.place();
        let frame = FrameBuilder::new(&mut self.buffer, place, slot);
        if let Ok(body) = body_of(&self.tail.segment) {
            frame.finish(&mut body.blocks.write());
        }
    }

    fn place(&self) -> Place {
        Place { base: self.tail.end, salt: self.tail.segment.salt, synced_mark: self.tail.synced }
    }

    fn write(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.tail.write(&self.buffer);
        written.map_err(|error| WriteError::io("writing to the log", error))?;
        self.buffer.clear();
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn sync_if_due(&mut self) -> Result<(), WriteError> {
        let due = match (self.shared.options.durability, self.unsynced_since) {
            (_, None) => false,
            (Durability::Synced, _) => true,
            (Durability::Relaxed(within), Some(since)) => since.elapsed() >= within,
        };
        if due { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        let started = Instant::now();
        self.tail.sync().map_err(|error| WriteError::io("syncing the log", error))?;
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.meters.sync.add(micros);
        self.unsynced_since = None;
        self.mark_due = true;
        let head = Head { position: self.next_position - 1, ticket: self.ticket };
        self.admit.synced(head);
        self.shared.head.publish(head);
        Ok(())
    }

    fn answer_all(&mut self) {
        for (answer, outcome) in self.answers.drain(..) {
            // Whoever dropped the future does not want to know.
            _ = answer.send(outcome);
        }
    }

    /// From here on nothing is written: after a failed sync nobody knows what the disk holds.
    fn fail(&mut self, error: WriteError) {
        for (_, outcome) in &mut self.answers {
            if let Ok(Ok(_)) = outcome {
                *outcome = Err(error.clone());
            }
        }
        self.failed = Some(error.clone());
        self.buffer.clear();
        self.shared.head.close(Some(error));
    }

    fn roll_if_full(&mut self, room: u64) -> Result<(), WriteError> {
        let end = self.tail.end + self.buffer.len() as u64;
        if end + room <= self.shared.options.segment_bytes || end == SegmentHeader::SIZE {
            return Ok(());
        }
        self.write()?;
        self.sync()?;
        self.answer_all();
        self.admit.before_roll();
        self.roll().map_err(|error| WriteError::io("opening a new segment", error))
    }

    fn roll(&mut self) -> io::Result<()> {
        let full = &self.tail.segment;
        let last = self.next_position - 1;
        let closed = full.live(SegmentState::Closed, last, self.tail.end);
        let numbers = [full.id + 1, self.next_position];
        let opened = self.shared.new_segment(numbers, self.commit_time, Some(closed))?;
        self.tail = Tail::new(opened.clone(), self.shared.options.preallocate)?;
        self.mark_due = false;
        self.shared.segments.rcu(|segments| {
            let mut segments = Vec::clone(segments);
            segments.push(opened.clone());
            segments
        });
        self.admit.rolled(SegmentInfo {
            id: opened.id,
            first: opened.first_position,
            last,
            sealed: false,
            active: true,
            bytes: self.tail.end,
            packing: Packing::Off,
            scavenged: false,
            repaired: false,
        });
        self.shared.head.wake();
        Ok(())
    }
}
