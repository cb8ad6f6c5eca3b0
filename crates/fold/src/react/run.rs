use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{Cursor, EventStore, Query};
use leftfold_io::{OsRandom, Random};
use uuid::Uuid;

use super::core::{Counts, Setup};
use super::engine::{End, Engine};
use super::handler::Handler;
use super::options::{Guarantee, Lanes, ReactorLimits, Retry, without_bookkeeping};
use super::place::{Ownership, Place};
use super::spread::count_partitions;
use super::status::{SharedGauges, StatusHandle};
use super::{Cause, HandlerError, Reaction, ReactorError};
use crate::time::{SystemTime, Time};

/// The code of an error that says that a store has many partitions.
const CROSSES: &str = "crosses_partitions";

/// A query and a handler for its events. See the [module](crate::react).
pub struct Reactor<S, H> {
    store: Arc<S>,
    handler: Arc<H>,
    time: Arc<dyn Time>,
    setup: Setup,
    start: Cursor,
    pub(super) gauges: SharedGauges,
    /// Which partitions this process serves; all if it is `None`.
    pub(super) ownership: Option<Arc<dyn Ownership>>,
}

impl<S, H> Clone for Reactor<S, H> {
    /// Returns a reactor of the same name, handler and status; at most one of the two can run.
    fn clone(&self) -> Self {
        let Reactor { store, handler, time, setup, start, gauges, ownership } = self;
        Reactor {
            store: store.clone(),
            handler: handler.clone(),
            time: time.clone(),
            setup: setup.clone(),
            start: start.clone(),
            gauges: gauges.clone(),
            ownership: ownership.clone(),
        }
    }
}

/// The progress of a reactor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// All events up to here are finished, except those of lanes that are held up.
    pub cursor: Cursor,
    /// The number of lanes that are held up: parked, waiting, to be retried, or behind.
    pub held_lanes: usize,
    /// What was done since the start.
    pub counts: Counts,
}

