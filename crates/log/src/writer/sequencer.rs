use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::queue::{Queue, Taken};
use super::turn::{Pending, Writer};
use super::{Admit, Outcome};
use crate::error::WriteError;
use crate::log::{Log, Opened};

/// Hands drafts to the writer of a log. Dropping it lets the writer finish what it has taken.
///
/// The writer belongs to whoever holds its lock. Mostly that is a thread of its own, which takes
/// drafts in turns; a caller that may block takes a turn itself when nobody else is at it, which
/// saves the two hand-overs that cost as much as the write.
pub struct Sequencer<A: Admit> {
    queue: Arc<Queue<Pending<A>>>,
    /// None if whoever owns the pump gives the turns.
    writer: Option<Arc<Mutex<Writer<A>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// When the writer's thread ends, however it ends, nobody waits for it any more.
struct Gone<A: Admit> {
    queue: Arc<Queue<Pending<A>>>,
    log: Log,
}

impl<A: Admit> Drop for Gone<A> {
    fn drop(&mut self) {
        self.queue.close();
        while let Taken::Items(items) = self.queue.take() {
            drop(items);
        }
        self.log.shared.head.close(None);
    }
}

/// Gives the writer its turns where there is to be no thread: a run is then decided by its caller.
pub struct Pump<A: Admit> {
    writer: Writer<A>,
    queue: Arc<Queue<Pending<A>>>,
}

/// The answer to a draft, to be awaited or waited for.
pub struct Waiting<A: Admit>(oneshot::Receiver<Outcome<A>>);

impl<A: Admit> Sequencer<A> {
    /// Starts the writer on a thread of its own.
    pub fn start(opened: &Opened, admit: A) -> io::Result<Self> {
        let (mut sequencer, pump) = Self::manual(opened, admit)?;
        let writer = Arc::new(Mutex::new(pump.writer));
        sequencer.writer = Some(writer.clone());
        let gone = Gone { queue: sequencer.queue.clone(), log: opened.log.clone() };
        let run = move || {
            let gone = gone;
            let mut patience = writer.lock().patience();
            loop {
                gone.queue.wait(patience);
                let mut writer = writer.lock();
                match gone.queue.take() {
                    Taken::Items(items) => writer.turn(items),
                    Taken::Nothing => writer.rest(),
                    Taken::Closed => return writer.close(),
                }
                patience = writer.patience();
            }
        };
        let thread = std::thread::Builder::new().name("leftfold-writer".to_owned()).spawn(run)?;
        *sequencer.thread.lock() = Some(thread);
        Ok(sequencer)
    }

    /// A writer without a thread; it works when it is pumped.
    pub fn manual(opened: &Opened, admit: A) -> io::Result<(Self, Pump<A>)> {
        let shared = opened.log.shared.clone();
        let queue = Arc::new(Queue::new(shared.options.queue_bytes));
        let writer = Writer::new(shared, admit, opened.commit_time)?;
        let sequencer = Sequencer { queue: queue.clone(), writer: None, thread: Mutex::new(None) };
        Ok((sequencer, Pump { writer, queue }))
    }

    /// Hands in a draft that will take about this many bytes; waits while the queue is full. The
    /// answer follows when the draft is refused, or written and (unless relaxed) synced.
    pub async fn submit(&self, draft: A::Draft, bytes: usize) -> Result<Waiting<A>, WriteError> {
        let (pending, waiting) = pending(draft, bytes);
        match self.queue.push(pending, bytes).await {
            Ok(()) => Ok(waiting),
            Err(_) => Err(WriteError::Closed),
        }
    }

    /// The same for a caller that may block: if nobody is writing, it writes itself.
    pub async fn submit_here(
        &self,
        draft: A::Draft,
        bytes: usize,
    ) -> Result<Waiting<A>, WriteError> {
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
        let turn = writer.try_lock().map(|mut writer| {
            if let Taken::Items(items) = self.queue.take() {
                writer.turn(items);
            }
        });
        // Whoever finds the writer busy leaves its draft to the thread; so does what came meanwhile.
        if turn.is_none() || self.queue.is_filled() {
            self.queue.wake();
        }
        Ok(waiting)
    }

    /// Takes no more drafts, and returns when all that were taken are answered.
    pub fn close(&self) {
        self.queue.close();
        if let Some(thread) = self.thread.lock().take() {
            // A writer that panicked has answered nobody; that is what its callers will see.
            _ = thread.join();
        }
    }
}

fn pending<A: Admit>(draft: A::Draft, bytes: usize) -> (Pending<A>, Waiting<A>) {
    let (answer, waiting) = oneshot::channel();
    (Pending { draft, bytes, answer }, Waiting(waiting))
}

impl<A: Admit> Drop for Sequencer<A> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<A: Admit> Waiting<A> {
    /// What became of the draft.
    pub async fn outcome(self) -> Outcome<A> {
        self.0.await.unwrap_or(Err(WriteError::Closed))
    }
}

impl<A: Admit> Pump<A> {
    /// One turn with all that waits; false if nothing did.
    pub fn turn(&mut self) -> bool {
        match self.queue.take() {
            Taken::Items(items) => {
                self.writer.turn(items);
                true
            }
            Taken::Nothing | Taken::Closed => false,
        }
    }

    /// What the writer does when nothing has come for a while.
    pub fn rest(&mut self) {
        self.writer.rest();
    }

    /// Does what a shutdown does.
    pub fn close(mut self) {
        self.queue.close();
        self.turn();
        self.writer.close();
    }
}

impl Log {
    /// Seals a closed segment: its blocks and totals go behind its frames, and it never changes
    /// again. Does nothing to a segment that is open or sealed.
    pub fn seal(&self, segment: u64) -> io::Result<()> {
        crate::seal::seal(&self.shared, segment)
    }
}
