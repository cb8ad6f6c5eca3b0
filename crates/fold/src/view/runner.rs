use std::pin::pin;
use std::sync::Arc;

use async_lock::Mutex;
use futures_util::future::{Either, select};
use leftfold_api::{Cursor, EventStore, Timestamp};
use parking_lot::RwLock;

use super::feed::{Feed, ViewChanges};
use super::follow::{Definition, Follower};
use super::lag::{Lag, has_events_up_to, lag};
use super::progress::Progress;
use super::rows_sink::RowsSink;
use super::thread::WriterThread;
use super::{RowStore, RowTable, RowView, Saved, Sink, View, ViewError};
use crate::time::{SystemTime, Time};

/// Keeps a view up to date, and answers from it.
///
/// Rows that wait for a disk are written on a thread of the runner's own. Dropping the runner waits
/// for the commit in progress.
pub struct ViewRunner<V, S> {
    view: Arc<V>,
    store: Arc<S>,
    current: RwLock<Arc<Target<V>>>,
    time: Arc<dyn Time>,
    progress: Progress,
    feed: Arc<Feed>,
}

/// Rows, and the way to change them.
struct Target<V> {
    rows: Arc<dyn RowStore>,
    sink: Mutex<RowsSink<V>>,
}

type ViewFollower<'a, V, S> = Follower<'a, RowsSink<V>, <S as EventStore>::Subscription>;

impl<V: View> Target<V> {
    fn new(view: &Arc<V>, rows: impl RowStore, feed: Option<Arc<Feed>>) -> Arc<Self> {
        let (view, rows): (_, Arc<dyn RowStore>) = (view.clone(), Arc::new(rows));
        let sink = RowsSink { view, rows: rows.clone(), feed, thread: WriterThread::new() };
        Arc::new(Target { rows, sink: Mutex::new(sink) })
    }
}

impl<V: View, S: EventStore> ViewRunner<V, S> {
    /// Makes a view with its rows.
    pub fn new(view: V, store: Arc<S>, rows: impl RowStore) -> Self {
        let (view, feed) = (Arc::new(view), Arc::new(Feed::default()));
        let current = RwLock::new(Target::new(&view, rows, Some(feed.clone())));
        let (time, progress) = (Arc::new(SystemTime), Progress::default());
        ViewRunner { view, store, current, time, progress, feed }
    }

    /// Sets another clock than the system's.
    pub fn time(mut self, time: impl Time) -> Self {
        self.time = Arc::new(time);
        self
    }

    /// Returns the view.
    pub fn view(&self) -> &V {
        &self.view
    }

    /// Returns the current rows. They may lag behind; see [`ViewRunner::at_least`].
    pub fn rows(&self) -> Arc<dyn RowStore> {
        self.current.read().rows.clone()
    }

    fn current(&self) -> Arc<Target<V>> {
        self.current.read().clone()
    }

    fn is_current(&self, target: &Arc<Target<V>>) -> bool {
        Arc::ptr_eq(target, &*self.current.read())
    }

