use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::admit::{Admit, Outcome};
use super::commit::Commit;
use super::fsync::FsyncCommit;
use super::queue::{Content, Queue, WaitFor};
use super::turn::{Pending, TurnOf, Writer};
use crate::error::WriteError;
use crate::head::HeadCell;
use crate::log::Opened;

/// A writer that is closed waits this long for the confirmations of what is in flight.
const CLOSING_LIMIT: Duration = Duration::from_secs(30);

/// Hands drafts to the writer of a log. Dropping it lets the writer finish what it has accepted.
///
/// The writer is behind a lock. Mostly its own thread holds that, and takes drafts in turns. A caller
/// that may block takes a turn itself when the lock is free, which saves the two hand-overs that cost
/// as much as the write.
pub struct Sequencer<A: Admit, C: Commit = FsyncCommit> {
    queue: Arc<Queue<Pending<A>>>,
    /// None if the owner of the pump gives the turns.
    writer: Option<Arc<Mutex<Writer<A, C>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Ends all waiting for the writer when its thread ends, by a panic too.
struct ThreadEnd<A: Admit> {
    queue: Arc<Queue<Pending<A>>>,
    head: Arc<HeadCell>,
}

impl<A: Admit> Drop for ThreadEnd<A> {
    fn drop(&mut self) {
        self.queue.close();
        while let Content::Items(items) = self.queue.take() {
            drop(items);
        }
        self.head.close(None);
    }
}

/// Gives the writer its turns where there is to be no thread: a run is then decided by its caller.
pub struct Pump<A: Admit, C: Commit = FsyncCommit> {
    writer: Writer<A, C>,
    queue: Arc<Queue<Pending<A>>>,
}

/// The outcome of a submitted draft, which follows later.
pub struct PendingOutcome<A: Admit>(oneshot::Receiver<Outcome<A>>);

impl<A: Admit> Sequencer<A> {
    /// Starts the writer on a thread of its own. Batches are durable when they are synced.
    pub fn start(opened: &Opened, admit: A) -> io::Result<Self> {
        Self::start_with(opened, admit, fsync_commit(opened))
    }

    /// Returns a writer without a thread; it works when it is pumped. Batches are durable when they
    /// are synced.
    pub fn manual(opened: &Opened, admit: A) -> io::Result<(Self, Pump<A>)> {
        Self::manual_with(opened, admit, fsync_commit(opened))
    }
}

fn fsync_commit(opened: &Opened) -> FsyncCommit {
    FsyncCommit::new(opened.log.options().durability)
}

impl<A: Admit, C: Commit> Sequencer<A, C> {
    /// Starts the writer on a thread of its own. Batches are durable when the commit confirms them.
    pub fn start_with(opened: &Opened, admit: A, commit: C) -> io::Result<Self> {
        let (mut sequencer, pump) = Self::manual_with(opened, admit, commit)?;
        let writer = Arc::new(Mutex::new(pump.writer));
        sequencer.writer = Some(writer.clone());
        let head = opened.log.head_cell().clone();
        let end = ThreadEnd { queue: pump.queue, head };
        let run = move || {
            let end = end;
            run(&end.queue, &writer);
        };
        let thread = std::thread::Builder::new().name("leftfold-writer".to_owned()).spawn(run)?;
        *sequencer.thread.lock() = Some(thread);
        Ok(sequencer)
    }

    /// Returns a writer without a thread; it works when it is pumped. Batches are durable when the
    /// commit confirms them.
    pub fn manual_with(opened: &Opened, admit: A, commit: C) -> io::Result<(Self, Pump<A, C>)> {
        let queue = Arc::new(Queue::new(opened.log.options().queue_bytes));
        let waker = Waker::from(queue.clone());
        let writer = Writer::new(opened, admit, commit, waker)?;
        let sequencer = Sequencer { queue: queue.clone(), writer: None, thread: Mutex::new(None) };
        Ok((sequencer, Pump { writer, queue }))
    }

    /// Submits a draft that will take about this many bytes; waits while the queue is full. The
    /// answer follows when the draft is refused, or written and (unless relaxed) synced.
    pub async fn submit(
        &self,
        draft: A::Draft,
        bytes: usize,
    ) -> Result<PendingOutcome<A>, WriteError> {
        let (pending, waiting) = pending(draft, bytes);
        match self.queue.push(pending, bytes).await {
            Ok(()) => Ok(waiting),
            Err(_) => Err(WriteError::Closed),
        }
    }

    /// Submits drafts, each with about how many bytes it will take, and returns the outcome of the last of
    /// them; `None` if there is none. Waits while the queue is full. Drafts of others may come between.
    pub async fn submit_all(
        &self,
        drafts: Vec<(A::Draft, usize)>,
    ) -> Result<Option<PendingOutcome<A>>, WriteError> {
        let (last, mut waiting) = (drafts.len().saturating_sub(1), None);
        for (number, (draft, bytes)) in drafts.into_iter().enumerate() {
            let mut item = Pending { draft, bytes, answer: None };
            if number == last {
                let (answer, outcome) = oneshot::channel();
                (item.answer, waiting) = (Some(answer), Some(PendingOutcome(outcome)));
            }
            match self.queue.try_push_quietly(item, bytes) {
                Ok(()) => {}
                Err((_, true)) => return Err(WriteError::Closed),
                Err((item, false)) => {
                    self.queue.notify_receiver();
                    let pushed = self.queue.push(item, bytes).await;
                    pushed.map_err(|_| WriteError::Closed)?;
                }
            }
        }
        self.queue.notify_receiver();
        Ok(waiting)
    }

