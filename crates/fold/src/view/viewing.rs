use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use leftfold_api::{Cursor, EventStore, Read, Timestamp};
use parking_lot::RwLock;

use super::follow::Following;
use super::{Backing, View, ViewError};
use crate::time::{SystemTime, Time};

/// Keeps a view up to date, and answers from it.
pub struct Viewing<V, S> {
    view: V,
    store: Arc<S>,
    /// The rows that answer now.
    rows: RwLock<Arc<dyn Backing>>,
    time: Arc<dyn Time>,
    /// Something was committed, or other rows answer.
    moved: Event,
}

/// How far a view is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// It has all that the store has.
    None,
    /// The oldest event that it has not was committed so long ago.
    Since(Duration),
}

impl<V: View, S: EventStore> Viewing<V, S> {
    /// A view, and where its rows are kept.
    pub fn new(view: V, store: Arc<S>, rows: impl Backing) -> Self {
        let rows: Arc<dyn Backing> = Arc::new(rows);
        let (rows, time, moved) = (RwLock::new(rows), Arc::new(SystemTime), Event::new());
        Viewing { view, store, rows, time, moved }
    }

    /// Another clock than the machine's.
    pub fn time(mut self, time: impl Time) -> Self {
        self.time = Arc::new(time);
        self
    }

    /// The rows as they are now. They are not at a particular place; see [`Viewing::at_least`].
    pub fn rows(&self) -> Arc<dyn Backing> {
        self.rows.read().clone()
    }

    /// Takes in all that is there.
    pub async fn catch_up(&self) -> Result<(), ViewError> {
        let rows = self.rows();
        self.follow(&*rows).await.map(drop)
    }

    async fn follow<'a>(&'a self, rows: &'a dyn Backing) -> Result<Following<'a, V, S>, ViewError> {
        let mut following = Following::start(&self.view, &*self.store, rows).await?;
        while !following.step().await? {
            self.moved.notify(usize::MAX);
        }
        self.moved.notify(usize::MAX);
        Ok(following)
    }

    /// Keeps the rows up to date until something is wrong. When other rows take their place, it goes
    /// on with those.
    pub async fn run(&self) -> Result<(), ViewError> {
        loop {
            let rows = self.rows();
            let mut following = self.follow(&*rows).await?;
            while Arc::ptr_eq(&rows, &*self.rows.read()) {
                let swapped = self.swapped(&rows);
                let step = pin!(following.step_live());
                match select(pin!(swapped), step).await {
                    // What is on its way is read again by whoever follows the new rows.
                    Either::Left(_) => break,
                    Either::Right((step, _)) => {
                        step?;
                        self.moved.notify(usize::MAX);
                    }
                }
            }
        }
    }

    /// Keeps the rows up to date until it is told to stop.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> Result<(), ViewError> {
        match select(pin!(self.run()), pin!(stop)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Ok(()),
        }
    }

    /// Waits until other rows answer than these.
    async fn swapped(&self, rows: &Arc<dyn Backing>) {
        loop {
            let moved = self.moved.listen();
            if !Arc::ptr_eq(rows, &*self.rows.read()) {
                return;
            }
            moved.await;
        }
    }

    /// Builds rows anew, beside those that answer, and lets the new ones answer once they have caught
    /// up. The old ones are given back: the caller removes what they are kept in.
    pub async fn rebuild(&self, into: impl Backing) -> Result<Arc<dyn Backing>, ViewError> {
        let into: Arc<dyn Backing> = Arc::new(into);
        drop(self.follow(&*into).await?);
        let old = std::mem::replace(&mut *self.rows.write(), into);
        self.moved.notify(usize::MAX);
        Ok(old)
    }

    /// The rows, once they have all that comes before a cursor: read your own writes. Waits for as
    /// long as it takes; something must run the view meanwhile.
    pub async fn at_least(&self, cursor: Cursor) -> Result<Arc<dyn Backing>, ViewError> {
        loop {
            let moved = self.moved.listen();
            let rows = self.rows();
            if self.has(&*rows, cursor.clone()).await? {
                return Ok(rows);
            }
            moved.await;
        }
    }

    /// The same, but not after a deadline.
    pub async fn at_least_until(
        &self,
        cursor: Cursor,
        deadline: Timestamp,
    ) -> Result<Arc<dyn Backing>, ViewError> {
        match select(pin!(self.at_least(cursor.clone())), self.time.until(deadline)).await {
            Either::Left((rows, _)) => rows,
            Either::Right(_) => Err(ViewError::Late { cursor, deadline }),
        }
    }

    /// Whether rows have all of the view's events up to a cursor.
    async fn has(&self, rows: &dyn Backing, cursor: Cursor) -> Result<bool, ViewError> {
        let mut at = rows.saved()?.map_or(Cursor::START, |saved| saved.cursor());
        while !at.covers(&cursor) {
            // What lies between may be nothing that the view wants.
            let next = Read::forward(self.view.query()).after(at).at_least(cursor.clone()).limit(1);
            let page = self.store.read(next).await?;
            if !page.events.is_empty() {
                // It may lie beyond the cursor: then the view is waited for a little longer.
                return Ok(false);
            }
            if !page.more {
                return Ok(true);
            }
            at = page.cursor;
        }
        Ok(true)
    }

    /// How far the rows are behind the store.
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
