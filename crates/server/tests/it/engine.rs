//! An engine that is not the embedded store: it counts what it is asked, and runs a test's code
//! before it passes a call on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leftfold_api::{
    Administration, AdministrationError, Append, AppendError, Appended, BackupReport, BoxFuture,
    CheckpointInfo, Cluster, ClusterStatus, Copies, CopySink, Cursor, DynSubscription, Engine,
    EventStore, Expected, Failure, IndexDefinition, IndexInfo, Invalid, Meters, Page, Progress,
    Query, Read, ReadError, ReadLevel, Retention, RetentionRule, ScavengeReport, Start, Stat,
    StreamInfo, Streams, StreamsPage, Subscribe, VerifySummary,
};
use leftfold_store::Embedded;
use parking_lot::Mutex;
use tokio::sync::watch;

/// What a test does with the store before a call.
type Hook = Box<dyn FnOnce(Arc<Embedded>) -> BoxFuture<'static, ()> + Send>;

/// Passes each call on to an embedded store, after the hooks.
pub(crate) struct HookedEngine {
    store: Arc<Embedded>,
    /// Run before the next read, subscription, append, ordinal or description of an index.
    next_call: Mutex<Option<Hook>>,
    /// Run in each call of `stat`, before each file of `verify`, and before each piece of a copy, on its thread.
    in_stat: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    calls: AtomicUsize,
    /// How many reads might block their thread.
    reads_here: AtomicUsize,
    /// The levels of all reads but those of the server itself.
    levels: Mutex<Vec<ReadLevel>>,
    cluster: Option<FakeCluster>,
}

/// A cluster that says what a test has set.
pub(crate) struct FakeCluster {
    pub(crate) status: Mutex<ClusterStatus>,
    /// Why the engine writes nothing.
    pub(crate) failure: Mutex<Option<Failure>>,
    /// Whether there is an owner. Until there is one, `head` and all reads but local ones wait.
    pub(crate) has_owner: watch::Sender<bool>,
}

impl Cluster for FakeCluster {
    fn status(&self) -> ClusterStatus {
        self.status.lock().clone()
    }

    fn partitions(&self) -> u32 {
        self.status.lock().partitions.len() as u32
    }

    fn owns(&self, partition: u32) -> bool {
        let status = self.status.lock();
        status.partitions.get(partition as usize).is_some_and(|partition| partition.role == "owner")
    }

    fn owned_changed(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn advertise_kafka(&self, address: &str) {
        let mut status = self.status.lock();
        let node = status.node.clone();
        let own = status.members.iter_mut().find(|member| member.name == node);
        if let Some(own) = own {
            own.kafka = Some(address.to_owned());
        }
    }

    fn drain(&self) {
        self.status.lock().is_draining = true;
    }

    fn undrain(&self) {
        self.status.lock().is_draining = false;
    }
}

impl HookedEngine {
    pub(crate) fn new(store: Arc<Embedded>) -> Self {
        let (next_call, in_stat) = (Mutex::default(), Mutex::default());
        HookedEngine {
            store,
            next_call,
            in_stat,
            calls: AtomicUsize::new(0),
            reads_here: AtomicUsize::new(0),
            levels: Mutex::default(),
            cluster: None,
        }
    }

    /// Returns an engine that is a node of a cluster.
    pub(crate) fn of_cluster(store: Arc<Embedded>, status: ClusterStatus) -> Self {
        let (status, failure) = (Mutex::new(status), Mutex::default());
        let cluster = FakeCluster { status, failure, has_owner: watch::Sender::new(true) };
        HookedEngine { cluster: Some(cluster), ..HookedEngine::new(store) }
    }

    /// Returns the cluster that it is a node of.
    pub(crate) fn fake_cluster(&self) -> &FakeCluster {
        self.cluster.as_ref().unwrap()
    }

    /// Runs this before the next read, subscription or append.
    pub(crate) fn before_next<F>(&self, hook: impl FnOnce(Arc<Embedded>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        *self.next_call.lock() = Some(Box::new(|store| Box::pin(hook(store))));
    }

    /// Runs this in each call of `stat`, and before each file of `verify`.
    pub(crate) fn in_stat(&self, hook: impl Fn() + Send + Sync + 'static) {
        *self.in_stat.lock() = Some(Arc::new(hook));
    }

    /// Returns the levels of the reads since it was asked before.
    pub(crate) fn levels(&self) -> Vec<ReadLevel> {
        std::mem::take(&mut self.levels.lock())
    }

    /// Returns the number of calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Returns how many reads might block their thread so far.
    pub(crate) fn reads_here(&self) -> usize {
        self.reads_here.load(Ordering::Relaxed)
    }

    async fn wait_for_owner(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.has_owner.subscribe().wait_for(|has_owner| *has_owner).await.unwrap();
        }
    }

