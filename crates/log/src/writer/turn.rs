use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use leftfold_io::Clock;

use super::admit::{Admit, Outcome};
use super::commit::{Batch, Commit, Confirmation, Progress};
use super::in_flight::{Confirmed, InFlight, Mismatch};
use super::tail::{Tail, body_of};
use crate::blocks::Blocks;
use crate::catalog::{Catalog, SegmentInfo};
use crate::error::WriteError;
use crate::format::{FrameHeader, SegmentHeader};
use crate::frame_builder::{BufferLocation, FrameBuilder, Slot};
use crate::head::{Head, HeadCell};
use crate::log::{Opened, Request};
use crate::manifest::SegmentState;
use crate::meters::Meters;
use crate::options::{Compression, LogOptions};

/// A draft on its way to the writer, and its caller's answer channel.
pub(super) struct Pending<A: Admit> {
    pub(super) draft: A::Draft,
    pub(super) bytes: usize,
    /// None for a draft whose outcome its caller learns by that of a later one.
    pub(super) answer: Option<oneshot::Sender<Outcome<A>>>,
}

type Answer<A> = (Option<oneshot::Sender<Outcome<A>>>, Outcome<A>);

/// How long an idle writer waits before it tries again what had no space, or no file descriptor.
const STALLED: Duration = Duration::from_secs(1);

/// A segment is closed after this many positions: an index has offsets of 32 bits in it.
const POSITIONS_OF_SEGMENT: u64 = 1 << 31;

/// A writer looks at least this often whether the store is still its own, while it writes.
const CHECK_OWNERSHIP: Duration = Duration::from_millis(100);

/// On whose thread a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnOf {
    /// The writer's own thread, or that of its pump: it may wait for sealing and open a segment.
    Writer,
    /// A caller's thread: it writes and commits, and waits for nothing else.
    Caller,
}

/// The one writer of a log. It has no thread of its own: its owner gives it turns, and it never
/// waits for a commit that is in flight.
pub(super) struct Writer<A: Admit, C: Commit> {
    options: LogOptions,
    clock: Arc<dyn Clock>,
    catalog: Arc<Catalog>,
    head: Arc<HeadCell>,
    meters: Arc<Meters>,
    roll_request: Arc<Request>,
    sync_request: Arc<Request>,
    admit: A,
    commit: C,
    tail: Tail,
    next_position: u64,
    ticket: u64,
    commit_time: i64,
    /// Drafts that wait for a confirmation, or for the writer's own thread.
    backlog: VecDeque<Pending<A>>,
    /// Frames of the batch to come, not written yet.
    buffer: Vec<u8>,
    /// The position of the first of them.
    first: u64,
    in_flight: InFlight<Answer<A>>,
    /// The end of the last batch that was submitted.
    submitted: Submitted,
    /// Whether the end of the log is known to be synced only in memory, by no mark on disk.
    mark_due: bool,
    /// The term of this writer, which its frames have.
    term: u16,
    /// When it was last checked that no other process has the store.
    checked: Instant,
    failed: Option<WriteError>,
    /// The disk was full for a write: of the batch in the buffer or, if there is none, of a new segment,
    /// for which there may also have been no file descriptor.
    /// Nothing else is admitted until it succeeds.
    stalled: Option<WriteError>,
    /// A turn has begun and not ended.
    turning: bool,
}

#[derive(Debug, Clone, Copy)]
struct Submitted {
    number: u64,
    ticket: u64,
}

impl<A: Admit, C: Commit> Writer<A, C> {
    pub(super) fn new(opened: &Opened, admit: A, mut commit: C, waker: Waker) -> io::Result<Self> {
        let (log, end) = (&opened.log, opened.end);
        let Some(segment) = log.catalog().segments().last().cloned() else {
            return Err(io::Error::other("the log has no segment"));
        };
        commit.start(waker);
        let failed = log.is_read_only().then_some(WriteError::ReadOnly);
        if let Some(read_only) = &failed {
            log.head_cell().close(Some(read_only.clone()));
        }
        let (options, next_position) = (log.options().clone(), end.next_position);
        log.meters().commit_time.store(opened.commit_time, Ordering::Relaxed);
        Ok(Writer {
            tail: Tail::new(segment, options.preallocate, log.meters().clone())?,
            options,
            clock: log.clock().clone(),
            catalog: log.catalog().clone(),
            head: log.head_cell().clone(),
            meters: log.meters().clone(),
            roll_request: log.roll_request().clone(),
            sync_request: log.sync_request().clone(),
            admit,
            commit,
            next_position,
            ticket: 0,
            commit_time: opened.commit_time,
            backlog: VecDeque::new(),
            buffer: Vec::new(),
            first: next_position,
            in_flight: InFlight::new(),
            submitted: Submitted { number: 0, ticket: 0 },
            mark_due: end.is_unmarked,
            term: log.catalog().manifest.term().mark(),
            checked: Instant::now(),
            failed,
            stalled: None,
            turning: false,
        })
    }

