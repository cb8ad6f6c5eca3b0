//! The connectors of the served store, and the task that runs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leftfold_api::{BoxFuture, Cluster, Engine};
use leftfold_connect::connectors::{ConnectorStatus, Connectors, Ownership, Secrets};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::http::Problem;
use crate::net::Shutdown;

/// The pauses before the definitions are read again after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The connectors of a served store.
pub(crate) type ServedConnectors = Connectors<Arc<dyn Engine>>;

/// What the connectors were doing when they were last looked at.
pub(crate) type Statuses = Arc<Mutex<Vec<ConnectorStatus>>>;

/// The connectors of the server.
pub(crate) struct RunningConnectors {
    /// None of a server that runs none.
    connectors: Option<ServedConnectors>,
    is_running: Arc<AtomicBool>,
    statuses: Statuses,
}

impl RunningConnectors {
    /// Returns connectors that do not run.
    pub(crate) fn off() -> Self {
        RunningConnectors {
            connectors: None,
            is_running: Arc::default(),
            statuses: Statuses::default(),
        }
    }

    /// Returns the connectors of a store. A node of a cluster runs those whose definition lies in a partition that it owns.
    pub(crate) fn of(store: Arc<dyn Engine>) -> Self {
        let secrets = Secrets::default();
        let connectors = match store.cluster().is_some() {
            true => {
                let owned = Arc::new(OwnedPartitions(store.clone()));
                Connectors::owned(Arc::new(store), secrets, owned)
            }
            false => Connectors::new(Arc::new(store), secrets),
        };
        RunningConnectors { connectors: Some(connectors), ..RunningConnectors::off() }
    }

    /// Returns where the states of the connectors are kept for the metrics.
    pub(crate) fn statuses(&self) -> Statuses {
        self.statuses.clone()
    }

    /// Looks at what the connectors are doing, for the metrics.
    pub(crate) async fn look(&self) {
        let statuses = match &self.connectors {
            Some(connectors) => connectors.list().await,
            None => Vec::new(),
        };
        *self.statuses.lock() = statuses;
    }

    /// Runs the connectors until the shutdown begins; what is being delivered then may come to its end. Returns the task.
    pub(crate) fn start(&self, shutdown: Shutdown) -> Option<JoinHandle<()>> {
        let (connectors, is_running) = (self.connectors.clone()?, self.is_running.clone());
        Some(tokio::spawn(async move { run(&connectors, &is_running, &shutdown).await }))
    }

    /// Returns the connectors, if they run.
    ///
    /// # Errors
    /// `connectors_stopped`: their definitions can't be read now, or this server runs none.
    pub(crate) fn running(&self) -> Result<&ServedConnectors, Problem> {
        let message = match &self.connectors {
            Some(_) => "the connectors do not run now; try again later",
            None => "this server runs no connectors: the setting connectors is false",
        };
        let running = self.connectors.as_ref();
        let running = running
            .filter(|connectors| self.is_running.load(Ordering::Acquire) && connectors.is_ready());
        running.ok_or_else(|| Problem::new("connectors_stopped", message))
    }
}

/// The partitions that a node owns.
struct OwnedPartitions(Arc<dyn Engine>);

impl Ownership for OwnedPartitions {
    fn partitions(&self) -> u32 {
        self.0.cluster().map_or(1, Cluster::partitions)
    }

    fn serves(&self, partition: u32) -> bool {
        self.0.cluster().is_none_or(|cluster| cluster.owns(partition))
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        match self.0.cluster() {
            Some(cluster) => cluster.owned_changed(),
            None => Box::pin(std::future::pending()),
        }
    }
}

async fn run(connectors: &ServedConnectors, is_running: &AtomicBool, shutdown: &Shutdown) {
    let mut pause = FIRST_PAUSE;
    while !shutdown.has_begun() {
        is_running.store(true, Ordering::Release);
        let ended = connectors.run_until(shutdown.begun()).await;
        is_running.store(false, Ordering::Release);
        if let Err(error) = ended {
            tracing::error!(%error, "the connectors have stopped; they are started again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.begun() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
