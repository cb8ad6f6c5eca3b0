//! The run of one connector: attempt after attempt, until it is to be another one.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use leftfold_api::{Coded, Cursor, EventStore, Invalid};
use leftfold_fold::time::later;

use super::facts::ConnectorStart;
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
        let ended = pin!(self.attempts());
        let late = pin!(async {
            self.stop.wait().await;
            self.inner.time.after(GRACE).await;
        });
        if let Either::Right(_) = select(ended, late).await {
            let connector = &self.entry.name;
            tracing::warn!(%connector, "the run of a connector did not end in time, and was interrupted");
        }
        self.entry.gauges.clear();
    }

    /// Tries until it is to stop. After a failure that does not pass, it waits for that.
    async fn attempts(&self) {
        let mut pause = FIRST_PAUSE;
        while !self.stop.is_given() {
            let began = self.inner.time.now();
            let ended = self.attempt_and_settle().await;
            self.entry.gauges.clear();
            if later(began, SETTLED) <= self.inner.time.now() {
                // It has gone well meanwhile.
                pause = FIRST_PAUSE;
            }
            let connector = &self.entry.name;
            match ended {
                Ok(()) => {}
                Err(error) if error.can_retry() => {
                    tracing::warn!(%connector, %error, "a connector is tried again");
                    self.set(ConnectorPhase::Retrying, Some(error));
                }
                Err(error) => {
                    tracing::error!(%connector, %error, "a connector has failed");
                    self.set(ConnectorPhase::Failed, Some(error));
                    self.stop.wait().await;
                    return;
                }
            }
            select(pin!(self.inner.time.after(pause)), pin!(self.stop.wait())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes an attempt. Once it has gone on for a while, what the one before has met is over.
    async fn attempt_and_settle(&self) -> Result<(), ConnectorError> {
        let settled = pin!(self.inner.time.after(SETTLED));
        match select(pin!(self.attempt()), settled).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), attempt)) => {
                self.set(ConnectorPhase::Running, None);
                attempt.await
            }
        }
    }

    async fn attempt(&self) -> Result<(), ConnectorError> {
        let Some(defined) = &self.entry.state.defined else {
            self.stop.wait().await;
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
            stop: self.stop.clone(),
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
