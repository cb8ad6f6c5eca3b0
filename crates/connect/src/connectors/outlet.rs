//! Delivers events one by one, in the order of each stream: a reactor whose effect is a delivery.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::select;
use leftfold_api::{EventStore, Recorded};
use leftfold_fold::react::{
    Cause, Guarantee, HandlerError, Lanes, Reaction, Reactor, ReactorLimits,
};
use leftfold_fold::time::later;
use parking_lot::Mutex;
use uuid::Uuid;

use super::kind::Run;
use super::status::Gauges;
use super::{ConnectorError, Delivery, OnError};

/// How long one delivery may take, whatever its target does.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// The same where deliveries wait for their turn in a batch. Each request has a limit of its own.
const BATCHED_TIME_LIMIT: Duration = Duration::from_secs(60 * 60);
/// What may be held up at a time: waiting for another attempt, or parked. The state of all of them is one event, together
/// with the reasons, so it must be far below the largest append.
const MOST_HELD: usize = 20_000;

/// Where events are delivered.
pub(crate) trait Outlet: Send + Sync + 'static {
    /// Delivers an event.
    fn deliver(
        &self,
        event: &Recorded,
        attempt: Attempt,
    ) -> impl Future<Output = Result<(), Undelivered>> + Send;
}

/// An attempt to deliver an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// The same for each attempt of the same event.
    pub(crate) key: Uuid,
    /// 1 for the first one.
    pub(crate) number: u32,
}

/// Why an event was not delivered, and what to do.
#[derive(Debug, Clone)]
pub(crate) enum Undelivered {
    /// Another attempt may go well; the target may say after which time. What became of this one is not known.
    Retry(String, Option<Duration>),
    /// Another attempt may go well, and this one has had no effect: also what is delivered at most once is tried again.
    NotTaken(String),
    /// No attempt can go well.
    Refused(String),
    /// The target takes no event any more.
    Stop(ConnectorError),
}

/// Ends a run with an error.
struct Stopper {
    stop: Mutex<Option<oneshot::Sender<()>>>,
    failure: Mutex<Option<ConnectorError>>,
}

impl Stopper {
    fn stop(&self, error: ConnectorError) {
        self.failure.lock().get_or_insert(error);
        // The receiver of a run that ends already is gone.
        _ = self.stop.lock().take().map(|stop| stop.send(()));
    }
}

struct Deliverer<O> {
    outlet: O,
    /// Whether a delivery whose outcome is unknown is made again.
    may_repeat: bool,
    on_error: OnError,
    plan: super::retry::RetryPlan,
    stopper: Arc<Stopper>,
    skipped: Arc<AtomicU64>,
    /// The attempts that had no effect, of events that are delivered at most once. The reactor counts none of them.
    not_taken: Mutex<HashMap<Uuid, u32>>,
    connector: String,
}

impl<O: Outlet> Deliverer<O> {
    async fn handle(&self, cause: Cause) -> Result<Reaction, HandlerError> {
        let event = &cause.event;
        let attempt = Attempt { key: cause.key, number: cause.attempt };
        let delivered = self.outlet.deliver(event, attempt).await;
        if let (Err(Undelivered::NotTaken(_)), false) = (&delivered, self.may_repeat)
            && let Some(pause) = self.pause_of_not_taken(cause.key)
        {
            return Err(HandlerError::later(later(cause.now, pause)));
        }
        self.not_taken.lock().remove(&cause.key);
        let (reason, may_retry, after) = match delivered {
            Ok(()) => return Ok(Reaction::none()),
            Err(Undelivered::Stop(error)) => {
                self.stopper.stop(error);
                return Err(HandlerError::later(cause.now));
            }
            Err(Undelivered::Retry(reason, after)) => (reason, true, after),
            Err(Undelivered::NotTaken(reason)) => (reason, true, None),
            Err(Undelivered::Refused(reason)) => (reason, false, None),
        };
        if may_retry && self.may_repeat && cause.attempt < self.plan.attempts() {
            let after = after.into_iter().chain(self.plan.pause(cause.attempt)).max();
            return Err(match after {
                Some(after) => HandlerError::retry_at(reason, later(cause.now, after)),
                None => HandlerError::retry(reason),
            });
        }
        match self.on_error {
            OnError::Park => Err(HandlerError::park(reason)),
            OnError::Skip => {
                let (stream, version) = (event.stream(), event.version());
                tracing::warn!(connector = %self.connector, stream, version, reason, "an event is skipped");
                self.skipped.fetch_add(1, Ordering::Relaxed);
                Ok(Reaction::none())
            }
            OnError::Stop => {
                let (stream, version) = (event.stream().to_owned(), event.version());
                let stopped = ConnectorError::Event { stream, version, reason: reason.clone() };
                self.stopper.stop(stopped);
                match self.may_repeat {
                    // It is not counted, so that the event is tried once when the connector is resumed.
                    true => Err(HandlerError::later(cause.now)),
                    false => Err(HandlerError::park(reason)),
                }
            }
        }
    }