    fn counted(&self) -> &Embedded {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.store
    }

    async fn hooked(&self) -> &Embedded {
        let hook = self.next_call.lock().take();
        if let Some(hook) = hook {
            hook(self.store.clone()).await;
        }
        self.counted()
    }
}

impl EventStore for HookedEngine {
    type Subscription = DynSubscription;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.hooked().await.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        // The server follows its accounts at any time.
        if read.query.as_stream() == Some("$access") {
            return self.counted().read(read).await;
        }
        self.levels.lock().push(read.level);
        if read.level != ReadLevel::Local {
            self.wait_for_owner().await;
        }
        self.hooked().await.read(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<DynSubscription, ReadError> {
        let subscription = self.hooked().await.subscribe(subscribe).await?;
        Ok(Box::new(subscription))
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        self.wait_for_owner().await;
        self.counted().head().await
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        self.counted().stream(name).await
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        self.counted().streams(streams).await
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        self.counted().checkpoint(name).await
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        self.counted().set_retention(stream, retention).await
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.counted().delete_stream(stream, expected).await
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.counted().tombstone_stream(stream, expected).await
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        self.counted().set_retention_rule(rule).await
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        self.counted().drop_retention_rule(name).await
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        self.counted().checkpoints(after, limit).await
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        self.counted().delete_checkpoint(name).await
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        self.counted().retention_rules().await
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        self.hooked().await.ordinal(query, from).await
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        self.counted().define_index(definition).await
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        self.counted().drop_index(name).await
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        self.hooked().await.index(name).await
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.counted().indexes().await
    }
}

impl Engine for HookedEngine {
    fn append_here(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move { self.hooked().await.append_here(append).await })
    }

    fn read_here(&self, read: Read) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.reads_here.fetch_add(1, Ordering::Relaxed);
        Box::pin(EventStore::read(self, read))
    }

    fn append_system(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.counted().append_system(append))
    }

    fn expand(&self, query: &Query) -> Result<Query, Invalid> {
        Engine::expand(self.counted(), query)
    }

    fn meters(&self) -> Meters {
        self.counted().meters()
    }

    fn failure(&self) -> Option<Failure> {
        let failure = self.cluster.as_ref().and_then(|cluster| cluster.failure.lock().clone());
        failure.or_else(|| self.counted().failure())
    }

    fn cluster(&self) -> Option<&dyn Cluster> {
        self.cluster.as_ref().map(|cluster| cluster as &dyn Cluster)
    }

    fn administration(&self) -> &dyn Administration {
        self
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }
}

impl Copies for HookedEngine {
    fn send_copy(&self, sink: CopySink<'_>) -> Result<(), AdministrationError> {
        let hook = self.in_stat.lock().clone();
        self.store.send_copy(&mut |piece| {
            hook.iter().for_each(|hook| hook());
            sink(piece)
        })
    }
}

impl Administration for HookedEngine {
    fn stat(&self) -> Result<Stat, ReadError> {
        let hook = self.in_stat.lock().clone();
        if let Some(hook) = hook {
            hook();
        }
        self.counted().stat()
    }

    fn seal(&self) -> Result<(), Failure> {
        self.counted().seal()
    }

    fn scavenge(&self, progress: Progress<'_>) -> Result<ScavengeReport, ReadError> {
        self.counted().scavenge(progress)
    }

    fn reclaimable(&self) -> Result<ScavengeReport, ReadError> {
        self.counted().reclaimable()
    }

    fn verify(&self, go_on: &mut dyn FnMut() -> bool) -> Result<VerifySummary, ReadError> {
        let hook = self.in_stat.lock().clone();
        let hooked = &mut || {
            hook.iter().for_each(|hook| hook());
            go_on()
        };
        self.counted().administration().verify(hooked)
    }

    fn backup(
        &self,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<BackupReport, AdministrationError> {
        self.counted().administration().backup(to, progress)
    }
}
