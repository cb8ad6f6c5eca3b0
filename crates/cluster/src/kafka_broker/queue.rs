//! The appends that wait to be sent, and whether more are admitted.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use leftfold_kafka::KafkaError;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

/// The most appends that wait to be sent.
const MOST_WAITING: usize = 1_024;
/// The most bytes of the batches that wait or are in flight, in KiB. One batch may be larger than this.
const MOST_KIB: u32 = 256 << 10;

/// An append whose caller waits.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) batch: Bytes,
    /// When the caller asked for it.
    pub(super) since: Instant,
    pub(super) done: oneshot::Sender<Result<i64, KafkaError>>,
    /// Returned when the append is dropped.
    _memory: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    memory: Arc<Semaphore>,
    /// Wakes the sender; a wake-up is kept until the sender waits.
    pub(super) changed: Notify,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Append>,
    /// Counts the takeovers.
    round: u64,
    /// The reason why no append is admitted until the next takeover.
    over: Option<KafkaError>,
}

impl Queue {
    /// Creates a queue that admits nothing before the first takeover.
    pub(super) fn new(before: KafkaError) -> Self {
        let state = State { waiting: VecDeque::new(), round: 0, over: Some(before) };
        let memory = Arc::new(Semaphore::new(MOST_KIB as usize));
        Queue { state: Mutex::new(state), memory, changed: Notify::new() }
    }

    /// Queues an append.
    ///
    /// If it is refused, all later ones are refused too, because their sequences would leave a gap.
    pub(super) fn push(
        &self,
        batch: Bytes,
    ) -> Result<oneshot::Receiver<Result<i64, KafkaError>>, KafkaError> {
        let mut state = self.state.lock();
        if let Some(error) = &state.over {
            return Err(KafkaError::NotExecuted(Box::new(error.clone())));
        }
        let kib = u32::try_from(batch.len() >> 10).unwrap_or(u32::MAX).clamp(1, MOST_KIB);
        let memory = self.memory.clone().try_acquire_many_owned(kib).ok();
        let memory = memory.filter(|_| state.waiting.len() < MOST_WAITING);
        let Some(memory) = memory else {
            let error = KafkaError::Busy(state.waiting.len());
            state.over = Some(error.clone());
            return Err(error);
        };
        let (done, receiver) = oneshot::channel();
        state.waiting.push_back(Append { batch, since: Instant::now(), done, _memory: memory });
        self.changed.notify_one();
        Ok(receiver)
    }

    /// Takes the next append of this round.
    pub(super) fn pop(&self, round: u64) -> Option<Append> {
        let mut state = self.state.lock();
        if state.round == round { state.waiting.pop_front() } else { None }
    }

    pub(super) fn round(&self) -> u64 {
        self.state.lock().round
    }

    /// Begins a takeover: fails all appends that wait, and admits none. The sender drops what is in flight.
    pub(super) fn begin_round(&self, why: &KafkaError) -> u64 {
        let mut state = self.state.lock();
        state.round += 1;
        state.stop(why);
        self.changed.notify_one();
        state.round
    }

    /// Admits appends, unless another takeover has begun.
    pub(super) fn admit(&self, round: u64) {
        let mut state = self.state.lock();
        if state.round == round {
            state.over = None;
        }
    }

    /// Fails all appends of the round that wait, and all later ones.
    pub(super) fn fail(&self, round: u64, error: &KafkaError) {
        let mut state = self.state.lock();
        if state.round == round {
            state.stop(error);
        }
    }
}

impl State {
    fn stop(&mut self, error: &KafkaError) {
        for append in self.waiting.drain(..) {
            // A failure means that the caller stopped waiting.
            _ = append.done.send(Err(KafkaError::NotExecuted(Box::new(error.clone()))));
        }
        self.over = Some(error.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        let queue = Queue::new(KafkaError::Dropped);
        queue.admit(0);
        queue
    }

    #[test]
    fn nothing_is_admitted_before_a_takeover() {
        let queue = Queue::new(KafkaError::Dropped);
        let refused = queue.push(Bytes::new()).unwrap_err();
        assert!(!refused.is_outcome_unknown());
        let round = queue.begin_round(&KafkaError::Dropped);
        assert!(queue.push(Bytes::new()).is_err());
        queue.admit(round);
        queue.push(Bytes::new()).unwrap();
    }

    #[test]
    fn a_full_queue_refuses_all_later_appends_too() {
        let queue = queue();
        let waiting: Vec<_> =
            (0..MOST_WAITING).map(|_| queue.push(Bytes::new()).unwrap()).collect();
        assert!(matches!(queue.push(Bytes::new()), Err(KafkaError::Busy(_))));
        drop(queue.pop(0).unwrap());
        assert!(matches!(queue.push(Bytes::new()), Err(KafkaError::NotExecuted(_))));
        drop(waiting);
    }

    #[test]
    fn the_bytes_of_all_appends_are_bounded_until_they_are_done() {
        let queue = queue();
        let half = Bytes::from(vec![0; (MOST_KIB as usize) << 9]);
        let (_first, _second) =
            (queue.push(half.clone()).unwrap(), queue.push(half.clone()).unwrap());
        let in_flight = queue.pop(0).unwrap();
        assert!(matches!(queue.push(half.clone()), Err(KafkaError::Busy(_))));
        drop(in_flight);
        let round = queue.begin_round(&KafkaError::Dropped);
        queue.admit(round);
        queue.push(half).unwrap();
    }

    #[test]
    fn a_takeover_fails_what_waits_and_forgets_the_failures_of_earlier_rounds() {
        let queue = queue();
        let mut waiting = queue.push(Bytes::new()).unwrap();
        let round = queue.begin_round(&KafkaError::Dropped);
        assert!(!waiting.try_recv().unwrap().unwrap_err().is_outcome_unknown());
        queue.admit(round);
        queue.fail(round - 1, &KafkaError::Dropped);
        queue.admit(round - 1);
        queue.push(Bytes::new()).unwrap();
        assert!(queue.pop(round - 1).is_none() && queue.pop(round).is_some());
    }
}