    /// Submits a draft for a caller that may block for a sync: it writes itself unless the writer is busy.
    pub async fn submit_here(
        &self,
        draft: A::Draft,
        bytes: usize,
    ) -> Result<PendingOutcome<A>, WriteError> {
        let Some(writer) = &self.writer else { return self.submit(draft, bytes).await };
        let (pending, waiting) = pending(draft, bytes);
        match self.queue.try_push_quietly(pending, bytes) {
            Ok(()) => {}
            Err((_, true)) => return Err(WriteError::Closed),
            Err((pending, false)) => {
                let pushed = self.queue.push(pending, bytes).await;
                return pushed.map(|()| waiting).map_err(|_| WriteError::Closed);
            }
        }
        let mine = writer.try_lock();
        let is_busy = mine.is_none();
        if let Some(mut writer) = mine {
            // Drafts that wait for the thread, or for a confirmation, come first.
            if !writer.has_backlog()
                && let Content::Items(drafts) = self.queue.take()
            {
                writer.turn(drafts, TurnOf::Caller);
            }
            if writer.has_backlog() || writer.is_told_to_roll() {
                self.queue.wake_receiver();
            }
        }
        // What came meanwhile, or while the writer was busy, is for the thread.
        if is_busy || self.queue.is_filled() {
            self.queue.notify_receiver();
        }
        Ok(waiting)
    }

    /// Refuses all further drafts, and returns when all accepted ones are answered.
    pub fn close(&self) {
        self.queue.close();
        if let Some(thread) = self.thread.lock().take() {
            // A writer that panicked has dropped its answers; its callers see that.
            _ = thread.join();
        }
    }
}

/// The writer's thread: waits for drafts, for the commit, or for a pause in which to rest.
fn run<A: Admit, C: Commit>(queue: &Queue<Pending<A>>, writer: &Mutex<Writer<A, C>>) {
    let mut patience = writer.lock().patience();
    let mut wait_for = WaitFor::Items;
    let mut closing = None;
    loop {
        let in_vain = queue.wait(patience, wait_for);
        let mut writer = writer.lock();
        if queue.is_closed() {
            let since = closing.get_or_insert_with(Instant::now);
            if !writer.is_settled() && since.elapsed() >= CLOSING_LIMIT {
                writer.give_up();
            }
        }
        let drafts = if writer.has_backlog() { Content::Nothing } else { queue.take() };
        match drafts {
            Content::Items(drafts) => writer.turn(drafts, TurnOf::Writer),
            Content::Closed if writer.is_settled() => return writer.close(),
            Content::Nothing if in_vain && !writer.has_backlog() => writer.rest(),
            Content::Nothing | Content::Closed => writer.turn(VecDeque::new(), TurnOf::Writer),
        }
        patience = writer.patience();
        // Where only a confirmation helps, more drafts do not.
        let is_blocked = writer.has_backlog() || queue.is_closed() && !writer.is_settled();
        wait_for = if is_blocked { WaitFor::WakeUp } else { WaitFor::Items };
    }
}

fn pending<A: Admit>(draft: A::Draft, bytes: usize) -> (Pending<A>, PendingOutcome<A>) {
    let (answer, waiting) = oneshot::channel();
    (Pending { draft, bytes, answer: Some(answer) }, PendingOutcome(waiting))
}

impl<A: Admit, C: Commit> Drop for Sequencer<A, C> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<A: Admit> PendingOutcome<A> {
    /// Waits for the outcome.
    pub async fn outcome(self) -> Outcome<A> {
        self.0.await.unwrap_or(Err(WriteError::Closed))
    }
}

impl<A: Admit, C: Commit> Pump<A, C> {
    /// Gives one turn, with all drafts that wait; returns false if there were none.
    pub fn turn(&mut self) -> bool {
        let waited = self.writer.has_backlog();
        let drafts = if waited { Content::Nothing } else { self.queue.take() };
        match drafts {
            Content::Items(drafts) => {
                self.writer.turn(drafts, TurnOf::Writer);
                true
            }
            Content::Nothing | Content::Closed => {
                if !self.writer.is_settled() {
                    self.writer.turn(VecDeque::new(), TurnOf::Writer);
                }
                waited
            }
        }
    }

    /// Does what the writer does when no draft has come for a while.
    pub fn rest(&mut self) {
        self.writer.rest();
    }

    /// Does what a shutdown does. There is no thread that could wait for confirmations: what is not
    /// confirmed by now fails.
    pub fn close(mut self) {
        self.queue.close();
        while self.turn() && !self.writer.has_backlog() {}
        if !self.writer.is_settled() {
            self.writer.give_up();
            while self.turn() {}
        }
        self.writer.close();
    }
}
