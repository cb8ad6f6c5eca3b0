//! Runs the connectors of a store.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use event_listener::Event;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use leftfold_api::{
    Coded, Cursor, Delivery, EventStore, Field, Query, Subscribe, Subscription, Value,
};
use leftfold_fold::react::Ownership;
use leftfold_fold::time::{SystemTime, Time};
use parking_lot::{Mutex, RwLock};

use super::facts::{CATEGORY, ConnectorFact, ConnectorState};
use super::follow::{Follower, StopSignal};
use super::status::GaugesCell;
use super::{ConnectorDefinition, ConnectorError, ConnectorPhase, ConnectorStatus, Secrets};

/// The most connectors of a store.
pub const MAX_CONNECTORS: usize = 100;

/// The connectors of a store.
pub struct Connectors<S> {
    pub(super) inner: Arc<Inner<S>>,
}

impl<S> Clone for Connectors<S> {
    /// Returns a handle to the same connectors.
    fn clone(&self) -> Self {
        Connectors { inner: self.inner.clone() }
    }
}

pub(super) struct Inner<S> {
    pub(super) store: Arc<S>,
    pub(super) secrets: Secrets,
    pub(super) time: Arc<dyn Time>,
    /// Which partitions this process serves; `None` if it runs all connectors.
    pub(super) ownership: Option<Arc<dyn Ownership>>,
    /// The connectors that the facts name, by name.
    pub(super) connectors: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// Up to where the definitions were read; `None` before all that are in the store were.
    read: Mutex<Option<Cursor>>,
    /// Notified when a connector, or what it does, has changed.
    pub(super) changed: Event,
}

/// A connector of the store.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) state: ConnectorState,
    pub(super) run: Mutex<RunState>,
    pub(super) gauges: GaugesCell,
    /// Held by the run: a later one waits for the end of the one before.
    pub(super) running: Arc<async_lock::Mutex<()>>,
    stop: StopSignal,
}

/// What the run of a connector has come to.
pub(super) struct RunState {
    pub(super) phase: ConnectorPhase,
    pub(super) failure: Option<ConnectorError>,
}