    /// One turn: learns what was confirmed, admits what it can, submits it as one batch, answers.
    pub(super) fn turn(&mut self, drafts: VecDeque<Pending<A>>, of: TurnOf) {
        if std::mem::replace(&mut self.turning, true) {
            // A turn that did not end has panicked: what it left behind is not known.
            self.fail(WriteError::Closed);
        }
        if self.backlog.is_empty() {
            self.backlog = drafts;
        } else {
            self.backlog.extend(drafts);
        }
        let is_for_writer = self.stalled.is_some() && of == TurnOf::Caller;
        if self.failed.is_none() && !is_for_writer {
            let done = self.learn_if_awaited().and_then(|()| self.flush_if_stalled());
            let done = done.and_then(|()| self.try_again()).and_then(|()| self.admit_backlog(of));
            done.unwrap_or_else(|error| self.stop(error));
        }
        if let Some(error) = self.failed.clone() {
            self.refuse_all(&error);
        }
        self.turning = false;
    }

    /// Whether drafts wait for a confirmation, or for a turn of the writer's own thread.
    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether the open segment was told to be closed, which is not for a caller's turn.
    pub(super) fn is_told_to_roll(&self) -> bool {
        self.roll_request.is_made()
    }

    /// Whether every draft so far is answered.
    pub(super) fn is_settled(&self) -> bool {
        let waits = self.turning || self.has_backlog() || self.in_flight.count() > 0;
        self.failed.is_some() || !waits
    }

    /// How long to wait for work before [`Writer::rest`] is due.
    pub(super) fn patience(&self) -> Duration {
        let idle = match self.stalled {
            Some(_) => self.options.idle.max(STALLED),
            None => self.options.idle,
        };
        self.commit.flush_within().map_or(idle, |within| within.min(idle))
    }

    /// Makes durable what is not, and notes up to where the log is synced; for a writer that has had
    /// nothing to do for a while.
    pub(super) fn rest(&mut self) {
        if self.failed.is_none() && !self.turning {
            // What is synced is noted before the segment is left.
            let done = self.flush_if_stalled().and_then(|()| self.try_again());
            let done = done.and_then(|()| self.settle());
            let done = done.and_then(|()| self.roll_if_told());
            done.unwrap_or_else(|error| self.stop(error));
        }
        if let Some(error) = self.failed.clone() {
            self.refuse_all(&error);
        }
    }

    /// The last turn is over.
    pub(super) fn close(&mut self) {
        self.rest();
        self.head.close(None);
    }

    /// Fails all that is in flight, though it may be confirmed later: the log is being closed.
    pub(super) fn give_up(&mut self) {
        let what = "waiting for the confirmation of a batch while closing";
        let error = WriteError::io(what, io::ErrorKind::TimedOut.into());
        self.fail(error.clone());
        self.refuse_all(&error);
    }

    /// Admits drafts and submits them, until none is left or the rest must wait.
    fn admit_backlog(&mut self, of: TurnOf) -> Result<(), WriteError> {
        while self.in_flight.count() < self.commit.max_in_flight().max(1)
            && let Some(next) = self.backlog.front()
        {
            if self.is_full_for(next.bytes) {
                // Opening a segment may take long, and may have to wait for one to be sealed.
                if of == TurnOf::Caller || !self.is_ready_to_roll()? {
                    break;
                }
                self.roll()?;
            }
            let Some(next) = self.backlog.pop_front() else { break };
            self.admit(next)?;
        }
        self.submit()?;
        if self.sync_request.take() {
            self.flush()?;
        }
        match of {
            TurnOf::Writer => self.roll_if_told(),
            TurnOf::Caller => Ok(()),
        }
    }

    fn is_full_for(&self, bytes: usize) -> bool {
        let room = bytes as u64 + FrameHeader::SIZE as u64;
        let end = self.tail.end + self.buffer.len() as u64;
        let first = self.tail.segment.first_position;
        let is_wide = self.next_position.saturating_sub(first) > POSITIONS_OF_SEGMENT;
        (end + room > self.options.segment_bytes || is_wide) && end != SegmentHeader::SIZE
    }

