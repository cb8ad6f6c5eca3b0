//! A store with connectors that run.

use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{Append, Appended, Coded, EventStore, NewEvent};
use leftfold_connect::connectors::{
    ConnectorDefinition, ConnectorError, ConnectorStart, ConnectorStatus, Connectors, HeldEvent,
    Secrets,
};
use leftfold_store::{Embedded, Options};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The key of the signatures, as Standard Webhooks writes it.
pub(crate) const KEY: &str = "whsec_bGVmdGZvbGQgY29ubmVjdG9ycyB0ZXN0IGtleQ==";

/// A store in a directory, and its connectors.
pub(crate) struct World {
    pub(crate) store: Arc<Embedded>,
    pub(crate) connectors: Connectors<Embedded>,
    running: Option<Running>,
    /// Removed at the end.
    _dir: tempfile::TempDir,
}

/// A run of all connectors.
struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ConnectorError>>,
}

impl World {
    /// Makes a store, and runs its connectors. They know the secret `env:KEY`.
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(dir.path().join("data"), Options::default()).unwrap());
        let secrets = Secrets::of([("KEY".to_owned(), KEY.to_owned())]);
        let connectors = Connectors::new(store.clone(), secrets);
        let mut world = World { store, connectors, running: None, _dir: dir };
        world.start().await;
        world
    }

    /// Runs the connectors.
    pub(crate) async fn start(&mut self) {
        let (stop, stopped) = oneshot::channel::<()>();
        let connectors = self.connectors.clone();
        let ended = tokio::spawn(async move {
            let stop = async {
                // A dropped sender stops it too.
                _ = stopped.await;
            };
            connectors.run_until(stop).await
        });
        self.running = Some(Running { stop, ended });
        self.connectors.ready().await;
    }

    /// Stops the connectors; what is being delivered comes to its end.
    pub(crate) async fn stop(&mut self) {
        let Running { stop, ended } = self.running.take().unwrap();
        stop.send(()).unwrap();
        ended.await.unwrap().unwrap();
    }

    /// Interrupts the connectors wherever they are, as a kill does.
    pub(crate) async fn interrupt(&mut self) {
        // The sender lives until the end: dropped, it would stop the run before it is interrupted.
        let Running { ended, stop: _stop } = self.running.take().unwrap();
        ended.abort();
        assert!(ended.await.unwrap_err().is_cancelled());
    }

    pub(crate) async fn add(&self, text: &str) {
        let definition = ConnectorDefinition::parse(text).unwrap();
        self.connectors.add(&definition, ConnectorStart::Beginning).await.unwrap();
    }

    pub(crate) async fn append(&self, stream: &str, event_type: &str, data: &str) -> Appended {
        let event = NewEvent::json(event_type, data.to_owned());
        self.store.append(Append::new().event(stream, event)).await.unwrap()
    }

    /// Waits until a connector has this number of parked events.
    pub(crate) async fn parked(&self, name: &str, count: usize) -> Vec<HeldEvent> {
        self.listed(name, false, count).await
    }

    /// Waits until a connector has this number of events that are parked, or are tried again by themselves.
    pub(crate) async fn held(&self, name: &str, count: usize) -> Vec<HeldEvent> {
        self.listed(name, true, count).await
    }

    async fn listed(&self, name: &str, all: bool, count: usize) -> Vec<HeldEvent> {
        let looking = async {
            loop {
                let parked = self.connectors.parked(name, all).await.unwrap();
                if parked.len() == count {
                    return parked;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("the events were not parked")
    }

    /// Waits until a connector's status is as wanted.
    pub(crate) async fn until(
        &self,
        name: &str,
        wanted: impl Fn(&ConnectorStatus) -> bool,
    ) -> ConnectorStatus {
        let looking = async {
            loop {
                let status = self.connectors.status(name).await.unwrap();
                if wanted(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(status) => status,
            Err(_) => panic!("{:?}", self.connectors.status(name).await),
        }
    }
}

pub(crate) fn code<T: std::fmt::Debug>(answer: Result<T, ConnectorError>) -> &'static str {
    answer.unwrap_err().code()
}

/// A small generator: SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