impl<S: EventStore + 'static> Connectors<S> {
    /// Makes the connectors of a store. Nothing runs yet: see [`Connectors::run_until`].
    pub fn new(store: Arc<S>, secrets: Secrets) -> Self {
        Self::with(store, secrets, None)
    }

    /// Makes the connectors of a store that several processes serve: each runs those whose definition lies in a partition
    /// that it serves.
    pub fn owned(store: Arc<S>, secrets: Secrets, ownership: Arc<dyn Ownership>) -> Self {
        Self::with(store, secrets, Some(ownership))
    }

    fn with(store: Arc<S>, secrets: Secrets, ownership: Option<Arc<dyn Ownership>>) -> Self {
        Connectors {
            inner: Arc::new(Inner {
                store,
                secrets,
                time: Arc::new(SystemTime),
                ownership,
                connectors: RwLock::default(),
                read: Mutex::default(),
                changed: Event::new(),
            }),
        }
    }

    /// Runs all connectors until an error of the store, or until `stop` is ready. What is being delivered then may come to
    /// its end first. It needs the runtime of tokio.
    ///
    /// # Errors
    /// The definitions can't be read. A connector that fails is no error: see [`Connectors::list`].
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> Result<(), ConnectorError> {
        // A run before may have been interrupted.
        *self.inner.read.lock() = None;
        let mut running = FuturesUnordered::new();
        let ended = {
            let following = pin!(self.follow_definitions(&mut running));
            match select(following, pin!(stop)).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => Ok(()),
            }
        };
        for entry in self.inner.connectors.read().values() {
            entry.stop.give();
        }
        while running.next().await.is_some() {}
        *self.inner.read.lock() = None;
        ended
    }

    async fn follow_definitions(
        &self,
        running: &mut FuturesUnordered<leftfold_api::BoxFuture<'static, ()>>,
    ) -> Result<(), ConnectorError> {
        let definitions = Query::Is(Field::Category, vec![Value::Exactly(CATEGORY.to_owned())]);
        let subscribe = Subscribe::after(definitions, Cursor::START);
        let mut definitions = self.inner.store.subscribe(subscribe).await?;
        let mut states = BTreeMap::<String, ConnectorState>::new();
        let mut is_caught_up = false;
        loop {
            let delivery = match select(pin!(definitions.next()), running.next()).await {
                Either::Left((delivery, _)) => delivery?,
                // No connector is running: only a definition can change that.
                Either::Right((None, next)) => next.await?,
                Either::Right((Some(()), _)) => continue,
            };
            match delivery {
                Delivery::Event(event, at) => {
                    let name = event.stream().get(CATEGORY.len() + 1..).unwrap_or_default();
                    if let Some(fact) = ConnectorFact::of(&event) {
                        let state = states.entry(name.to_owned()).or_default();
                        state.apply(event.version(), fact);
                        if is_caught_up {
                            running.extend(self.begin(name, state.clone()));
                        }
                    }
                    if is_caught_up {
                        self.note_read(at);
                    }
                }
                Delivery::CaughtUp(at) => {
                    if !std::mem::replace(&mut is_caught_up, true) {
                        for (name, state) in &states {
                            running.extend(self.begin(name, state.clone()));
                        }
                    }
                    self.note_read(at);
                }
            }
        }
    }

    /// Takes a connector's state over, and returns its run, which ends when a later state comes.
    fn begin(
        &self,
        name: &str,
        state: ConnectorState,
    ) -> Option<leftfold_api::BoxFuture<'static, ()>> {
        let mut connectors = self.inner.connectors.write();
        let before = connectors.remove(name);
        if let Some(before) = &before {
            before.stop.give();
        }
        let begun = state.defined.is_some().then(|| {
            let phase = match state.is_paused {
                true => ConnectorPhase::Paused,
                false => ConnectorPhase::Running,
            };
            let entry = Arc::new(Entry {
                name: name.to_owned(),
                state,
                run: Mutex::new(RunState { phase, failure: None }),
                gauges: GaugesCell::default(),
                running: before.map(|before| before.running.clone()).unwrap_or_default(),
                stop: StopSignal::default(),
            });
            connectors.insert(name.to_owned(), entry.clone());
            entry
        });
        drop(connectors);
        self.inner.changed.notify(usize::MAX);
        let entry = begun.filter(|entry| !entry.state.is_paused)?;
        let (inner, stop) = (self.inner.clone(), entry.stop.clone());
        Some(Box::pin(Follower { inner, entry, stop }.run()))
    }

    fn note_read(&self, at: Cursor) {
        *self.inner.read.lock() = Some(at);
        self.inner.changed.notify(usize::MAX);
    }

    /// Returns whether a run has read the definitions that were in the store when it began.
    pub fn is_ready(&self) -> bool {
        self.inner.read.lock().is_some()
    }

    /// Waits until a run has read the definitions that were in the store when it began.
    pub async fn ready(&self) {
        loop {
            let changed = self.inner.changed.listen();
            if self.is_ready() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the definitions were read up to a cursor.
    pub(super) async fn wait_for_definitions(&self, cursor: &Cursor) {
        loop {
            let changed = self.inner.changed.listen();
            if self.inner.read.lock().as_ref().is_some_and(|read| read.covers(cursor)) {
                return;
            }
            changed.await;
        }
    }

    /// Returns a future that is ready when, after this call, a connector or what it does has changed.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<S> {
        self.inner.changed.listen()
    }

    /// Lists the connectors and what they are doing, by name.
    pub async fn list(&self) -> Vec<ConnectorStatus> {
        let entries: Vec<_> = self.inner.connectors.read().values().cloned().collect();
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            all.push(entry.status().await);
        }
        all
    }

    /// Returns what a connector is doing.
    ///
    /// # Errors
    /// There is no such connector.
    pub async fn status(&self, name: &str) -> Result<ConnectorStatus, ConnectorError> {
        Ok(self.entry(name)?.status().await)
    }

    pub(super) fn entry(&self, name: &str) -> Result<Arc<Entry>, ConnectorError> {
        let missing = || ConnectorError::Name {
            code: "connector_unknown",
            message: format!("there is no connector {name}"),
        };
        self.inner.connectors.read().get(name).cloned().ok_or_else(missing)
    }
}

impl Entry {
    async fn status(&self) -> ConnectorStatus {
        let gauges = self.gauges.read().await;
        let (phase, failure) = {
            let run = self.run.lock();
            (run.phase, run.failure.clone())
        };
        let defined = self.state.defined.as_ref();
        let text = defined.map(|defined| defined.text.clone()).unwrap_or_default();
        let definition = ConnectorDefinition::parse(&text).ok();
        ConnectorStatus {
            name: self.name.clone(),
            kind: defined.map(|defined| defined.kind.clone()).unwrap_or_default(),
            phase,
            query: definition.and_then(|found| found.query).map(|query| query.to_string()),
            gauges,
            code: failure.as_ref().map(|failure| failure.code().to_owned()),
            failure: failure.map(|failure| failure.to_string()),
            text,
        }
    }
}