    fn admit(&mut self, next: Pending<A>) -> Result<(), WriteError> {
        let now = self.clock.now_micros();
        let slot = Slot {
            now,
            last_commit_time: self.commit_time,
            position: self.next_position,
            ticket: self.ticket + 1,
            commit_time: self.commit_time.max(now),
        };
        let location = self.location();
        let is_first = self.buffer.is_empty();
        let mut frame = FrameBuilder::new(&mut self.buffer, location, slot);
        frame.term(self.term);
        frame.positions_of_empty(self.commit.positions_of_empty());
        let admitted = self.admit.admit(next.draft, slot, &mut frame);
        if let (true, Some(last)) = (admitted.is_ok(), frame.passed()) {
            frame.abandon();
            let passed = self.pass_over(last);
            let outcome = passed.clone().map(|()| admitted);
            self.in_flight.push_answer((next.answer, outcome));
            return passed;
        }
        if admitted.is_ok() {
            self.commit_time = frame.commit_time();
            if is_first {
                self.first = frame.position();
            }
            self.meters.commit_time.store(self.commit_time, Ordering::Relaxed);
            match body_of(&self.tail.segment) {
                Ok(body) => self.next_position = frame.finish(&mut body.blocks.write()),
                Err(error) => {
                    let error = WriteError::io("writing to the log", error);
                    self.in_flight.push_answer((next.answer, Err(error.clone())));
                    return Err(error);
                }
            }
            self.ticket = slot.ticket;
        } else {
            frame.abandon();
        }
        self.in_flight.push_answer((next.answer, Ok(admitted)));
        Ok(())
    }

    /// Passes over positions that have no record. Readers see that once all before them is confirmed.
    fn pass_over(&mut self, last: u64) -> Result<(), WriteError> {
        self.submit()?;
        self.next_position = self.next_position.max(last.saturating_add(1));
        let head = self.next_head();
        if !self.in_flight.extend_newest(head) {
            self.head.publish(head);
        }
        Ok(())
    }

