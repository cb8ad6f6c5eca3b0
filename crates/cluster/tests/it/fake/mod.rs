//! A simulated Kafka: one partition, the coordinator of its transactional id, and the network between.
//!
//! Everything that the experiments of `docs/cluster-fencing.md` saw can happen, and a seed decides when. Nothing runs
//! by itself: the simulation moves the clock, and then lets the network do what is due.
//!
//! The partition is what all in-sync replicas have. A leader that was deposed without knowing it is a *stale view* of
//! one client: an older end, and appends that never land.

mod appends;
mod client;
mod faults;
mod network;
mod partition;
mod producers;
mod reads;
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use leftfold_fold::time::{FakeTime, Time};
use leftfold_io::fake::SeededRandom;
use leftfold_kafka::{Record, StoredBatch};
use parking_lot::Mutex;

pub(crate) use client::FakeBroker;
pub(crate) use faults::Faults;
use network::Network;

/// The simulated Kafka; its clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeKafka {
    network: Arc<Mutex<Network>>,
    time: FakeTime,
}

impl FakeKafka {
    pub(crate) fn new(time: FakeTime, random: Arc<SeededRandom>, faults: Faults) -> Self {
        let network = Network::new(time.clone(), random, faults);
        FakeKafka { network: Arc::new(Mutex::new(network)), time }
    }

    /// Connects a process. Its requests that are on their way survive it.
    pub(crate) fn connect(&self) -> FakeBroker {
        let client = self.network.lock().add_client();
        FakeBroker::new(self.network.clone(), client)
    }

    /// Returns the next moment at which something happens by itself, in microseconds.
    pub(crate) fn next_event(&self) -> Option<i64> {
        self.network.lock().next_event()
    }

    /// Lets everything happen that is due.
    pub(crate) fn run_due(&self) {
        let now = self.time.now().micros();
        self.network.lock().run_due(now);
    }

    /// Returns the whole log.
    pub(crate) fn log(&self) -> Vec<StoredBatch> {
        self.network.lock().partition.log().to_vec()
    }

    /// Returns how often each kind of thing happened.
    pub(crate) fn happened(&self) -> BTreeMap<&'static str, u64> {
        self.network.lock().happened.clone()
    }

    /// Changes how often faults happen.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.network.lock().set_faults(faults);
    }

    /// Lets the leader forget all producers, as it does after a day, or after a restart with old timestamps.
    pub(crate) fn forget_producers(&self) {
        self.network.lock().partition.forget_producers();
    }

    /// Lets the coordinator forget the transactional id, as it does after a week.
    pub(crate) fn forget_transactional_id(&self) {
        self.network.lock().coordinator.forget();
    }

    /// Lets the leader refuse all appends for a while.
    pub(crate) fn refuse_appends(&self, micros: i64) {
        let until = self.time.now().micros().saturating_add(micros);
        self.network.lock().refuse_until(until);
    }

    /// Lets a process reach only a deposed leader for a while: all processes that are connected now, or one of them.
    pub(crate) fn depose_leader_of(&self, broker: &FakeBroker, micros: i64) {
        let until = self.time.now().micros().saturating_add(micros);
        self.network.lock().depose_leader_of(broker.client(), until);
    }

    /// Breaks the connection of a process.
    pub(crate) fn break_connection(&self, broker: &FakeBroker) {
        self.network.lock().break_connection(broker.client());
    }

    /// Appends a record of another program.
    pub(crate) fn append_foreign(&self) {
        self.network.lock().append_unfenced(vec![Record::new("another program's")]);
    }

    /// Appends a batch of the log again, as a leader does that has forgotten its producer.
    pub(crate) fn repeat_batch(&self) {
        self.network.lock().repeat_batch();
    }
}
