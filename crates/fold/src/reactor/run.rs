use std::sync::Arc;

use leftfold_api::{Cursor, EventStore, Query};
use leftfold_io::{OsRandom, Random};
use uuid::Uuid;

use super::ReactorError;
use super::core::{Counts, Setup};
use super::engine::{End, Engine};
use super::handler::Handler;
use super::options::{Guarantee, Lanes, ReactorLimits, Retry, without_bookkeeping};
use crate::time::{SystemTime, Time};

/// A query, and what is done about each event that it yields. See the [module](crate::reactor).
pub struct Reactor<S, H> {
    store: Arc<S>,
    handler: Arc<H>,
    time: Arc<dyn Time>,
    setup: Setup,
    start: Cursor,
}

/// How far a reactor is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// All up to here is finished, but for what lanes are held up at.
    pub cursor: Cursor,
    /// Lanes that are held up: parked, waiting, to be tried again, or behind.
    pub held_lanes: usize,
    /// What was done since it was started.
    pub counts: Counts,
}

impl<S, H> Reactor<S, H>
where
    S: EventStore<Subscription: 'static> + 'static,
    H: Handler,
{
    /// A reactor. Its name is what its progress is known by: one of another name has done nothing
    /// yet. If its query changes it goes on from where it is; to go through the past again with
    /// another query, give it another name.
    pub fn new(name: impl Into<String>, query: Query, store: Arc<S>, handler: H) -> Self {
        let setup = Setup {
            reactor: name.into(),
            query: without_bookkeeping(query),
            run: Uuid::nil(),
            guarantee: Guarantee::default(),
            lanes: Lanes::default(),
            retry: Retry::default(),
            limits: ReactorLimits::default(),
            random: Arc::new(OsRandom),
        };
        let (handler, time) = (Arc::new(handler), Arc::new(SystemTime));
        Reactor { store, handler, time, setup, start: Cursor::START }
    }

    /// How often an effect may happen: at least once, unless said otherwise.
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.setup.guarantee = guarantee;
        self
    }

    /// What events are handled in order by: their streams, unless said otherwise. A reactor must not
    /// change this while any of its lanes is held up.
    pub fn lanes(mut self, lanes: Lanes) -> Self {
        self.setup.lanes = lanes;
        self
    }

    /// How often and how soon failed attempts are repeated.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.setup.retry = retry;
        self
    }

    /// What it may hold in memory and do at a time.
    pub fn limits(mut self, limits: ReactorLimits) -> Self {
        self.setup.limits = limits;
        self
    }

    /// Where it begins the first time that it ever runs: at the beginning of the log, unless said
    /// otherwise.
    pub fn starts_after(mut self, cursor: Cursor) -> Self {
        self.start = cursor;
        self
    }

    /// Another clock than the machine's.
    pub fn time(mut self, time: impl Time) -> Self {
        self.time = Arc::new(time);
        self
    }

    /// Other randomness than the machine's; it decides the jitter of retries.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.setup.random = random;
        self
    }

    /// Runs until something is wrong with the store, or another process runs the same reactor.
    pub async fn run(self) -> Result<Progress, ReactorError> {
        self.run_until(std::future::pending()).await
    }

    /// Runs until it is told to stop. Handlers that are at work then are waited for, and what they
    /// give is written.
    pub async fn run_until(
        self,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Progress, ReactorError> {
        self.engine().await?.run(End::Told(Box::pin(stop))).await
    }

    /// Does what can be done now: returns when all that had come is handled, and what is left waits
    /// for a time, for a dependency or for a person.
    pub async fn catch_up(&self) -> Result<Progress, ReactorError> {
        self.engine().await?.run(End::CaughtUp).await
    }

    async fn engine(&self) -> Result<Engine<S, H>, ReactorError> {
        let run = uuid::Builder::from_random_bytes(self.setup.random.next_u128().to_le_bytes());
        let setup = Setup { run: run.into_uuid(), ..self.setup.clone() };
        let (store, handler) = (self.store.clone(), self.handler.clone());
        Engine::start(store, handler, self.time.clone(), setup, self.start.clone()).await
    }
}