    /// Returns the pause after another attempt that had no effect; `None` after the last one.
    fn pause_of_not_taken(&self, key: Uuid) -> Option<Duration> {
        let mut not_taken = self.not_taken.lock();
        let attempts = not_taken.entry(key).or_default();
        *attempts += 1;
        (*attempts < self.plan.attempts()).then(|| self.plan.fixed_pause(*attempts))
    }
}

/// How events are delivered.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// Deliveries at a time, if the definition does not say.
    pub(crate) in_flight: usize,
    /// What is delivered one after the other.
    pub(crate) lanes: Lanes,
    pub(crate) time_limit: Duration,
}

impl Pace {
    /// Returns the pace of deliveries in the order of each stream.
    pub(crate) fn by_stream(in_flight: usize) -> Self {
        Pace { in_flight, lanes: Lanes::ByStream, time_limit: TIME_LIMIT }
    }

    /// Returns the pace of deliveries that wait for their turn in a batch.
    pub(crate) fn batched(in_flight: usize) -> Self {
        Pace { time_limit: BATCHED_TIME_LIMIT, ..Pace::by_stream(in_flight) }
    }
}

/// Delivers the events of a connector's query until an error.
pub(crate) async fn run_outlet<S: EventStore + 'static>(
    run: Run<S>,
    outlet: impl Outlet,
    pace: Pace,
) -> Result<(), ConnectorError> {
    let definition = run.definition.clone();
    let (stop, stopped) = oneshot::channel();
    let stopper = Arc::new(Stopper { stop: Mutex::new(Some(stop)), failure: Mutex::default() });
    let skipped = Arc::<AtomicU64>::default();
    let deliverer = Arc::new(Deliverer {
        outlet,
        may_repeat: definition.delivery != Delivery::AtMostOnce,
        on_error: definition.on_error,
        plan: definition.retry.clone(),
        stopper: stopper.clone(),
        skipped: skipped.clone(),
        not_taken: Mutex::default(),
        connector: definition.name.clone(),
    });
    let handler = move |cause: Cause| {
        let deliverer = deliverer.clone();
        async move { deliverer.handle(cause).await }
    };
    let guarantee = match definition.delivery {
        Delivery::AtMostOnce => Guarantee::AtMostOnce,
        Delivery::AtLeastOnce | Delivery::ExactlyOnce => Guarantee::AtLeastOnce,
    };
    let mut limits = ReactorLimits::default();
    limits.in_flight = definition.in_flight.unwrap_or(pace.in_flight);
    limits.queued = limits.queued.max(2 * limits.in_flight);
    limits.held_lanes = MOST_HELD;
    let reactor = Reactor::new(run.progress.clone(), run.query(), run.store.clone(), handler)
        .guarantee(guarantee)
        .lanes(pace.lanes)
        .retry(definition.retry.of_reactor())
        .limits(limits)
        .time_limit(pace.time_limit)
        .starts_after(run.start.clone());
    let status = reactor.status();
    run.gauges.show(move || {
        let (now, skipped) = (status.now(), skipped.load(Ordering::Relaxed));
        let gauges = Gauges {
            events: now.counts.handled.saturating_sub(skipped),
            skipped,
            held: now.held_lanes as u64,
            lag_micros: u64::try_from(now.lag.as_micros()).ok(),
        };
        Box::pin(std::future::ready(gauges))
    });
    let stop = run.stop.clone();
    let until = async move {
        select(pin!(stopped), pin!(stop.wait())).await;
    };
    let ended = reactor.run_until(until).await;
    match stopper.failure.lock().take() {
        Some(failure) => Err(failure),
        None => Ok(ended.map(drop)?),
    }
}
