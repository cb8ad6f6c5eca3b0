//! A node: its membership of a cluster, the partition that it follows or owns, and the store that they give.
//!
//! They run on threads of their own, so that neither requests nor folds delay a heartbeat or a batch. The membership
//! has one for itself: a copy that replays, or whose disk is slow, delays no heartbeat.

mod steer;
mod tasks;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use leftfold_api::{
    Cluster, ClusterMember, ClusterPartition, ClusterStatus, Coded, Engine, ErasedStore, Failure,
};
use leftfold_fold::time::TokioTime;
use leftfold_kafka::Client;
use leftfold_store::{Keep, Options, StoreIdentity};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::group::assign::Policy;
use crate::group::{Member, MemberConfig, Membership, MetadataError, Profile, Standing};
use crate::kafka_broker::{KafkaBroker, KafkaBrokerOptions};
use crate::kafka_coordinator::KafkaCoordinator;
use crate::local::DirectoryCache;
use crate::partition::{Names, Partition, Role, Status};
use crate::record::Claimant;
use crate::store::{ClusterStore, OwnPart, Peers, Route};
use crate::topic::{Topic, TopicError, TopicOptions, ensure_topic};
use tasks::Tasks;

/// The number of the only partition.
pub(crate) const PARTITION: u32 = 0;
/// The time of one attempt at another node. A call that takes longer is asked again, or reported.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long a node that stops waits until others have its partition.
const HAND_OVER: Duration = Duration::from_secs(10);

/// The settings of a node.
pub struct NodeConfig {
    /// The connections to the brokers.
    pub client: Client,
    /// The name of the cluster.
    pub cluster: String,
    /// The name of the node, which no other node of the cluster has.
    pub name: String,
    /// The URL at which other nodes reach this one.
    pub url: String,
    /// What the nodes of the cluster know each other by; empty for nothing.
    pub token: String,
    /// The directory of the copies.
    pub dir: PathBuf,
    /// The options of the copies' stores.
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
    /// There is no thread.
    #[error("the threads of the node can't be started: {0}")]
    Thread(#[from] io::Error),
}

impl NodeError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            NodeError::Topic(error) => error.code(),
            NodeError::Metadata(_) => "node_invalid",
            NodeError::Thread(_) => "internal_error",
        }
    }
}

