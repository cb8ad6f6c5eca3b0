//! The commit of a partition's store: batches that Kafka confirms, or that came from Kafka.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use event_listener::Event;
use leftfold_kafka::Record;
use leftfold_store::commit::{Batch, Commit, Confirmation, Progress, Tail, WriteError};
use leftfold_store::committed_frames;
use parking_lot::Mutex;

use crate::ledger::Stamp;
use crate::record::Encoder;

/// Batches that are sent and not answered yet: brokers remember the last five of a producer.
pub(crate) const MAX_IN_FLIGHT: usize = 5;

/// The commit of a partition's store.
///
/// As long as the node is a standby, each batch came from Kafka and is confirmed at once. While it owns the partition,
/// a batch is handed to the run of the partition, which sends it and notes the answer.
pub(crate) struct KafkaCommit(Arc<Link>);

/// What the writer of a store and the run of its partition share.
pub(crate) struct Link {
    state: Mutex<State>,
    /// Notified when a batch waits to be sent.
    queued: Event,
}

struct State {
    mode: Mode,
    queue: VecDeque<Outgoing>,
    /// The last batch that Kafka has confirmed and the writer does not know of.
    confirmed: Option<Confirmation>,
    waker: Option<Waker>,
}

enum Mode {
    /// What is written came from Kafka.
    Copies,
    /// What is written goes to Kafka.
    Owns { encoder: Encoder, next: Stamp },
    /// The term ended before all was confirmed.
    Over(String),
}

/// A batch on its way to Kafka.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Its records, with their stamps.
    pub(crate) records: Vec<Record>,
    /// The position of its first record.
    pub(crate) first: u64,
    /// What confirms it, if it lands there.
    pub(crate) confirmation: Confirmation,
}

impl Link {
    /// Returns a link to a writer that copies, and its commit.
    pub(crate) fn new() -> (Arc<Self>, Box<dyn Commit>) {
        let state =
            State { mode: Mode::Copies, queue: VecDeque::new(), confirmed: None, waker: None };
        let link = Arc::new(Link { state: Mutex::new(state), queued: Event::new() });
        (link.clone(), Box::new(KafkaCommit(link)))
    }

    /// Lets the writer's batches go to Kafka from now on. None may be in flight.
    pub(crate) fn own(&self, encoder: Encoder, next: Stamp) {
        self.state.lock().mode = Mode::Owns { encoder, next };
    }

    /// Lets the writer copy again. Nothing may be in flight. Returns the stamp that the next record would have had.
    pub(crate) fn copy(&self) -> Option<Stamp> {
        match std::mem::replace(&mut self.state.lock().mode, Mode::Copies) {
            Mode::Owns { next, .. } => Some(next),
            Mode::Copies | Mode::Over(_) => None,
        }
    }

    /// Waits for a batch that is to be sent.
    pub(crate) async fn next(&self) -> Outgoing {
        loop {
            let queued = self.queued.listen();
            if let Some(outgoing) = self.state.lock().queue.pop_front() {
                return outgoing;
            }
            queued.await;
        }
    }

    /// Notes that Kafka has confirmed a batch, and all before it.
    pub(crate) fn confirm(&self, confirmation: Confirmation) {
        let mut state = self.state.lock();
        state.confirmed = Some(confirmation);
        state.wake();
    }

    /// Notes that the term is over. The writer fails with the batches in flight, whose outcome is not known.
    pub(crate) fn end(&self, reason: String) {
        let mut state = self.state.lock();
        state.mode = Mode::Over(reason);
        state.queue.clear();
        state.wake();
    }
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

fn over(reason: &str) -> WriteError {
    WriteError::OwnershipLost { reason: reason.to_owned() }
}

impl Commit for KafkaCommit {
    fn max_in_flight(&self) -> usize {
        MAX_IN_FLIGHT
    }

    /// The copy on this machine may be deleted: Kafka has the records.
    fn syncs(&self) -> bool {
        false
    }

    /// Each record takes an offset.
    fn positions_of_empty(&self) -> u64 {
        1
    }

    fn start(&mut self, waker: Waker) {
        self.0.state.lock().waker = Some(waker);
    }

    fn submit(&mut self, batch: &Batch<'_>, _tail: &mut Tail) -> Result<Progress, WriteError> {
        let mut state = self.0.state.lock();
        let (encoder, next) = match &mut state.mode {
            Mode::Copies => return Ok(Progress::Confirmed(batch.confirmation())),
            Mode::Over(reason) => return Err(over(reason)),
            Mode::Owns { encoder, next } => (encoder, next),
        };
        let mut records = Vec::new();
        for append in committed_frames(batch) {
            let append =
                append.map_err(|error| over(&format!("a batch can't be read: {error}")))?;
            let encoded = encoder.encode(&append, *next);
            let encoded =
                encoded.map_err(|error| over(&format!("a batch can't be sent: {error}")))?;
            *next = next.after(encoded.len() as u64);
            records.extend(encoded);
        }
        let confirmation = batch.confirmation();
        state.queue.push_back(Outgoing { records, first: batch.first, confirmation });
        drop(state);
        self.0.queued.notify(1);
        Ok(Progress::Pending)
    }

    fn poll(&mut self, _tail: &mut Tail) -> Result<Progress, WriteError> {
        let mut state = self.0.state.lock();
        if let Some(confirmation) = state.confirmed.take() {
            return Ok(Progress::Confirmed(confirmation));
        }
        match &state.mode {
            Mode::Over(reason) => Err(over(reason)),
            Mode::Copies | Mode::Owns { .. } => Ok(Progress::Pending),
        }
    }
}
