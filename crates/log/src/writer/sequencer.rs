use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::queue::{Queue, Taken};
use super::turn::{Pending, Writer};
use super::{Admit, Outcome};
use crate::error::WriteError;
use crate::log::{Log, Opened};

/// Hands drafts to the writer of a log. Dropping it lets the writer finish what it has taken.
pub struct Sequencer<A: Admit> {
    queue: Arc<Queue<Pending<A>>>,
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
        while let Taken::Items(items) = self.queue.take(Duration::ZERO) {
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
        let (sequencer, mut pump) = Self::manual(opened, admit)?;
        let gone = Gone { queue: sequencer.queue.clone(), log: opened.log.clone() };
        let run = move || {
            let _gone = gone;
            loop {
                match pump.queue.take(pump.writer.patience()) {
                    Taken::Items(items) => pump.writer.turn(items),
                    Taken::Nothing => pump.writer.rest(),
                    Taken::Closed => return pump.writer.close(),
                }
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
        let sequencer = Sequencer { queue: queue.clone(), thread: Mutex::new(None) };
        Ok((sequencer, Pump { writer, queue }))
    }

    /// Hands in a draft that will take about this many bytes; waits while the queue is full. The
    /// answer follows when the draft is refused, or written and (unless relaxed) synced.
    pub async fn submit(&self, draft: A::Draft, bytes: usize) -> Result<Waiting<A>, WriteError> {
        let (answer, waiting) = oneshot::channel();
        let pending = Pending { draft, bytes, answer };
        match self.queue.push(pending, bytes).await {
            Ok(()) => Ok(Waiting(waiting)),
            Err(_) => Err(WriteError::Closed),
        }
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
        match self.queue.take(Duration::ZERO) {
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