/// A node that runs. Dropping it stops it without handing anything over.
pub struct Node {
    parts: Arc<Parts>,
    store: ClusterStore,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a node and its thread share.
pub(crate) struct Parts {
    cluster: String,
    name: String,
    membership: Membership,
    status: watch::Receiver<Status>,
    is_draining: AtomicBool,
    /// Why the node has ended, if it has.
    ended: Mutex<Option<String>>,
}

/// What the thread of a node hands out when it has started.
struct Started {
    membership: Membership,
    status: watch::Receiver<Status>,
    store: watch::Receiver<Option<Arc<leftfold_store::Embedded>>>,
    route: watch::Receiver<Route>,
}

impl Node {
    /// Starts a node: makes the topic if it is missing, checks its settings, and joins the cluster.
    ///
    /// # Errors
    /// Kafka can't be asked, or the topic or the settings can't be used.
    pub async fn start(config: NodeConfig) -> Result<Node, NodeError> {
        let (cluster, name) = (config.cluster.clone(), config.name.clone());
        let token = config.token.clone();
        let (stop, stopped) = oneshot::channel();
        let (starts, started) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || runtime.block_on(run(config, starts, stopped));
        let thread = std::thread::Builder::new().name("leftfold-node".to_owned()).spawn(run)?;
        let ended = || NodeError::Thread(io::Error::other("one has ended"));
        let Started { membership, status, store, route } = started.await.map_err(|_| ended())??;
        let connect = move |url: &str| connect(url, &token);
        let peers = Peers { node: name.clone(), connect: Box::new(connect), route };
        let parts = Arc::new(Parts {
            cluster,
            name,
            membership,
            status: status.clone(),
            is_draining: AtomicBool::new(false),
            ended: Mutex::new(None),
        });
        let store = ClusterStore::new(status, store, peers, Arc::new(TokioTime));
        let store = store.of_node(parts.clone());
        Ok(Node { parts, store, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the store of the cluster.
    pub fn store(&self) -> &ClusterStore {
        &self.store
    }

    /// Returns what the node's server for other nodes serves.
    pub fn own_part(&self) -> Arc<dyn Engine> {
        Arc::new(OwnPart(self.store.clone()))
    }

    /// Hands the partition over to another node if there is one, leaves the cluster, and stops.
    pub async fn stop(mut self) {
        self.parts.drain();
        let mut status = self.parts.status.clone();
        let released = status.wait_for(|status| status.role != Role::Owner);
        // Without another node it stays the owner; the log has all that was acknowledged.
        if self.has_others() {
            _ = tokio::time::timeout(HAND_OVER, released).await;
        }
        self.parts.membership.leave();
        let mut routes = self.parts.membership.watch();
        let left = routes.wait_for(|routes| routes.standing == Standing::Left);
        _ = tokio::time::timeout(Duration::from_secs(2), left).await;
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It closes the copy, which waits for a disk.
            _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn has_others(&self) -> bool {
        let routes = self.parts.membership.watch();
        let table = routes.borrow().table.clone();
        let is_other =
            |node: &crate::group::Node| node.name != self.parts.name && !node.is_draining;
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

/// Returns a client of another node.
fn connect(url: &str, token: &str) -> Result<Arc<dyn ErasedStore>, Failure> {
    let mut builder = leftfold_client::Client::builder(url).timeout(ATTEMPT);
    if !token.is_empty() {
        builder = builder.token(token);
    }
    let client = builder.connect_lazily().map_err(|error| Failure::Remote {
        code: error.code(),
        message: format!("the node at {url}: {error}"),
        can_retry: false,
    })?;
    Ok(Arc::new(client))
}

/// The life of a node, on its thread.
async fn run(
    config: NodeConfig,
    starts: oneshot::Sender<Result<Started, NodeError>>,
    stopped: oneshot::Receiver<()>,
) {
    let prepared = prepare(config).await;
    let started = prepared.and_then(|(partition, member, membership)| {
        let (route, routed) = watch::channel(Route::default());
        let started = Started {
            membership: membership.clone(),
            status: partition.status(),
            store: partition.store(),
            route: routed,
        };
        let partition = Arc::new(partition);
        Ok((started, Tasks::start(partition, member, membership, route)?))
    });
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

type Prepared = (Partition<KafkaBroker>, Member<KafkaCoordinator, TokioTime>, Membership);

async fn prepare(config: NodeConfig) -> Result<Prepared, NodeError> {
    let NodeConfig { client, cluster, name, url, dir, mut options, .. } = config;
    let client = Arc::new(client);
    let name_of_topic = format!("leftfold.{cluster}.events");
    let wanted = TopicOptions {
        partitions: Some(1),
        replication: config.replication,
        ..TopicOptions::new(&name_of_topic)
    };
    let topic = ensure_topic(&client, &wanted).await?;
    let in_kafka = leftfold_kafka::Partition::new(&name_of_topic, PARTITION as i32);
    let owner_id = format!("leftfold.{cluster}.owner-{PARTITION}");
    let broker =
        KafkaBroker::new(client.clone(), in_kafka, &owner_id, KafkaBrokerOptions::default());
    options.log.keep = Keep::Marked;
    options.replica = true;
    options.identity = Some(identity(&topic));
    let cache = DirectoryCache::new(dir.join(PARTITION.to_string()), options);
    let claimant = Claimant { node: name.clone(), url: Some(url.clone()), time: None };
    let names = Names { source: format!("/leftfold/{cluster}"), owner: claimant };
    let time = Arc::new(TokioTime);
    let partition = Partition::new(broker, cache, time, names);
    // A heartbeat that hangs must fail while the session lasts, so that another one can be sent.
    let members = Arc::new(client.with_patience(config.session_timeout / 3));
    let coordinator = KafkaCoordinator::new(members, &format!("leftfold.{cluster}"), &name);
    let policy = Policy::new(topic.partitions.unsigned_abs());
    let mut member = MemberConfig::new(&name, policy);
    member.session_timeout = config.session_timeout;
    let profile = Profile { url, ..Profile::default() };
    let (member, membership) = Member::new(coordinator, TokioTime, member, profile)?;
    Ok((partition, member, membership))
}

/// Returns the identity of the copies of a topic. All nodes give equal cursors, and a topic that was made anew is
/// another store. The key of the hashes can't be guessed without access to Kafka.
fn identity(topic: &Topic) -> StoreIdentity {
    let digest = Sha256::new_with_prefix("leftfold hash key")
        .chain_update(&topic.cluster_id)
        .chain_update(topic.id)
        .finalize();
    let mut hash_key = [0; 16];
    hash_key.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
    let id = topic.id.into_bytes();
    StoreIdentity { store_id: id, incarnation: id, hash_key }
}

impl Cluster for Parts {
    fn status(&self) -> ClusterStatus {
        let routes = self.membership.watch().borrow().clone();
        let mut status = ClusterStatus::new(&self.cluster, &self.name);
        status.standing = routes.standing.name();
        status.is_draining = self.is_draining.load(Ordering::Relaxed);
        status.problem = self.ended.lock().clone().or(routes.problem.map(|it| it.to_string()));
        let mut partition = ClusterPartition::new(PARTITION);
        if let Some(table) = &routes.table {
            let member = |node: &crate::group::Node| {
                ClusterMember::new(&node.name, &node.url, node.is_draining)
            };
            status.members = table.nodes().iter().map(member).collect();
            partition.owner = table.owner(PARTITION).map(|node| node.name.clone());
            partition.standbys = table.standbys(PARTITION).map(|node| node.name.clone()).collect();
        }
        let own = self.status.borrow().clone();
        partition.role = own.role.name();
        (partition.term, partition.applied, partition.end) = (own.term, own.applied, own.end);
        partition.failure = own.failure;
        status.partitions = vec![partition];
        status
    }

    fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.membership.drain();
    }

    fn undrain(&self) {
        self.is_draining.store(false, Ordering::Relaxed);
        self.membership.update(|profile| profile.is_draining = false);
        self.membership.rejoin();
    }
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