    /// Writes the buffer to the tail and submits it as a batch.
    fn submit(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            // Refusals rest on what was admitted before them, so they wait for it.
            self.in_flight.settle_strays().for_each(answer::<A>);
            return self.learn_of_confirmations();
        }
        self.check_before_write()?;
        let start = self.tail.end;
        let written = self.tail.write(&self.buffer);
        written.map_err(|error| self.stall_if_temporary(error))?;
        self.go_on();
        let head = self.next_head();
        let before = self.submitted;
        let number = before.number + 1;
        let ticket = self.ticket;
        self.submitted = Submitted { number, ticket };
        self.in_flight.push_batch(number, head.position, Confirmed { head, end: self.tail.end });
        let batch = Batch {
            number,
            first: self.first,
            head,
            frames: &self.buffer,
            base: start,
            salt: self.tail.segment.salt,
            positions_of_empty: self.commit.positions_of_empty(),
        };
        let progress = self.commit.submit(&batch, &mut self.tail)?;
        self.buffer.clear();
        self.meters.batch.add(ticket - before.ticket);
        self.proceed(progress).map(drop)
    }

    /// A confirmation makes room for the next batch.
    fn learn_if_awaited(&mut self) -> Result<(), WriteError> {
        if self.in_flight.count() > 0 { self.learn_of_confirmations() } else { Ok(()) }
    }

    /// Asks the commit for its progress until there is none.
    fn learn_of_confirmations(&mut self) -> Result<(), WriteError> {
        while !self.in_flight.is_empty() {
            let progress = self.commit.poll(&mut self.tail)?;
            if !self.proceed(progress)? {
                break;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        if !self.in_flight.is_empty() {
            let progress = self.commit.flush(&mut self.tail)?;
            self.proceed(progress)?;
        }
        Ok(())
    }

    /// Does what a commit's progress allows; returns whether something was confirmed.
    fn proceed(&mut self, progress: Progress) -> Result<bool, WriteError> {
        match progress {
            Progress::Pending => Ok(false),
            Progress::Acknowledged => {
                self.in_flight.acknowledge().for_each(answer::<A>);
                Ok(false)
            }
            Progress::Confirmed(confirmation) => self.confirm(confirmation),
        }
    }

    fn confirm(&mut self, confirmation: Confirmation) -> Result<bool, WriteError> {
        let confirmed = self.in_flight.confirm(confirmation);
        let confirmed = confirmed.map_err(|mismatch| ownership_lost(confirmation, mismatch))?;
        let Some((Confirmed { head, end }, answers)) = confirmed else { return Ok(false) };
        // An opening for writing replaces the manifest before it reads what is synced. So what was
        // synced before the manifest was replaced is not lost.
        self.check_manifest()?;
        if !self.commit.syncs() {
            self.tail.synced = self.tail.synced.max(end);
        }
        self.mark_due |= self.tail.synced >= end;
        // The bytes first, then the facts that a reader must know who sees the head; then the head,
        // then all that looks at it, then the callers, who may read what they have written.
        self.tail.publish(end)?;
        self.admit.confirmed(head);
        self.head.publish(head);
        self.admit.published(head);
        self.in_flight.take_answers(answers).for_each(answer::<A>);
        Ok(true)
    }

    fn next_head(&self) -> Head {
        Head { position: self.next_position - 1, ticket: self.ticket }
    }

    /// Makes durable what is not; if nothing is in flight then, lays a mark.
    fn settle(&mut self) -> Result<(), WriteError> {
        self.flush()?;
        if self.mark_due && self.in_flight.is_empty() && self.buffer.is_empty() {
            self.mark_due = !self.lay_mark()?;
        }
        Ok(())
    }

    /// A mark says on the disk of this machine up to where the segment is synced. It is no part of a
    /// batch: nothing else rests on it. Returns whether there was space for it.
    fn lay_mark(&mut self) -> Result<bool, WriteError> {
        self.check_ownership()?;
        let Head { position, ticket } = self.next_head();
        let slot = Slot {
            position: position + 1,
            ticket,
            commit_time: self.commit_time,
            last_commit_time: self.commit_time,
            now: self.commit_time,
        };
        let location = self.location();
        let mut frame = FrameBuilder::new(&mut self.buffer, location, slot);
        frame.term(self.term);
        let mut mark = Blocks::default();
        frame.finish(&mut mark);
        let written = self.tail.write(&self.buffer);
        self.buffer.clear();
        match written {
            // Nothing rests on the mark, so it can wait for space.
            Err(WriteError::DiskFull { .. }) => return Ok(false),
            written => written?,
        }
        if let Ok(body) = body_of(&self.tail.segment) {
            let mut blocks = body.blocks.write();
            blocks.frames += mark.frames;
            blocks.commit_max = mark.commit_max;
        }
        match self.commit.syncs() {
            true => self.tail.sync()?,
            // Nothing is in flight, so all before the mark is confirmed.
            false => self.tail.synced = self.tail.end,
        }
        self.tail.publish(self.tail.end)?;
        Ok(true)
    }

    /// A write may lie over what another writer has acknowledged, so the manifest is looked at each time.
    fn check_before_write(&mut self) -> Result<(), WriteError> {
        match self.checked.elapsed() >= CHECK_OWNERSHIP {
            true => self.check_ownership(),
            false => self.check_manifest(),
        }
    }

    /// Fails if another process has opened the store.
    fn check_manifest(&self) -> Result<(), WriteError> {
        let checked = self.catalog.ownership.check_manifest();
        checked.map_err(|error| WriteError::io("writing to the log", error))
    }

    /// Fails if another process can have the store by now. Reads no bytes of a file.
    fn check_ownership(&mut self) -> Result<(), WriteError> {
        let checked = self.catalog.ownership.check();
        checked.map_err(|error| WriteError::io("writing to the log", error))?;
        self.checked = Instant::now();
        Ok(())
    }

    fn location(&self) -> BufferLocation {
        let tail = &self.tail;
        BufferLocation { base: tail.end, salt: tail.segment.salt, synced_mark: tail.synced }
    }

    fn roll_if_told(&mut self) -> Result<(), WriteError> {
        if !self.is_told_to_roll() {
            return Ok(());
        }
        let is_empty = self.tail.end == SegmentHeader::SIZE;
        if !is_empty {
            self.settle()?;
            if !self.is_ready_to_roll()? {
                return Ok(());
            }
        }
        // Before the new segment is visible: who sees that one may ask again.
        self.roll_request.withdraw();
        if is_empty { Ok(()) } else { self.roll() }
    }

    /// Submits and flushes what is open; returns whether nothing is in flight then. What is in a
    /// closed segment is durable.
    fn is_ready_to_roll(&mut self) -> Result<bool, WriteError> {
        self.submit()?;
        self.flush()?;
        Ok(self.in_flight.is_empty())
    }

    fn roll(&mut self) -> Result<(), WriteError> {
        self.admit.before_roll();
        let opened = self.open_segment();
        opened.map_err(|error| {
            let error = WriteError::io("opening a new segment", error);
            self.stall_if_temporary(error)
        })?;
        self.go_on();
        Ok(())
    }

    /// What was acknowledged before becomes durable all the same: a sync takes no space.
    fn flush_if_stalled(&mut self) -> Result<(), WriteError> {
        if self.stalled.is_some() { self.flush() } else { Ok(()) }
    }

    /// Tries again what had no space, or no file descriptor.
    fn try_again(&mut self) -> Result<(), WriteError> {
        match (&self.stalled, self.buffer.is_empty()) {
            (None, _) => Ok(()),
            (Some(_), true) => self.roll(),
            // What is written twice is the same, at the same place.
            (Some(_), false) => self.submit(),
        }
    }

    fn stall_if_temporary(&mut self, error: WriteError) -> WriteError {
        if error.is_temporary() {
            self.stalled = Some(error.clone());
            self.head.stall(Some(error.clone()));
        }
        error
    }

    fn go_on(&mut self) {
        if self.stalled.take().is_some() {
            self.head.stall(None);
        }
    }

    /// Stops for ever, or until there is space, or a file descriptor. What is in the buffer then stays there: it was
    /// admitted, so later events rest on it, and its callers learn that its outcome is not known.
    fn stop(&mut self, error: WriteError) {
        if self.stalled.is_none() || !error.is_temporary() {
            return self.fail(error);
        }
        // Refusals rest on what was admitted, which may not become durable soon.
        for (sender, _) in self.in_flight.take_strays() {
            answer::<A>((sender, Err(error.clone())));
        }
        self.refuse_backlog(&error);
    }

    fn open_segment(&mut self) -> io::Result<()> {
        if !self.commit.syncs() {
            // What the manifest says of a closed segment must be on this disk, too.
            self.tail.sync().map_err(io::Error::other)?;
        }
        self.tail.trim()?;
        let full = &self.tail.segment;
        let last = self.next_position - 1;
        let closed = full.live(SegmentState::Closed, last, self.tail.end);
        let numbers = [full.id + 1, self.next_position];
        let opened = self.catalog.create_segment(numbers, self.commit_time, closed)?;
        self.tail = self.tail.of_next(opened.clone())?;
        self.mark_due = false;
        self.catalog.push(&opened);
        self.admit.rolled(SegmentInfo {
            id: opened.id,
            first: opened.first_position,
            last,
            sealed: false,
            active: true,
            bytes: self.tail.end,
            compression: Compression::Off,
            scavenged: false,
            repaired: false,
        });
        self.head.wake();
        Ok(())
    }

    /// From here on nothing is written: after a failed sync it is not known what the disk holds.
    fn fail(&mut self, error: WriteError) {
        self.failed = Some(error.clone());
        self.buffer.clear();
        self.head.close(Some(error));
    }

    /// Answers all drafts: those in flight, those that wait, and those of the turn that failed.
    fn refuse_all(&mut self, error: &WriteError) {
        for (sender, outcome) in self.in_flight.take_all() {
            answer::<A>((sender, failed(outcome, error)));
        }
        self.refuse_backlog(error);
    }

    fn refuse_backlog(&mut self, error: &WriteError) {
        for next in self.backlog.drain(..) {
            answer::<A>((next.answer, Err(error.clone())));
        }
    }
}

/// Returns the outcome of a draft whose batch was not confirmed.
fn failed<T, E>(
    outcome: Result<Result<T, E>, WriteError>,
    error: &WriteError,
) -> Result<Result<T, E>, WriteError> {
    match outcome {
        Ok(Ok(_)) => Err(error.clone()),
        refused => refused,
    }
}

fn answer<A: Admit>((sender, outcome): Answer<A>) {
    // A caller that dropped its future does not want to know.
    if let Some(sender) = sender {
        _ = sender.send(outcome);
    }
}

fn ownership_lost(confirmation: Confirmation, mismatch: Mismatch) -> WriteError {
    let Confirmation { batch, position } = confirmation;
    let reason = match mismatch {
        Mismatch::Batch => format!("batch {batch} was confirmed, but never submitted"),
        Mismatch::Position(expected) => {
            format!("batch {batch} was expected to end at position {expected}, found {position}")
        }
    };
    WriteError::OwnershipLost { reason }
}
