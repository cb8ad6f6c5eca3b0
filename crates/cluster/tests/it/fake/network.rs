//! Requests and answers on their way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leftfold_fold::time::{FakeTime, Time};
use leftfold_io::fake::SeededRandom;
use leftfold_kafka::{KafkaError, ProducerId, Record};
use parking_lot::Mutex;

use super::appends::Client;
use super::faults::Faults;
use super::partition::{Partition, unfenced};
use super::producers::Coordinator;
use super::reads::WaitingFetch;

pub(super) const MILLI: i64 = 1_000;
pub(super) const SECOND: i64 = 1_000 * MILLI;
/// The time that a client waits for an answer.
pub(super) const PATIENCE: i64 = 10 * SECOND;
/// Where the answer of a request goes: to its sender, unless that has one already or is gone.
pub(super) struct Answer<T>(Arc<Mutex<Option<AnswerSender<T>>>>);

type AnswerSender<T> = oneshot::Sender<Result<T, KafkaError>>;

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Answer(self.0.clone())
    }
}

impl<T> Answer<T> {
    pub(super) fn to(sender: AnswerSender<T>) -> Self {
        Answer(Arc::new(Mutex::new(Some(sender))))
    }

    /// Answers the request, and returns whether its sender still waits.
    pub(super) fn send(self, result: Result<T, KafkaError>) -> bool {
        self.0.lock().take().is_some_and(|sender| sender.send(result).is_ok())
    }
}

/// What happens at a moment.
type Event = Box<dyn FnOnce(&mut Network) + Send>;

/// The network, and everything behind it.
pub(super) struct Network {
    time: FakeTime,
    pub(super) random: Arc<SeededRandom>,
    pub(super) faults: Faults,
    pub(super) partition: Partition,
    pub(super) coordinator: Coordinator,
    pub(super) fetches: Vec<WaitingFetch>,
    pub(super) clients: Vec<Client>,
    events: BTreeMap<(i64, u64), Event>,
    next_event: u64,
    pub(super) refuses_until: i64,
    /// How often each kind of thing happened.
    pub(super) happened: BTreeMap<&'static str, u64>,
}

impl Network {
    pub(super) fn new(time: FakeTime, random: Arc<SeededRandom>, faults: Faults) -> Self {
        Network {
            time,
            random,
            faults,
            partition: Partition::default(),
            coordinator: Coordinator::new(),
            fetches: Vec::new(),
            clients: Vec::new(),
            events: BTreeMap::new(),
            next_event: 0,
            refuses_until: i64::MIN,
            happened: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.time.now().micros()
    }

    pub(super) fn next_event(&self) -> Option<i64> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn run_due(&mut self, now: i64) {
        while let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= now) {
            next.remove()(self);
        }
    }

    /// Lets something happen at a moment.
    pub(super) fn at(&mut self, at: i64, event: impl FnOnce(&mut Network) + Send + 'static) {
        self.events.insert((at, self.next_event), Box::new(event));
        self.next_event += 1;
    }

    /// Decides whether a fault happens that happens once in `n` times, and counts it.
    pub(super) fn happens(&mut self, what: &'static str, n: u64) -> bool {
        let happens = n > 0 && self.random.one_in(n);
        if happens {
            self.count(what);
        }
        happens
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// Returns the moment at which something arrives that is sent now.
    pub(super) fn arrival(&mut self) -> i64 {
        let takes = if self.happens("late", self.faults.late) {
            40 * SECOND + self.random.below(600 * SECOND as u64) as i64
        } else if self.happens("slow", self.faults.slow) {
            self.random.below(8 * SECOND as u64) as i64
        } else {
            MILLI / 2 + self.random.below(3 * MILLI as u64) as i64
        };
        self.now() + takes
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.clients.iter_mut().for_each(|client| client.stale = None);
        self.refuses_until = i64::MIN;
    }

    pub(super) fn refuse_until(&mut self, until: i64) {
        self.refuses_until = until;
    }

    pub(super) fn depose_leader_of(&mut self, client: usize, until: i64) {
        let end = self.partition.end();
        self.clients[client].stale = Some((end, until));
    }

    /// Returns the end that the leader knows which a client reaches, if it was deposed.
    pub(super) fn stale_end(&self, client: usize) -> Option<i64> {
        let (end, until) = self.clients[client].stale?;
        (self.now() < until).then_some(end)
    }

    pub(super) fn append_unfenced(&mut self, records: Vec<Record>) {
        self.partition.append_unchecked(unfenced(records));
        self.answer_fetches();
    }

    pub(super) fn repeat_batch(&mut self) {
        let batches = self.partition.log();
        let chosen = self.random.below(batches.len() as u64) as usize;
        if let Some(batch) = batches.get(chosen).cloned() {
            self.partition.append_unchecked(batch);
            self.answer_fetches();
        }
    }

    pub(super) fn add_client(&mut self) -> usize {
        self.clients.push(Client::new());
        self.clients.len() - 1
    }

    /// Ends a process. Its requests on their way still arrive.
    pub(super) fn close_client(&mut self, client: usize) {
        self.clients[client].close();
    }

    /// Takes the transactional id over for a client. Its unanswered appends fail at once.
    pub(super) fn take_over(&mut self, client: usize, answer: Answer<ProducerId>) {
        self.fail(client, timeout("ProduceRequest"));
        let arrival = self.arrival();
        self.at(arrival, move |network| {
            if network.happens("lost request", network.faults.lost_requests) {
                return network.answer_later(answer, Err(timeout("InitProducerIdRequest")));
            }
            let producer = network.coordinator.take_over();
            if network.happens("lost answer", network.faults.lost_answers) {
                return network.answer_later(answer, Err(timeout("InitProducerIdRequest")));
            }
            let arrival = network.arrival();
            network.at(arrival, move |network| {
                if answer.send(Ok(producer)) {
                    network.clients[client].has_failed = false;
                }
            });
        });
    }

    /// Fails a request that has no answer after a time.
    pub(super) fn time_out<T: Send + 'static>(
        &mut self,
        answer: Answer<T>,
        request: &'static str,
        after: i64,
    ) {
        let at = self.now().saturating_add(after);
        self.at(at, move |_| _ = answer.send(Err(timeout(request))));
    }

    /// Sends an answer that takes a while.
    pub(super) fn answer_later<T: Send + 'static>(
        &mut self,
        answer: Answer<T>,
        result: Result<T, KafkaError>,
    ) {
        let arrival = self.arrival();
        self.at(arrival, move |_| _ = answer.send(result));
    }
}

pub(super) fn timeout(request: &'static str) -> KafkaError {
    KafkaError::Timeout { request, waited: Duration::from_micros(PATIENCE as u64) }
}