impl<S, H> Reactor<S, H>
where
    S: EventStore + 'static,
    H: Handler,
{
    /// Makes a reactor. Its name identifies its progress: a reactor of another name starts from the
    /// beginning. If the query changes, the reactor continues from its progress. To handle the past
    /// with another query, use another name.
    pub fn new(
        name: impl Into<String>,
        query: impl Into<Query>,
        store: Arc<S>,
        handler: H,
    ) -> Self {
        let setup = Setup {
            reactor: name.into(),
            place: None,
            query: without_bookkeeping(query.into()),
            run: Uuid::nil(),
            guarantee: Guarantee::default(),
            lanes: Lanes::default(),
            retry: Retry::default(),
            limits: ReactorLimits::default(),
            time_limit: None,
            random: Arc::new(OsRandom),
        };
        let (handler, time) = (Arc::new(handler), Arc::new(SystemTime));
        let (start, gauges) = (Cursor::START, SharedGauges::default());
        Reactor { store, handler, time, setup, start, gauges, ownership: None }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.setup.reactor
    }

    /// Sets how often an effect may happen; the default is at least once.
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.setup.guarantee = guarantee;
        self
    }

    /// Sets what events are ordered by; the default is their stream. Do not change this while a
    /// lane of the reactor is held up.
    pub fn lanes(mut self, lanes: Lanes) -> Self {
        self.setup.lanes = lanes;
        self
    }

    /// Sets how often and how soon failed attempts are retried.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.setup.retry = retry;
        self
    }

    /// Sets the limits of memory and concurrency.
    pub fn limits(mut self, limits: ReactorLimits) -> Self {
        self.setup.limits = limits;
        self
    }

    /// Sets how long a call of the handler may take, its commands included. When the time is over,
    /// the call is dropped and counts as a failed attempt. Without a limit, a handler that hangs
    /// holds up its lane, and the end of a run, for ever.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.setup.time_limit = Some(limit);
        self
    }

    /// Sets where the first run begins; the default is the beginning of the log.
    pub fn starts_after(mut self, cursor: Cursor) -> Self {
        self.start = cursor;
        self
    }

    /// Sets another clock than the system's.
    pub fn time(mut self, time: impl Time) -> Self {
        self.time = Arc::new(time);
        self
    }

    /// Sets another source of randomness than the system's; it decides the jitter of retries.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.setup.random = random;
        self
    }

    /// Serves only the partitions that this process owns, and follows when that changes. By default a reactor serves
    /// all partitions of its store.
    pub fn ownership(mut self, ownership: Arc<dyn Ownership>) -> Self {
        self.ownership = Some(ownership);
        self
    }

    /// Returns a handle that shows what the reactor does while it runs. Set the clock before.
    pub fn status(&self) -> StatusHandle {
        StatusHandle { shared: self.gauges.clone(), time: self.time.clone() }
    }

    /// Calls the handler once and decides its commands, without writing anything: for tests.
    ///
    /// ```
    /// # use leftfold::react::{Cause, HandlerError, Reaction, Reactor};
    /// # use leftfold::{Embedded, NewEvent, Options, Query};
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
    /// let thank = |cause: Cause| async move {
    ///     let thanked = NewEvent::json("Thanked", "{}");
    ///     Ok::<_, HandlerError>(Reaction::none().event(cause.event.stream(), thanked))
    /// };
    /// let reactor = Reactor::new("thanks", Query::event_type("Paid"), store, thank);
    ///
    /// let paid = Cause::of_new("order-1", NewEvent::json("Paid", "{}"));
    /// let reaction = pollster::block_on(reactor.handle(paid))?;
    /// let thanked = NewEvent::json("Thanked", "{}");
    /// assert_eq!(reaction, Reaction::none().event("order-1", thanked));
    /// # Ok::<(), leftfold::react::HandlerError>(())
    /// ```
    pub async fn handle(&self, cause: Cause) -> Result<Reaction, HandlerError> {
        self.handler.handle(cause.clone()).await?.complete(&cause, &*self.store).await
    }

    /// Runs until the store fails or another process runs the same reactor.
    pub async fn run(self) -> Result<Progress, ReactorError> {
        self.run_until(std::future::pending()).await
    }

    /// Runs until `stop` is ready. Waits for running handlers and writes their results.
    pub async fn run_until(
        self,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Progress, ReactorError> {
        let mut stop = pin!(stop);
        let of = self.count().await?;
        if of > 1 || self.ownership.is_some() {
            return self.serve_all(of, stop).await;
        }
        let ended = self.engine(None).await?.run(End::Stop(Box::pin(stop.as_mut()))).await;
        match &ended {
            // A store of many partitions looks like one of one log until it has events.
            Err(ReactorError::Invalid(invalid)) if invalid.code == CROSSES => {
                match self.count().await? {
                    1 => ended,
                    of => self.serve_all(of, stop).await,
                }
            }
            _ => ended,
        }
    }

    /// Returns the number of partitions of the store.
    async fn count(&self) -> Result<u32, ReactorError> {
        match &self.ownership {
            Some(ownership) => Ok(ownership.partitions()),
            None => Ok(count_partitions(&*self.store).await?),
        }
    }

    /// Handles what can be handled now. Returns when every event is handled or waits for a time, a
    /// dependency or an operator.
    pub async fn catch_up(&self) -> Result<Progress, ReactorError> {
        match self.count().await? {
            1 if self.ownership.is_none() => self.engine(None).await?.run(End::CaughtUp).await,
            of => self.catch_up_all(of).await,
        }
    }

    pub(super) fn randomness(&self) -> &dyn Random {
        &*self.setup.random
    }

    pub(super) fn clock(&self) -> &dyn Time {
        &*self.time
    }

    pub(super) async fn engine(&self, place: Option<Place>) -> Result<Engine<S, H>, ReactorError> {
        let run = uuid::Builder::from_random_bytes(self.setup.random.next_u128().to_le_bytes());
        let mut setup = Setup { run: run.into_uuid(), place, ..self.setup.clone() };
        if let Some(Place { partition, of }) = place {
            setup.query = setup.query.and(Query::within(partition, of));
        }
        let (store, handler) = (self.store.clone(), self.handler.clone());
        let time = self.time.clone();
        let engine = Engine::start(store, handler, time, setup, self.start.clone()).await?;
        Ok(engine.show_status(self.gauges.clone()))
    }
}
