//! Nodes of a cluster in this process, over a partition in memory.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::select;
use leftfold_api::{ErasedStore, Failure, Origin};
use leftfold_cluster::partition::{
    Cache, CopySources, Names, Partition, Role, Status, Vacancy, Wish,
};
use leftfold_cluster::record::Claimant;
use leftfold_cluster::store::{ClusterStore, OwnPart, Peers, Route};
use leftfold_fold::time::SystemTime;
use leftfold_io::fake::{Crash, FakeDisk, SeededRandom};
use leftfold_io::{Disk, SystemClock};
use leftfold_store::commit::Commit;
use leftfold_store::{Embedded, Keep, OpenError, Options, StoreIdentity};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::memory::MemoryKafka;

/// Far more than anything takes here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A copy on a fake disk. Its clones share the disk.
#[derive(Clone)]
pub(crate) struct FakeCache {
    disk: Arc<Mutex<Arc<FakeDisk>>>,
    seed: u64,
    identity: StoreIdentity,
    /// The store that it is a partition of.
    whole: Option<Origin>,
}

impl FakeCache {
    pub(crate) fn new(seed: u64) -> Self {
        let disk = Arc::new(Mutex::new(Arc::new(FakeDisk::new())));
        let identity =
            StoreIdentity { store_id: [42; 16], incarnation: [1; 16], hash_key: [7; 16] };
        FakeCache { disk, seed, identity, whole: None }
    }

    /// Returns the copy of a partition of a store.
    pub(crate) fn of_partition(seed: u64, number: u8, whole: Origin) -> Self {
        let cache = Self::new(seed);
        let identity = StoreIdentity { store_id: [100 + number; 16], ..cache.identity };
        FakeCache { identity, whole: Some(whole), ..cache }
    }

    /// Returns the copy of another topic.
    pub(crate) fn of_another_topic(seed: u64) -> Self {
        let cache = Self::new(seed);
        FakeCache { identity: StoreIdentity { store_id: [43; 16], ..cache.identity }, ..cache }
    }

    /// Returns the disk of the copy.
    pub(crate) fn disk(&self) -> Arc<FakeDisk> {
        self.disk.lock().clone()
    }

    /// Returns the origin of its cursors.
    pub(crate) fn origin(&self) -> Origin {
        Origin::new(&self.identity.store_id, &self.identity.incarnation)
    }

    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        options.log.preallocate = 4096;
        options.log.segment_bytes = 32 << 10;
        options.log.keep = Keep::Marked;
        options.replica = true;
        options.identity = Some(self.identity);
        options.partition_of = self.whole;
        options
    }
}

impl Cache for FakeCache {
    fn open(&self, commit: Box<dyn Commit>) -> Result<Arc<Embedded>, OpenError> {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(self.seed)));
        let disk = self.disk.lock().clone();
        Embedded::open_with(disk, clock, random, self.options(), commit).map(Arc::new)
    }

    fn delete(&self) -> std::io::Result<()> {
        *self.disk.lock() = Arc::new(FakeDisk::new());
        Ok(())
    }

    fn vacancy(&self) -> std::io::Result<Option<Box<dyn Vacancy>>> {
        let is_vacant = self.disk().names().is_empty();
        let vacancy = || FakeVacancy { cache: self.clone(), staging: Arc::new(FakeDisk::new()) };
        Ok(is_vacant.then(|| Box::new(vacancy()) as Box<dyn Vacancy>))
    }
}

/// A place for a copy, which keeps what was synced.
struct FakeVacancy {
    cache: FakeCache,
    staging: Arc<FakeDisk>,
}

impl Vacancy for FakeVacancy {
    fn disk(&self) -> Arc<dyn Disk> {
        self.staging.clone()
    }

    fn identity(&self) -> StoreIdentity {
        self.cache.identity
    }

    fn fill(self: Box<Self>) -> std::io::Result<()> {
        *self.cache.disk.lock() = Arc::new(self.staging.after(Crash::Forgets));
        Ok(())
    }
}

/// A node that runs on a thread of its own.
pub(crate) struct TestNode {
    pub(crate) name: &'static str,
    pub(crate) partition: Arc<Partition<MemoryKafka>>,
    pub(crate) store: ClusterStore,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Nodes that share a partition.
pub(crate) struct Nodes {
    pub(crate) kafka: MemoryKafka,
    pub(crate) route: watch::Sender<Route>,
    parts: Arc<Mutex<HashMap<String, ClusterStore>>>,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        let (kafka, parts) = Default::default();
        Nodes { kafka, route: watch::Sender::default(), parts }
    }