    async fn follow<'a>(&self, target: &'a Target<V>) -> Result<ViewFollower<'a, V, S>, ViewError> {
        let (name, logic) = (self.view.name().to_owned(), self.view.logic());
        let (query, start) = (self.view.query(), Cursor::START);
        let definition = Definition { name, logic, query, start };
        Follower::start(definition, &*self.store, &*self.store, &target.sink).await
    }

    /// Applies all events that are in the store.
    pub async fn catch_up(&self) -> Result<(), ViewError> {
        let target = self.current();
        let caught_up = async {
            let mut follower = self.follow(&target).await?;
            while !follower.has_caught_up() {
                follower.step().await?;
                self.progress.advance();
            }
            Ok(())
        };
        self.progress.record(caught_up.await)
    }

    /// Keeps the rows up to date until an error. After a rebuild it continues with the new rows.
    ///
    /// Events that are ready together are committed together; an event that comes alone is committed
    /// at once.
    pub async fn run(&self) -> Result<(), ViewError> {
        let _running = self.progress.begin();
        let run = async {
            loop {
                self.run_current().await?;
            }
        };
        self.progress.record(run.await)
    }

    /// Keeps the current rows up to date until they are replaced.
    async fn run_current(&self) -> Result<(), ViewError> {
        let target = self.current();
        let follow = async {
            let mut follower = self.follow(&target).await?;
            loop {
                follower.step().await?;
                self.progress.advance();
            }
        };
        match select(pin!(self.wait_for_swap(&target)), pin!(follow)).await {
            // The follower of the new rows reads the interrupted delivery again.
            Either::Left(_) => Ok(()),
            Either::Right((ended, _)) => ended,
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
    async fn wait_for_swap(&self, target: &Arc<Target<V>>) {
        loop {
            let moved = self.progress.listen();
            if !self.is_current(target) {
                return;
            }
            moved.await;
        }
    }

    /// Builds new rows beside the current ones, and replaces them once the new ones have all that the
    /// current ones have. Returns the old rows, so that the caller can delete their file. A failure
    /// of the current rows ends with them; a failure of the new ones is no failure of the current
    /// ones.
    pub async fn rebuild(&self, into: impl RowStore) -> Result<Arc<dyn RowStore>, ViewError> {
        let target = Target::new(&self.view, into, None);
        let mut follower = self.follow(&target).await?;
        while !follower.has_caught_up() {
            follower.step().await?;
        }
        loop {
            let old = self.current();
            // The current rows stand still from here, so that readers never go back.
            let mut old_sink = old.sink.lock().await;
            if !self.is_current(&old) {
                // Another rebuild was faster.
                continue;
            }
            // Rows that can't be read have nothing that readers could miss.
            let saved = old_sink.saved().await.unwrap_or_default();
            let upto = saved.as_ref().map_or(Cursor::START, Saved::cursor);
            while !self.is_ahead(follower.cursor(), &upto).await? {
                follower.step().await?;
            }
            target.sink.lock().await.feed = old_sink.feed.take();
            *self.current.write() = target.clone();
            drop(old_sink);
            self.feed.lose();
            self.progress.advance();
            return Ok(old.rows.clone());
        }
    }

    /// Returns whether new rows have all events that the old ones have. Old rows of another history
    /// have nothing to wait for.
    async fn is_ahead(&self, new: Cursor, old: &Cursor) -> Result<bool, ViewError> {
        if !self.store.head().await?.covers(old) {
            return Ok(true);
        }
        Ok(has_events_up_to(&*self.store, &self.view.query(), new, old).await?)
    }

    /// Waits until the rows include all events up to a cursor, then returns them: read your own
    /// writes. It waits without limit for a run to begin.
    ///
    /// # Errors
    /// The failure of the run, until another run makes progress; `view_stopped` if the run has ended.
    pub async fn at_least(&self, cursor: Cursor) -> Result<Arc<dyn RowStore>, ViewError> {
        loop {
            let moved = self.progress.listen();
            let rows = self.rows();
            let at = rows.saved()?.as_ref().map_or(Cursor::START, Saved::cursor);
            if has_events_up_to(&*self.store, &self.view.query(), at, &cursor).await? {
                return Ok(rows);
            }
            self.progress.check(self.view.name())?;
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

    /// Subscribes to changes: the keys that each commit changes, with their old and new rows.
    ///
    /// To join rows and changes, subscribe first, then read the rows, then skip the changes whose
    /// cursor is not behind the rows' ([`RowReader::saved`](super::RowReader::saved)). Changes that wait for a subscriber have
    /// at most 16 MiB: one that lags further behind gets `view_changes_lost`, and must read the rows
    /// again.
    pub fn changes(&self) -> ViewChanges<'_> {
        self.feed.subscribe(&self.progress, self.view.name())
    }

    /// Returns how far the rows are behind the store.
    pub async fn lag(&self) -> Result<Lag, ViewError> {
        let at = self.rows().saved()?.as_ref().map_or(Cursor::START, Saved::cursor);
        Ok(lag(&*self.store, &self.view.query(), at, self.time.now()).await?)
    }
}

impl<V: RowView, S: EventStore> ViewRunner<V, S> {
    /// Returns the current rows. They may lag behind; see [`ViewRunner::table_at_least`].
    pub fn table(&self) -> RowTable<V> {
        RowTable::new(self.view.clone(), self.rows())
    }

    /// Waits like [`ViewRunner::at_least`], then returns the rows.
    pub async fn table_at_least(&self, cursor: Cursor) -> Result<RowTable<V>, ViewError> {
        Ok(RowTable::new(self.view.clone(), self.at_least(cursor).await?))
    }
}
