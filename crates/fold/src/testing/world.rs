use std::pin::Pin;
use std::sync::Arc;

use leftfold_api::{Query, Recorded};
use leftfold_io::fake::SeededRandom;

use super::SimStore;
use crate::reactor::{Handler, Reactor};
use crate::time::FakeTime;

/// Something that runs, or that a user does. An error ends all that runs, and it starts over: the
/// process has stopped, and the machine has not.
pub type Running = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Takes a future as something that runs.
pub fn running<T, E: std::fmt::Display>(
    future: impl Future<Output = Result<T, E>> + 'static,
) -> Running {
    Box::pin(async move { future.await.map(drop).map_err(|error| error.to_string()) })
}

/// What a domain's things run in. After a crash it is another.
pub struct World {
    pub(super) store: Arc<SimStore>,
    pub(super) time: FakeTime,
    pub(super) random: Arc<SeededRandom>,
}

impl World {
    /// The store.
    pub fn store(&self) -> Arc<SimStore> {
        self.store.clone()
    }

    /// The time.
    pub fn time(&self) -> FakeTime {
        self.time.clone()
    }

    /// Random numbers that the seed decides.
    pub fn random(&self) -> Arc<SeededRandom> {
        self.random.clone()
    }

    /// A reactor with this world's store, time and randomness.
    pub fn reactor<H: Handler>(
        &self,
        name: &str,
        query: Query,
        handler: H,
    ) -> Reactor<SimStore, H> {
        self.equip(Reactor::new(name, query, self.store(), handler))
    }

    /// A reactor with this world's time and randomness, such as that of
    /// [`timers`](crate::timer::timers).
    pub fn equip<H: Handler>(&self, reactor: Reactor<SimStore, H>) -> Reactor<SimStore, H> {
        reactor.time(self.time()).random(self.random())
    }

    /// All that a query yields now, durably. An empty answer if the disk is off.
    pub fn read(&self, query: Query) -> Vec<Recorded> {
        self.store.look(query)
    }
}

/// What is simulated. What it holds itself is the world outside: it survives every crash, as mails do
/// that were sent.
pub trait Domain {
    /// All that runs. Called at the start and after every crash.
    fn runs(&self, world: &World) -> Vec<Running>;

    /// What users do, turn by turn, counted from 0. What is cut short by a crash may have happened or
    /// not; the user does not try again.
    fn act(&self, world: &World, turn: u64) -> Running;

    /// What holds at every moment.
    fn check(&self, world: &World) -> Result<(), String> {
        _ = world;
        Ok(())
    }

    /// What holds when nothing is left to be done.
    fn check_at_rest(&self, world: &World) -> Result<(), String>;
}
