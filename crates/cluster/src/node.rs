//! A node: its membership of a cluster, the partitions that it follows or owns, and the store that they give.
//!
//! They run on threads of their own, so that neither requests nor folds delay a heartbeat or a batch. The membership
//! has one for itself: a copy that replays, or whose disk is slow, delays no heartbeat.

mod clients;
mod copies;
mod prepare;
mod shared;
mod steer;
mod tasks;
#[cfg(test)]
mod unfit_tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::join_all;
use leftfold_api::{Cluster, Engine, Failure, MAX_PARTITIONS, Origin};
use leftfold_fold::time::TokioTime;
use leftfold_kafka::Client;
use leftfold_store::{Embedded, Options};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::group::{Membership, MetadataError, Standing};
use crate::many::{self, PartitionedStore};
use crate::partition::{Role, Status};
use crate::store::{ClusterStore, OwnPart, Peers, Route};
use crate::topic::TopicError;
use clients::Clients;
use prepare::{Prepared, prepare};
use shared::Shared;
use tasks::{Steered, Tasks};

/// How long a node that stops waits until others have its partitions.
const HAND_OVER: Duration = Duration::from_secs(10);

/// The settings of a node.
pub struct NodeConfig {
    /// The connections to the brokers.
    pub client: Client,
    /// The name of the cluster.
    pub cluster: String,
    /// The number of partitions, which is fixed when the topic is created.
    pub partitions: usize,
    /// The name of the node, which no other node of the cluster has.
    pub name: String,
    /// The URL at which other nodes reach this one.
    pub url: String,
    /// The address at which Kafka's clients reach it, as `host:port`, if it is known. [`Cluster::advertise_kafka`]
    /// changes it.
    pub kafka: Option<String>,
    /// What the nodes of the cluster know each other by; empty for nothing.
    pub token: String,
    /// The directory of the copies.
    pub dir: PathBuf,
    /// The options of one store. The copies share its memory.
    pub options: Options,
    /// The replicas of a topic that is created; the brokers' default if not given.
    pub replication: Option<i16>,
    /// The time without heartbeats after which another node takes over.
    pub session_timeout: Duration,
}

/// Why a node can't start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The topic can't be used.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The name or the URL of the node can't be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The number of partitions is not possible.
    #[error("expected 1 to {MAX_PARTITIONS} partitions, found {0}: set partitions")]
    Partitions(usize),
    /// There is no thread.
    #[error("the threads of the node can't be started: {0}")]
    Thread(#[from] io::Error),
}

impl NodeError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            NodeError::Topic(error) => error.code(),
            NodeError::Metadata(_) | NodeError::Partitions(_) => "node_invalid",
            NodeError::Thread(_) => "internal_error",
        }
    }
}

impl NodeConfig {
    /// Returns the number of partitions, if it is possible.
    fn count(&self) -> Result<u16, NodeError> {
        let wrong = || NodeError::Partitions(self.partitions);
        let count = u16::try_from(self.partitions).map_err(|_| wrong())?;
        match (1..=MAX_PARTITIONS).contains(&self.partitions) {
            true => Ok(count),
            false => Err(wrong()),
        }
    }
}

