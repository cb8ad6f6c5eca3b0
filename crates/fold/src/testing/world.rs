use std::pin::Pin;
use std::sync::Arc;

use leftfold_api::{Query, Recorded};
use leftfold_io::fake::SeededRandom;

use super::SimStore;
use super::ambient::Ambient;
use crate::execute::Backoff;
use crate::react::{Handler, Reactor};
use crate::time::FakeTime;

/// A task of the domain, or an action of a user. An error ends the process: all tasks end and start
/// over, and the disk keeps its content.
pub type Running = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Boxes a future as a task.
pub fn running<T, E: std::fmt::Display>(
    future: impl Future<Output = Result<T, E>> + 'static,
) -> Running {
    Box::pin(async move { future.await.map(drop).map_err(|error| error.to_string()) })
}

/// The environment of a domain's tasks. After a crash there is a new one.
pub struct World {
    pub(super) store: Arc<SimStore>,
    pub(super) time: FakeTime,
    pub(super) random: Arc<SeededRandom>,
}

impl World {
    /// Returns the store.
    pub fn store(&self) -> Arc<SimStore> {
        self.store.clone()
    }

    /// Returns the clock.
    pub fn time(&self) -> FakeTime {
        self.time.clone()
    }

    /// Returns the source of randomness, which the seed decides.
    pub fn random(&self) -> Arc<SeededRandom> {
        self.random.clone()
    }

    /// Makes a reactor with this world's store, clock and randomness.
    pub fn reactor<H: Handler>(
        &self,
        name: &str,
        query: impl Into<Query>,
        handler: H,
    ) -> Reactor<SimStore, H> {
        self.equip(Reactor::new(name, query, self.store(), handler))
    }

    /// Sets this world's clock and randomness on a reactor, such as that of
    /// [`timers`](crate::timer::timers).
    pub fn equip<H: Handler>(&self, reactor: Reactor<SimStore, H>) -> Reactor<SimStore, H> {
        reactor.time(self.time()).random(self.random())
    }

    /// Makes what runs on this thread use this world's clock and randomness, until the guard is
    /// dropped.
    pub(super) fn enter(&self) -> Ambient {
        Ambient::enter(Backoff { time: Arc::new(self.time()), random: self.random() })
    }

    /// Reads all durable events of a query. Returns none if the disk is off.
    pub fn read(&self, query: impl Into<Query>) -> Vec<Recorded> {
        self.store.look(query)
    }
}

/// The domain under simulation. Its own fields are the outside world: they survive every crash, as
/// sent mails do.
pub trait Domain {
    /// Returns all tasks. Called at the start and after every crash.
    fn runs(&self, world: &World) -> Vec<Running>;

    /// Returns the action of a user; `turn` counts from 0. A crash may interrupt it before or after
    /// its effect; the user does not retry.
    fn act(&self, world: &World, turn: u64) -> Running;

    /// Checks what must hold at every moment.
    fn check(&self, world: &World) -> Result<(), String> {
        _ = world;
        Ok(())
    }

    /// Checks what must hold when nothing is left to do.
    fn check_at_rest(&self, world: &World) -> Result<(), String>;
}
