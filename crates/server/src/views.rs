//! The SQL views of the served store, and the thread that runs them.
//!
//! One thread polls the runs of all views, since they open files; each view writes on a thread of its own. Queries are
//! answered on threads that may block, a limited number of them at the same time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leftfold_api::Engine;
use leftfold_io::run_behind_others;
use leftfold_views::{ViewStatus, Views, limit_memory};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::config::Config;
use crate::http::Problem;
use crate::net::Shutdown;

/// The most bytes of the file of a view, and of a query of views.
pub(crate) const MAX_SQL_BODY: u64 = 1 << 20;
/// The pauses before the definitions are read again after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The views of a served store.
pub(crate) type ServedViews = Views<Arc<dyn Engine>>;

/// What the views were doing when they were last looked at.
pub(crate) type Statuses = Arc<Mutex<Vec<ViewStatus>>>;

/// The SQL views of the server.
pub(crate) struct SqlViews {
    /// None of a server that is only a router.
    views: Option<ServedViews>,
    is_running: Arc<AtomicBool>,
    statuses: Statuses,
    /// The answers of live queries that are found at the same time. They are not among `limits.asks`: queries are
    /// answered or refused at once, and live queries wait.
    pub(crate) live_asks: Arc<Semaphore>,
}

/// The thread that runs the views.
pub(crate) struct ViewsThread(Option<oneshot::Receiver<()>>);

impl ViewsThread {
    /// Returns that of a server that runs no views.
    pub(crate) fn none() -> Self {
        ViewsThread(None)
    }

    /// Waits for its end, which comes with the shutdown.
    pub(crate) async fn ended(&mut self) {
        if let Some(ended) = self.0.take() {
            // The sender is dropped when the thread ends.
            _ = ended.await;
        }
    }
}

impl SqlViews {
    /// Returns views that do not run.
    pub(crate) fn off(config: &Config) -> Self {
        let places = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        SqlViews {
            views: None,
            is_running: Arc::default(),
            statuses: Statuses::default(),
            live_asks: places(config.asks),
        }
    }

    /// Opens the views of a store.
    ///
    /// # Errors
    /// There is something else in place of their directory.
    pub(crate) fn open(config: &Config, store: Arc<dyn Engine>) -> io::Result<Self> {
        let (caches, all) = config.sqlite_memory();
        limit_memory(caches, all).map_err(io::Error::other)?;
        let views = Views::open(Arc::new(store), config.views_directory())?;
        Ok(SqlViews { views: Some(views), ..SqlViews::off(config) })
    }

    /// Runs the views on a thread until the shutdown begins. Returns when their definitions were read, or can't be
    /// read now; then the thread tries it again.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) async fn start(&self, shutdown: Shutdown) -> io::Result<ViewsThread> {
        let Some(views) = self.views.clone() else { return Ok(ViewsThread(None)) };
        let (running, handle) = (self.is_running.clone(), Handle::current());
        let (failed, mut has_failed) = watch::channel(false);
        let (end, ended) = oneshot::channel::<()>();
        let of_thread = views.clone();
        let run = move || {
            run_behind_others();
            handle.block_on(run(&of_thread, &running, &shutdown, &failed));
            // The store may be closed when the thread has ended.
            drop(of_thread);
            drop(end);
        };
        std::thread::Builder::new().name("leftfold-views".to_owned()).spawn(run)?;
        tokio::select! {
            () = views.ready() => {}
            // An error is the end of the thread.
            _ = has_failed.wait_for(|failed| *failed) => {}
        }
        Ok(ViewsThread(Some(ended)))
    }

    /// Returns the views, if they run.
    ///
    /// # Errors
    /// `view_stopped`: their definitions can't be read now, or this server runs no views.
    pub(crate) fn running(&self) -> Result<&ServedViews, Problem> {
        let stopped = || Problem::new("view_stopped", "the views do not run now; try again later");
        let views = self
            .views
            .as_ref()
            .filter(|views| self.is_running.load(Ordering::Acquire) && views.is_ready());
        views.ok_or_else(stopped)
    }

    /// Returns where the states of the views are kept for the metrics.
    pub(crate) fn statuses(&self) -> Statuses {
        self.statuses.clone()
    }

    /// Looks at what the views are doing, for the metrics.
    pub(crate) async fn look(&self) {
        let statuses = match &self.views {
            Some(views) => views.list().await,
            None => Vec::new(),
        };
        *self.statuses.lock() = statuses;
    }
}

async fn run(
    views: &ServedViews,
    is_running: &AtomicBool,
    shutdown: &Shutdown,
    failed: &watch::Sender<bool>,
) {
    let mut pause = FIRST_PAUSE;
    while !shutdown.has_begun() {
        is_running.store(true, Ordering::Release);
        let ended = views.run_until(shutdown.begun()).await;
        is_running.store(false, Ordering::Release);
        if let Err(error) = ended {
            tracing::error!(%error, "the views have stopped; they are started again");
            failed.send_replace(true);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.begun() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
