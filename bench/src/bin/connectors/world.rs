//! A store with events, and connectors that run on it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use leftfold::{Append, Embedded, EventStore, NewEvent, Options, Query, Read, Recorded};
use leftfold_connect::connectors::{
    ConnectorDefinition, ConnectorPhase, ConnectorStart, Connectors, Secrets,
};
use tokio::sync::oneshot;

/// The bytes of an event's data.
pub(crate) const PAYLOAD: usize = 256;
/// The streams over which the events are spread.
pub(crate) const STREAMS: u64 = 1_000;
/// The query of the history.
pub(crate) const HISTORY: &str = "category:order";
/// The events of an append, while the store is filled.
const APPENDED: u64 = 5_000;
/// The events of a page that is read by hand.
const PAGE: usize = 2_000;
/// How often a connector is asked for what it has delivered.
const LOOK: Duration = Duration::from_millis(10);
/// The longest time for a measurement.
const PATIENCE: Duration = Duration::from_secs(900);

/// A store, and the number of connectors that it has had.
pub(crate) struct World {
    pub(crate) store: Arc<Embedded>,
    made: u32,
}

/// A connector that runs.
pub(crate) struct Running {
    connectors: Connectors<Embedded>,
    name: String,
    /// The time before it was added.
    added: Instant,
}

impl World {
    /// Makes a store with this number of events.
    pub(crate) fn filled(directory: &Path, events: u64) -> anyhow::Result<Self> {
        let store = Arc::new(Embedded::open(directory, Options::default())?);
        let mut letters = Letters(1);
        for from in (0..events).step_by(usize::try_from(APPENDED)?) {
            let upto = events.min(from + APPENDED);
            let append = (from..upto).fold(Append::new(), |append, n| {
                append.event(format!("order-{}", n % STREAMS), event(&mut letters))
            });
            store.blocking().append(append)?;
        }
        Ok(World { store, made: 0 })
    }

    /// Runs a connector from the beginning of its query until it has delivered this number of events. The text is its file
    /// without a name. Returns the events per second, from the moment at which it is added.
    pub(crate) async fn rate(&mut self, text: &str, events: u64) -> anyhow::Result<f64> {
        let running = async |running: &Running| running.deliver(events).await;
        let took = self.run(text, ConnectorStart::Beginning, running).await?;
        Ok(events as f64 / took.as_secs_f64())
    }

    /// Runs a connector from the current end of the store, while something is done.
    pub(crate) async fn run_from_now<T>(
        &mut self,
        text: &str,
        doing: impl AsyncFnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let start = ConnectorStart::After(self.store.head().await?.to_string());
        self.run(text, start, async |_| doing().await).await
    }

    /// Runs a connector while something is done. It has ended when this returns, so that it takes no part in what is
    /// measured next.
    async fn run<T>(
        &mut self,
        text: &str,
        start: ConnectorStart,
        doing: impl AsyncFnOnce(&Running) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.made += 1;
        let name = format!("bench-{}", self.made);
        let definition = ConnectorDefinition::parse(&format!("name = \"{name}\"\n{text}"))?;
        let connectors = Connectors::new(self.store.clone(), Secrets::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn({
            let connectors = connectors.clone();
            async move { connectors.run_until(async { _ = stopped.await }).await }
        });
        connectors.ready().await;
        let running = Running { connectors, name, added: Instant::now() };
        running.connectors.add(&definition, start).await?;
        let done = tokio::time::timeout(PATIENCE, doing(&running)).await;
        running.connectors.remove(&running.name).await?;
        drop(stop);
        ended.await??;
        done.context("it takes too long")?
    }

    /// Returns the pages of the history.
    pub(crate) fn pages(&self) -> anyhow::Result<Pages<'_>> {
        let query: Query = HISTORY.parse()?;
        Ok(Pages { store: &self.store, next: Some(Read::forward(query.clone())), query })
    }
}

impl Running {
    /// Waits until this number of events is delivered; returns how long that took since it was added.
    async fn deliver(&self, events: u64) -> anyhow::Result<Duration> {
        loop {
            let status = self.connectors.status(&self.name).await?;
            let gauges = status.gauges.unwrap_or_default();
            if gauges.events >= events {
                return Ok(self.added.elapsed());
            }
            if status.phase == ConnectorPhase::Failed {
                bail!("the connector has failed: {}", status.failure.unwrap_or_default());
            }
            ensure!(gauges.skipped == 0 && gauges.held == 0, "events are held up: {status:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The pages of a history.
pub(crate) struct Pages<'a> {
    store: &'a Embedded,
    query: Query,
    next: Option<Read>,
}

impl Pages<'_> {
    /// Reads the next page; `None` at the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<Recorded>>> {
        let Some(read) = self.next.take() else { return Ok(None) };
        let page = self.store.read(read.limit(PAGE)).await?;
        if page.more {
            self.next = Some(Read::forward(self.query.clone()).after(page.cursor));
        }
        Ok(Some(page.events))
    }
}

/// Checks that what was done by hand is the whole work.
pub(crate) fn check_all(done: u64, events: u64) -> anyhow::Result<()> {
    ensure!(done == events, "{done} of {events} events were moved");
    Ok(())
}

/// Returns an event with data of the usual size.
pub(crate) fn event(letters: &mut Letters) -> NewEvent {
    let (begin, end) = ("{\"text\":\"", "\"}");
    let mut data = String::with_capacity(PAYLOAD);
    data.push_str(begin);
    data.extend(letters.by_ref().take(PAYLOAD - begin.len() - end.len()));
    data.push_str(end);
    NewEvent::json("OrderChanged", data)
}

/// Pseudo-random letters, by xorshift; the seed is not 0.
pub(crate) struct Letters(pub(crate) u64);

impl Iterator for Letters {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some(char::from(b'a' + (self.0 % 26) as u8))
    }
}
