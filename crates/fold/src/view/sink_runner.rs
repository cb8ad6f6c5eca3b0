use std::pin::pin;
use std::sync::Arc;

use async_lock::Mutex;
use futures_util::future::{Either, select};
use leftfold_api::{Cursor, EventStore, Query, Timestamp};

use super::follow::{Definition, Follower};
use super::lag::{Lag, has_events_up_to, lag};
use super::progress::Progress;
use super::{Saved, Sink, Source, ViewError};
use crate::time::{SystemTime, Time};

/// Brings the events of a query to a [`Sink`], each exactly once. They come from the store, unless
/// [`SinkRunner::source`] says otherwise.
pub struct SinkRunner<K, S, E = S> {
    name: String,
    logic: u32,
    query: Query,
    store: Arc<S>,
    source: Arc<E>,
    sink: Mutex<K>,
    /// Where a sink begins that has stored nothing.
    start: Cursor,
    /// The cursor behind the last commit, as a run knows it.
    committed: parking_lot::Mutex<Option<Cursor>>,
    time: Arc<dyn Time>,
    progress: Progress,
}

impl<K: Sink, S: EventStore> SinkRunner<K, S> {
    /// Makes a runner. The name identifies what the sink has stored: a sink that was filled under
    /// another name is refused.
    pub fn new(name: impl Into<String>, query: impl Into<Query>, store: Arc<S>, sink: K) -> Self {
        let (name, query, sink) = (name.into(), query.into(), Mutex::new(sink));
        let (time, progress) = (Arc::new(SystemTime), Progress::default());
        let (source, committed) = (store.clone(), parking_lot::Mutex::default());
        let start = Cursor::START;
        SinkRunner { name, logic: 1, query, store, source, sink, start, committed, time, progress }
    }
}

impl<K: Sink, S: EventStore, E: Source> SinkRunner<K, S, E> {
    /// Sets where the events come from: something that subscribes to the store.
    pub fn source<T: Source>(self, source: Arc<T>) -> SinkRunner<K, S, T> {
        let SinkRunner {
            name, logic, query, store, sink, start, committed, time, progress, ..
        } = self;
        SinkRunner { name, logic, query, store, source, sink, start, committed, time, progress }
    }

    /// Sets the cursor behind which a sink begins that has stored nothing; the default is the start of
    /// the store. Events before it are never brought.
    pub fn starts_after(mut self, cursor: Cursor) -> Self {
        self.start = cursor;
        self
    }

    /// Sets the version of the query and of the sink's logic; the default is 1. What was stored by
    /// another version is refused.
    pub fn logic(mut self, version: u32) -> Self {
        self.logic = version;
        self
    }

    /// Sets another clock than the system's.
    pub fn time(mut self, time: impl Time) -> Self {
        self.time = Arc::new(time);
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn follow(&self) -> Result<Follower<'_, K, E::Subscription>, ViewError> {
        let (name, logic, query) = (self.name.clone(), self.logic, self.query.clone());
        let start = self.start.clone();
        let definition = Definition { name, logic, query, start };
        let follower = Follower::start(definition, &*self.store, &*self.source, &self.sink).await?;
        *self.committed.lock() = Some(follower.cursor());
        Ok(follower)
    }

    /// Commits all events that are in the store.
    pub async fn catch_up(&self) -> Result<(), ViewError> {
        let caught_up = async {
            let mut follower = self.follow().await?;
            while !follower.has_caught_up() {
                follower.step().await?;
                self.advance(follower.cursor());
            }
            Ok(())
        };
        self.progress.record(caught_up.await)
    }

    /// Brings events until an error.
    pub async fn run(&self) -> Result<(), ViewError> {
        let _running = self.progress.begin();
        let run = async {
            let mut follower = self.follow().await?;
            loop {
                follower.step().await?;
                self.advance(follower.cursor());
            }
        };
        self.progress.record(run.await)
    }

    fn advance(&self, cursor: Cursor) {
        *self.committed.lock() = Some(cursor);
        self.progress.advance();
    }

    /// Brings events until `stop` is ready.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> Result<(), ViewError> {
        match select(pin!(self.run()), pin!(stop)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Ok(()),
        }
    }

    /// Returns the cursor behind the last commit, or where the sink begins. A commit in progress is
    /// waited for.
    ///
    /// # Errors
    /// The sink can't be read.
    pub async fn cursor(&self) -> Result<Cursor, ViewError> {
        let saved = self.sink.lock().await.saved().await?;
        Ok(saved.as_ref().map_or_else(|| self.start.clone(), Saved::cursor))
    }

    /// Waits until all events up to a cursor are committed. It waits without limit for a run to
    /// begin.
    ///
    /// # Errors
    /// The failure of the run, until another run makes progress; `view_stopped` if the run has ended.
    pub async fn at_least(&self, cursor: Cursor) -> Result<(), ViewError> {
        loop {
            let moved = self.progress.listen();
            let at = self.cursor().await?;
            if has_events_up_to(&*self.store, &self.query, at, &cursor).await? {
                return Ok(());
            }
            self.progress.check(&self.name)?;
            moved.await;
        }
    }

    /// Waits like [`SinkRunner::at_least`], at most until a deadline.
    pub async fn at_least_until(
        &self,
        cursor: Cursor,
        deadline: Timestamp,
    ) -> Result<(), ViewError> {
        match select(pin!(self.at_least(cursor.clone())), self.time.until(deadline)).await {
            Either::Left((reached, _)) => reached,
            Either::Right(_) => Err(ViewError::Late { cursor, deadline }),
        }
    }

    /// Returns a future that is ready when, after this call, events are committed, or a run begins, fails
    /// or ends.
    pub fn moved(&self) -> impl Future<Output = ()> + Send + use<K, S, E> {
        self.progress.listen()
    }

    /// Returns how far the sink is behind the store. It does not wait for a commit in progress, which may be held up
    /// for long.
    pub async fn lag(&self) -> Result<Lag, ViewError> {
        let sink = self.sink.try_lock();
        let at = match sink {
            Some(mut sink) => sink.saved().await?.as_ref().map(Saved::cursor),
            None => self.committed.lock().clone(),
        };
        let at = at.unwrap_or_else(|| self.start.clone());
        Ok(lag(&*self.store, &self.query, at, self.time.now()).await?)
    }
}
