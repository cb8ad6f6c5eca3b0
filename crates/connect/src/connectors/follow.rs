//! The run of one connector: attempt after attempt, until it is to be another one.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use leftfold_api::{Coded, Cursor, EventStore, Invalid, partition_of};
use leftfold_fold::time::later;

use super::facts::{ConnectorStart, stream_of};
use super::host::{Entry, Inner, RunState};
use super::kind::Run;
use super::{ConnectorDefinition, ConnectorError, ConnectorPhase};

/// The pauses before a connector that failed for a reason that may pass is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long an attempt goes on before it counts as one that goes well.
const SETTLED: Duration = Duration::from_secs(1);
/// How long a run may take to end what is in progress when it is to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Tells a run to stop.
#[derive(Clone, Default)]
pub(crate) struct StopSignal(Arc<(AtomicBool, Event)>);

impl StopSignal {
    pub(super) fn give(&self) {
        self.0.0.store(true, Ordering::Release);
        self.0.1.notify(usize::MAX);
    }

    /// Whether it was given.
    pub(crate) fn is_given(&self) -> bool {
        self.0.0.load(Ordering::Acquire)
    }

    /// Waits until it is given.
    pub(crate) async fn wait(&self) {
        loop {
            let given = self.0.1.listen();
            if self.is_given() {
                return;
            }
            given.await;
        }
    }
}

/// Runs one connector as one state of its facts says, until it is told to stop.
pub(super) struct Follower<S> {
    pub(super) inner: Arc<Inner<S>>,
    pub(super) entry: Arc<Entry>,
    pub(super) stop: StopSignal,
}

impl<S: EventStore + 'static> Follower<S> {
    pub(super) async fn run(self) {
        let running = self.entry.running.clone();
        // The run of the state before ends first.
        let _running = running.lock().await;
        let mut pause = FIRST_PAUSE;
        while !self.stop.is_given() {
            if !self.is_here() {
                self.set(ConnectorPhase::Elsewhere, None);
                select(pin!(self.changes_place(false)), pin!(self.stop.wait())).await;
                self.set(ConnectorPhase::Running, None);
                continue;
            }
            let began = self.inner.time.now();
            let ended = self.attempt_here().await;
            self.entry.gauges.clear();
            if !self.is_here() {
                continue;
            }
            if later(began, SETTLED) <= self.inner.time.now() {
                // It has gone well meanwhile.
                pause = FIRST_PAUSE;
            }
            let connector = &self.entry.name;
            match ended {
                Ok(()) => {}
                Err(error) if error.can_retry() || self.is_late_predecessor(&error) => {
                    tracing::warn!(%connector, %error, "a connector is tried again");
                    self.set(ConnectorPhase::Retrying, Some(error));
                }
                Err(error) => {
                    tracing::error!(%connector, %error, "a connector has failed");
                    self.set(ConnectorPhase::Failed, Some(error));
                    select(pin!(self.changes_place(true)), pin!(self.stop.wait())).await;
                    continue;
                }
            }
            select(pin!(self.inner.time.after(pause)), pin!(self.stop.wait())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether this process is the one that runs the connector: in a cluster, the node that owns its definition.
    fn is_here(&self) -> bool {
        self.inner.ownership.as_ref().is_none_or(|ownership| {
            let partition = partition_of(&stream_of(&self.entry.name), ownership.partitions());
            ownership.serves(partition)
        })
    }

    /// Whether an error tells of a run at another node that has not ended yet though the connector is here now.
    fn is_late_predecessor(&self, error: &ConnectorError) -> bool {
        self.inner.ownership.is_some() && error.is_overtaken()
    }

    /// Waits until it is no more as it was: run by this process, or by another one.
    async fn changes_place(&self, was_here: bool) {
        let Some(ownership) = &self.inner.ownership else { return std::future::pending().await };
        loop {
            let changed = ownership.changed();
            if self.is_here() != was_here {
                return;
            }
            changed.await;
        }
    }

    /// Makes an attempt, until it is to stop or to be made by another process. What is in progress then may come to its
    /// end.
    async fn attempt_here(&self) -> Result<(), ConnectorError> {
        let stop = StopSignal::default();
        let attempt = pin!(self.attempt_and_settle(&stop));
        let (leaves, stops) = (pin!(self.changes_place(true)), pin!(self.stop.wait()));
        let attempt = match select(attempt, select(leaves, stops)).await {
            Either::Left((ended, _)) => return ended,
            Either::Right((_, attempt)) => attempt,
        };
        stop.give();
        match select(attempt, pin!(self.inner.time.after(GRACE))).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => {
                let connector = &self.entry.name;
                tracing::warn!(%connector, "the run of a connector did not end in time, and was interrupted");
                Ok(())
            }
        }
    }

    /// Makes an attempt. Once it has gone on for a while, what the one before has met is over.
    async fn attempt_and_settle(&self, stop: &StopSignal) -> Result<(), ConnectorError> {
        let settled = pin!(self.inner.time.after(SETTLED));
        match select(pin!(self.attempt(stop)), settled).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), attempt)) => {
                self.set(ConnectorPhase::Running, None);
                attempt.await
            }
        }
    }

    async fn attempt(&self, stop: &StopSignal) -> Result<(), ConnectorError> {
        let Some(defined) = &self.entry.state.defined else {
            stop.wait().await;
            return Ok(());
        };
        // It was checked before it became a fact; a fact of another release may be unknown to this one.
        let definition = Arc::new(ConnectorDefinition::parse(&defined.text)?);
        let start = match &defined.start {
            ConnectorStart::Beginning => Cursor::START,
            ConnectorStart::After(cursor) => cursor.parse().map_err(|_| {
                Invalid::new(
                    "cursor_invalid",
                    "the connector begins behind a cursor that this release can't read",
                )
            })?,
        };
        let run = Run {
            store: self.inner.store.clone(),
            definition: definition.clone(),
            progress: progress_name(&self.entry.name, defined.generation),
            start,
            secrets: self.inner.secrets.clone(),
            time: self.inner.time.clone(),
            gauges: self.entry.gauges.clone(),
            stop: stop.clone(),
        };
        definition.kind.run(run).await
    }

    fn set(&self, phase: ConnectorPhase, failure: Option<ConnectorError>) {
        *self.entry.run.lock() = RunState { phase, failure };
        self.inner.changed.notify(usize::MAX);
    }
}

/// Returns the name under which a connector keeps its place and its parked events.
pub(super) fn progress_name(connector: &str, generation: u64) -> String {
    match generation {
        0 => format!("connector-{connector}"),
        generation => format!("connector-{connector}-{generation}"),
    }
}
