//! A commit whose batches another thread confirms, as a broker does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;

use leftfold_store::commit::{Batch, Commit, Confirmation, Progress, Tail, WriteError};
use leftfold_store::{CommittedAppend, committed_frames};
use parking_lot::Mutex;

/// The appends that were confirmed, or are about to be, in the order of the log.
pub(crate) type Topic = Arc<Mutex<Vec<CommittedAppend>>>;

/// Confirms batches from a thread of its own, several of which are in flight.
pub(crate) struct Elsewhere {
    confirmed: Arc<Mutex<VecDeque<Confirmation>>>,
    to_thread: Sender<Confirmation>,
    from_writer: Option<Receiver<Confirmation>>,
    topic: Topic,
}

impl Elsewhere {
    /// Returns a commit that adds the appends of its batches to a topic.
    pub(crate) fn new(topic: Topic) -> Self {
        let (to_thread, from_writer) = channel();
        let (confirmed, from_writer) = (Arc::default(), Some(from_writer));
        Elsewhere { confirmed, to_thread, from_writer, topic }
    }
}

impl Commit for Elsewhere {
    fn max_in_flight(&self) -> usize {
        3
    }

    fn syncs(&self) -> bool {
        false
    }

    fn positions_of_empty(&self) -> u64 {
        1
    }

    fn start(&mut self, waker: Waker) {
        let (confirmed, from_writer) = (self.confirmed.clone(), self.from_writer.take().unwrap());
        std::thread::spawn(move || {
            // Ends with the writer.
            while let Ok(batch) = from_writer.recv() {
                std::thread::yield_now();
                confirmed.lock().push_back(batch);
                waker.wake_by_ref();
            }
        });
    }

    fn submit(&mut self, batch: &Batch<'_>, _tail: &mut Tail) -> Result<Progress, WriteError> {
        let appends = committed_frames(batch).map(|append| append.unwrap().into());
        self.topic.lock().extend(appends);
        self.to_thread.send(batch.confirmation()).unwrap();
        Ok(Progress::Pending)
    }

    fn poll(&mut self, _tail: &mut Tail) -> Result<Progress, WriteError> {
        let next = self.confirmed.lock().pop_front();
        Ok(next.map_or(Progress::Pending, Progress::Confirmed))
    }
}