    /// Starts a node that follows.
    pub(crate) fn start(&self, name: &'static str, cache: FakeCache) -> TestNode {
        self.start_with(name, cache, |partition| partition)
    }

    /// Starts a node that follows, and takes a missing copy from other nodes.
    pub(crate) fn start_restoring(
        &self,
        name: &'static str,
        cache: FakeCache,
        sources: impl CopySources,
    ) -> TestNode {
        self.start_with(name, cache, |partition| partition.restoring_from(sources))
    }

    fn start_with(
        &self,
        name: &'static str,
        cache: FakeCache,
        set_up: impl FnOnce(Partition<MemoryKafka>) -> Partition<MemoryKafka>,
    ) -> TestNode {
        let owner = Claimant { node: name.to_owned(), ..Claimant::default() };
        let names = Names { source: "/leftfold/test".to_owned(), owner };
        let time = Arc::new(SystemTime);
        let partition = Partition::new(self.kafka.clone(), cache, time.clone(), names);
        let partition = Arc::new(set_up(partition));
        let parts = self.parts.clone();
        let connect = move |url: &str| -> Result<Arc<dyn ErasedStore>, Failure> {
            let part = parts.lock().get(url).cloned().ok_or(Failure::NotOwner)?;
            Ok(Arc::new(OwnPart(part)))
        };
        let peers = Peers {
            node: name.to_owned(),
            connect: Box::new(connect),
            route: self.route.subscribe(),
        };
        let store = ClusterStore::new(partition.status(), partition.store(), peers, time);
        self.parts.lock().insert(name.to_owned(), store.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let running = partition.clone();
        let run = move || {
            pollster::block_on(async {
                select(Box::pin(running.run()), stopped).await;
            });
            running.close();
        };
        let thread = Some(std::thread::spawn(run));
        TestNode { name, partition, store, stop: Some(stop), thread }
    }

    /// Makes a node the owner, and tells all.
    pub(crate) fn own(&self, node: &TestNode) {
        node.partition.wish(Wish::Own);
        let route = Route { owner: Some(node.name.to_owned()), url: node.name.to_owned() };
        self.route.send_replace(route);
    }
}

impl TestNode {
    /// Waits until the node is in a role.
    pub(crate) fn wait_for(&self, role: Role) {
        self.wait_until(&format!("{role:?}"), |status| status.role == role);
    }

    /// Waits until the status of the node is as expected.
    pub(crate) fn wait_until(&self, what: &str, is_reached: impl FnMut(&Status) -> bool) {
        let mut status = self.partition.status();
        let waiting = async {
            let reached = status.wait_for(is_reached);
            let reached = tokio::time::timeout(PATIENCE, reached).await;
            reached.map(|status| drop(status.unwrap())).is_ok()
        };
        let is_reached = RUNTIME.block_on(waiting);
        assert!(is_reached, "{} is not {what}: {:?}", self.name, self.partition.status().borrow());
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic on it was reported there.
            _ = thread.join();
        }
    }
}

/// A store that is asked through one node of a cluster of two.
pub(crate) struct Through {
    asked: ClusterStore,
    _nodes: Vec<TestNode>,
}

impl Deref for Through {
    type Target = ClusterStore;

    fn deref(&self) -> &ClusterStore {
        &self.asked
    }
}

impl Through {
    /// Asks the owner.
    pub(crate) fn owner() -> Self {
        Self::new(false)
    }

    /// Asks a node that follows.
    pub(crate) fn standby() -> Self {
        Self::new(true)
    }

    fn new(by_standby: bool) -> Self {
        let nodes = Nodes::new();
        let owner = nodes.start("a", FakeCache::new(1));
        nodes.own(&owner);
        owner.wait_for(Role::Owner);
        if !by_standby {
            return Through { asked: owner.store.clone(), _nodes: vec![owner] };
        }
        let standby = nodes.start("b", FakeCache::new(2));
        standby.wait_for(Role::Standby);
        Through { asked: standby.store.clone(), _nodes: vec![standby, owner] }
    }
}
