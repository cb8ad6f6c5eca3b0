use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use leftfold_api::{Cursor, EventStore, Read, Timestamp};
use parking_lot::RwLock;

use super::follow::Follower;
use super::{RowStore, View, ViewError};
use crate::time::{SystemTime, Time};

/// Keeps a view up to date, and answers from it.
pub struct ViewRunner<V, S> {
    view: V,
    store: Arc<S>,
    /// The current rows.
    rows: RwLock<Arc<dyn RowStore>>,
    time: Arc<dyn Time>,
    /// Notified when something was committed, or the rows were swapped.
    moved: Event,
}

/// How far a view is behind the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// It is up to date.
    None,
    /// The oldest missing event was committed this long ago.
    Since(Duration),
}

impl<V: View, S: EventStore> ViewRunner<V, S> {
    /// Makes a view with its rows.
    pub fn new(view: V, store: Arc<S>, rows: impl RowStore) -> Self {
        let rows: Arc<dyn RowStore> = Arc::new(rows);
        let (rows, time, moved) = (RwLock::new(rows), Arc::new(SystemTime), Event::new());
        ViewRunner { view, store, rows, time, moved }
    }

    /// Sets another clock than the system's.
    pub fn time(mut self, time: impl Time) -> Self {
        self.time = Arc::new(time);
        self
    }

    /// Returns the current rows. They may lag behind; see [`ViewRunner::at_least`].
    pub fn rows(&self) -> Arc<dyn RowStore> {
        self.rows.read().clone()
    }

    /// Applies all events that are in the store.
    pub async fn catch_up(&self) -> Result<(), ViewError> {
        let rows = self.rows();
        self.follow(&*rows).await.map(drop)
    }

    async fn follow<'a>(&'a self, rows: &'a dyn RowStore) -> Result<Follower<'a, V, S>, ViewError> {
        let mut follower = Follower::start(&self.view, &*self.store, rows).await?;
        while !follower.step().await? {
            self.moved.notify(usize::MAX);
        }
        self.moved.notify(usize::MAX);
        Ok(follower)
    }

    /// Keeps the rows up to date until an error. After a rebuild it continues with the new rows.
    pub async fn run(&self) -> Result<(), ViewError> {
        loop {
            let rows = self.rows();
            let mut follower = self.follow(&*rows).await?;
            while Arc::ptr_eq(&rows, &*self.rows.read()) {
                let swapped = self.wait_for_swap(&rows);
                let step = pin!(follower.step_live());
                match select(pin!(swapped), step).await {
                    // The follower of the new rows reads the interrupted delivery again.
                    Either::Left(_) => break,
                    Either::Right((step, _)) => {
                        step?;
                        self.moved.notify(usize::MAX);
                    }
                }
            }
        }
    }

    /// Keeps the rows up to date until `stop` is ready.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> Result<(), ViewError> {
        match select(pin!(self.run()), pin!(stop)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Ok(()),
        }
    }

    /// Waits until these rows are replaced.
    async fn wait_for_swap(&self, rows: &Arc<dyn RowStore>) {
        loop {
            let moved = self.moved.listen();
            if !Arc::ptr_eq(rows, &*self.rows.read()) {
                return;
            }
            moved.await;
        }
    }

    /// Builds new rows beside the current ones, and replaces them once the new ones have caught up.
    /// Returns the old rows, so that the caller can delete their file.
    pub async fn rebuild(&self, into: impl RowStore) -> Result<Arc<dyn RowStore>, ViewError> {
        let into: Arc<dyn RowStore> = Arc::new(into);
        drop(self.follow(&*into).await?);
        let old = std::mem::replace(&mut *self.rows.write(), into);
        self.moved.notify(usize::MAX);
        Ok(old)
    }

    /// Waits until the rows include all events up to a cursor, then returns them: read your own
    /// writes. Waits without limit; the view must run meanwhile.
    pub async fn at_least(&self, cursor: Cursor) -> Result<Arc<dyn RowStore>, ViewError> {
        loop {
            let moved = self.moved.listen();
            let rows = self.rows();
            if self.has_events_up_to(&*rows, cursor.clone()).await? {
                return Ok(rows);
            }
            moved.await;
        }
    }

    /// Waits like [`ViewRunner::at_least`], at most until a deadline.
    pub async fn at_least_until(
        &self,
        cursor: Cursor,
        deadline: Timestamp,
    ) -> Result<Arc<dyn RowStore>, ViewError> {
        match select(pin!(self.at_least(cursor.clone())), self.time.until(deadline)).await {
            Either::Left((rows, _)) => rows,
            Either::Right(_) => Err(ViewError::Late { cursor, deadline }),
        }
    }

    /// Returns whether rows have all of the view's events up to a cursor.
    async fn has_events_up_to(
        &self,
        rows: &dyn RowStore,
        cursor: Cursor,
    ) -> Result<bool, ViewError> {
        let mut at = rows.saved()?.map_or(Cursor::START, |saved| saved.cursor());
        while !at.covers(&cursor) {
            // There may be none of the view's events in between.
            let next = Read::forward(self.view.query()).after(at).at_least(cursor.clone()).limit(1);
            let page = self.store.read(next).await?;
            if !page.events.is_empty() {
                // It may be beyond the cursor; then the wait is a little longer than necessary.
                return Ok(false);
            }
            if !page.more {
                return Ok(true);
            }
            at = page.cursor;
        }
        Ok(true)
    }

    /// Returns how far the rows are behind the store.
    pub async fn lag(&self) -> Result<Lag, ViewError> {
        let mut at = self.rows().saved()?.map_or(Cursor::START, |saved| saved.cursor());
        loop {
            let read = Read::forward(self.view.query()).after(at).limit(1);
            let page = self.store.read(read).await?;
            if let Some(event) = page.events.first() {
                let since = self.time.now().micros() - event.commit_time().micros();
                let since = u64::try_from(since).unwrap_or_default();
                return Ok(Lag::Since(Duration::from_micros(since)));
            }
            if !page.more {
                return Ok(Lag::None);
            }
            at = page.cursor;
        }
    }
}
