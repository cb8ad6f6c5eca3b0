//! Stores whose batches another thread confirms, as a broker does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;

use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::{
    Batch, Commit, Confirmation, Embedded, Keep, Options, Progress, Tail, WriteError,
};
use parking_lot::Mutex;

use super::prepared::Prepared;

/// Confirms batches from a thread of its own, several of which are in flight.
pub(crate) struct Elsewhere {
    confirmed: Arc<Mutex<VecDeque<Confirmation>>>,
    to_thread: Sender<Confirmation>,
    from_writer: Option<Receiver<Confirmation>>,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        let (to_thread, from_writer) = channel();
        Elsewhere { confirmed: Arc::default(), to_thread, from_writer: Some(from_writer) }
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
        self.to_thread.send(batch.confirmation()).unwrap();
        Ok(Progress::Pending)
    }

    fn poll(&mut self, _tail: &mut Tail) -> Result<Progress, WriteError> {
        let next = self.confirmed.lock().pop_front();
        Ok(next.map_or(Progress::Pending, Progress::Confirmed))
    }
}

pub(crate) fn fresh(segment_bytes: u64) -> Embedded {
    let mut options = Options::default();
    options.log.segment_bytes = segment_bytes;
    options.log.preallocate = 4096;
    options.log.keep = Keep::Marked;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let (disk, commit) = (Arc::new(FakeDisk::new()), Box::new(Elsewhere::new()));
    Embedded::open_with(disk, clock, random, options, commit).unwrap()
}

/// Returns a store that passes over some positions before every call.
pub(crate) fn with_gaps(segment_bytes: u64) -> Box<Prepared> {
    let prepare = |store: &Embedded| {
        let last = store.last_position();
        pollster::block_on(store.skip_to(last + last % 3)).unwrap();
    };
    Box::new(Prepared { store: fresh(segment_bytes), prepare })
}