/// A node that runs. Dropping it stops it without handing anything over.
pub struct Node {
    shared: Arc<Shared>,
    /// The store of each partition, by number.
    stores: Vec<ClusterStore>,
    engine: Arc<dyn Engine>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread of a node hands out when it has started.
struct Started {
    membership: Membership,
    origin: Origin,
    partitions: Vec<StartedPartition>,
}

struct StartedPartition {
    origin: Origin,
    status: watch::Receiver<Status>,
    store: watch::Receiver<Option<Arc<Embedded>>>,
    route: watch::Receiver<Route>,
}

impl Node {
    /// Starts a node: makes the topic if it is missing, checks its settings, and joins the cluster.
    ///
    /// # Errors
    /// Kafka can't be asked, or the topic or the settings can't be used.
    pub async fn start(config: NodeConfig) -> Result<Node, NodeError> {
        let (cluster, name) = (config.cluster.clone(), config.name.clone());
        let clients = Arc::new(Clients::new(config.token.clone()));
        let limits = config.options.limits.clone();
        let (stop, stopped) = oneshot::channel();
        let (starts, started) = oneshot::channel();
        let runtime = runtime(config.count()?)?;
        let used = clients.clone();
        let run = move || runtime.block_on(run(config, used, starts, stopped));
        let thread = std::thread::Builder::new().name("leftfold-node".to_owned()).spawn(run)?;
        let ended = || NodeError::Thread(io::Error::other("one has ended"));
        let Started { membership, origin, partitions } = started.await.map_err(|_| ended())??;
        let statuses = partitions.iter().map(|partition| partition.status.clone()).collect();
        let is_draining = AtomicBool::new(false);
        let shared =
            Arc::new(Shared { cluster, name: name.clone(), membership, statuses, is_draining });
        let time = Arc::new(TokioTime);
        let mut parts = Vec::with_capacity(partitions.len());
        for (number, partition) in (0..).zip(partitions) {
            let StartedPartition { origin, status, store, route } = partition;
            let clients = clients.clone();
            let connect = move |url: &str| clients.connect(url, number);
            let peers = Peers { node: name.clone(), connect: Box::new(connect), route };
            let store = ClusterStore::new(status, store, peers, time.clone());
            parts.push(many::Partition { store, origin });
        }
        let stores: Vec<_> = parts.iter().map(|part| part.store.clone()).collect();
        let engine: Arc<dyn Engine> = match &*stores {
            [only] => Arc::new(only.clone().of_node(shared.clone())),
            _ => {
                let store = PartitionedStore::new(origin, parts, limits);
                let store = store.map_err(|_| NodeError::Partitions(stores.len()))?;
                Arc::new(store.of_node(shared.clone()))
            }
        };
        Ok(Node { shared, stores, engine, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the store of the cluster, for its clients: with one partition that does everything, with many as
    /// `docs/partitions.md` says.
    pub fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    /// Returns the store of each partition, by number.
    pub fn partitions(&self) -> &[ClusterStore] {
        &self.stores
    }

    /// Returns what the node's server for other nodes serves, by the number of the partition.
    pub fn own_parts(&self) -> Vec<Arc<dyn Engine>> {
        let part = |store: &ClusterStore| Arc::new(OwnPart(store.clone())) as Arc<dyn Engine>;
        self.stores.iter().map(part).collect()
    }

    /// Waits until this node's copies are open.
    ///
    /// # Errors
    /// One of them does not open in time.
    pub async fn wait_until_open(&self, patience: Duration) -> Result<(), Failure> {
        let opened = join_all(self.stores.iter().map(|store| store.wait_until_open(patience)));
        opened.await.into_iter().collect()
    }

    /// Hands the partitions over to other nodes if there are any, leaves the cluster, and stops.
    pub async fn stop(mut self) {
        self.shared.drain();
        // Without another node it stays the owner; the log has all that was acknowledged.
        if self.has_others() {
            let released = join_all(self.shared.statuses.iter().map(|status| async {
                _ = status.clone().wait_for(|status| status.role != Role::Owner).await;
            }));
            _ = tokio::time::timeout(HAND_OVER, released).await;
        }
        self.shared.membership.leave();
        let mut routes = self.shared.membership.watch();
        let left = routes.wait_for(|routes| routes.standing == Standing::Left);
        _ = tokio::time::timeout(Duration::from_secs(2), left).await;
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It closes the copies, which waits for a disk.
            _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn has_others(&self) -> bool {
        let routes = self.shared.membership.watch();
        let table = routes.borrow().table.clone();
        let is_other =
            |node: &crate::group::Node| node.name != self.shared.name && !node.is_draining;
        table.is_some_and(|table| table.nodes().iter().any(is_other))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// Returns the runtime of the partitions: a thread for each, but no more than there are cores.
fn runtime(partitions: u16) -> io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(usize::from(partitions)))
        .thread_name("leftfold-part")
        .enable_all()
        .build()
}

/// The life of a node, on its thread.
async fn run(
    config: NodeConfig,
    clients: Arc<Clients>,
    starts: oneshot::Sender<Result<Started, NodeError>>,
    stopped: oneshot::Receiver<()>,
) {
    let started = prepare(config, clients).await.and_then(start_tasks);
    let tasks = match started {
        Ok((started, tasks)) => starts.send(Ok(started)).is_ok().then_some(tasks),
        Err(error) => {
            _ = starts.send(Err(error));
            None
        }
    };
    if let Some(tasks) = tasks {
        tasks.run_until(stopped).await;
    }
}

fn start_tasks(
    prepared: Prepared,
) -> Result<(Started, Tasks<crate::kafka_broker::KafkaBroker>), NodeError> {
    let Prepared { partitions, member, membership, origin } = prepared;
    let (mut started, mut steered) = (Vec::new(), Vec::new());
    for (number, (partition, origin)) in (0..).zip(partitions) {
        let (route, routed) = watch::channel(Route::default());
        let (status, store) = (partition.status(), partition.store());
        started.push(StartedPartition { origin, status, store, route: routed });
        steered.push(Steered { number, partition: Arc::new(partition), route });
    }
    let tasks = Tasks::start(steered, member, membership.clone())?;
    Ok((Started { membership, origin, partitions: started }, tasks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leftfold_kafka::{KafkaError, ResponseError};

    #[test]
    fn each_error_of_a_start_has_a_code() {
        let kafka = |error| NodeError::Topic(TopicError::Kafka(error)).code();
        let name = MetadataError::Name { name: "a b".to_owned(), limit: 249 };
        assert_eq!(NodeError::Metadata(name).code(), "node_invalid");
        assert_eq!(NodeError::Partitions(0).code(), "node_invalid");
        assert_eq!(kafka(KafkaError::NoBroker("a".to_owned())), "kafka_unavailable");
        let (request, message) = ("CreateTopicsRequest", String::new());
        let code = ResponseError::TopicAuthorizationFailed;
        assert_eq!(kafka(KafkaError::Refused { request, code, message }), "kafka_refused");
        let codes = [
            TopicError::NotReady("t".to_owned()),
            TopicError::PartitionsDiffer { topic: "t".to_owned(), expected: 1, found: 2 },
            TopicError::SettingsWrong {
                topic: "t".to_owned(),
                wrong: Vec::new(),
                command: String::new(),
            },
        ];
        let codes = codes.map(|error| NodeError::Topic(error).code());
        assert_eq!(codes, ["topic_not_ready", "topic_partitions_differ", "topic_settings_wrong"]);
    }
}
