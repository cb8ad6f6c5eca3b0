//! A node whose own copy keeps failing gives its partition up: nodes with a membership, over a partition in memory.

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../../tests/it/memory.rs"]
mod memory;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_api::{Append, AppendError, EventStore, Expected, NewEvent, Timestamp};
use leftfold_fold::time::{FakeTime, Time, later};
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_kafka::{KafkaError, ProducerId};
use leftfold_store::commit::Commit;
use leftfold_store::{Embedded, Keep, OpenError, Options, StoreIdentity};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::tasks::{Steered, Tasks};
use crate::broker::{Broker, Fetched};
use crate::group::assign::Policy;
use crate::group::tests::fake::FakeGroup;
use crate::group::{Member, MemberConfig, Membership, Profile};
use crate::partition::{Cache, Names, Partition, Role, Status};
use crate::record::Claimant;
use memory::MemoryKafka;

const PATIENCE: Duration = Duration::from_secs(60);
/// The clock goes fifty times as fast as the machine's, at most.
const TICK: Duration = Duration::from_millis(1);
const STEP: Duration = Duration::from_millis(50);

/// A broker that can be away.
#[derive(Clone, Default)]
struct FlakyKafka {
    log: MemoryKafka,
    is_away: Arc<AtomicBool>,
}

impl FlakyKafka {
    fn check(&self) -> Result<(), KafkaError> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(KafkaError::NoBroker("it is away".to_owned())),
            false => Ok(()),
        }
    }
}

impl Broker for FlakyKafka {
    fn take_over(&self) -> BoxFuture<'_, Result<ProducerId, KafkaError>> {
        Box::pin(async {
            self.check()?;
            self.log.take_over().await
        })
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<i64, KafkaError>> {
        match self.check() {
            Ok(()) => self.log.append(batch),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn fetch(&self, from: i64, wait: Duration) -> BoxFuture<'_, Result<Fetched, KafkaError>> {
        Box::pin(async move {
            self.check()?;
            self.log.fetch(from, wait).await
        })
    }

    fn end(&self) -> BoxFuture<'_, Result<i64, KafkaError>> {
        Box::pin(async {
            self.check()?;
            self.log.end().await
        })
    }
}

/// A copy on a disk that can fail. Its clones share the disk.
#[derive(Clone, Default)]
struct FailingCache {
    disk: FakeDisk,
    opens: Arc<AtomicU32>,
}

impl FailingCache {
    /// Lets all writes fail, and the copy open no more.
    fn break_disk(&self) {
        self.disk.fail_writes(u64::MAX);
        self.disk.refuse_opens(Some(""));
    }

    fn mend_disk(&self) {
        self.disk.fail_writes(0);
        self.disk.refuse_opens(None);
    }
}

impl Cache for FailingCache {
    fn open(&self, commit: Box<dyn Commit>) -> Result<Arc<Embedded>, OpenError> {
        self.opens.fetch_add(1, Ordering::SeqCst);
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(1)));
        let mut options = Options::default();
        options.log.preallocate = 4096;
        options.log.keep = Keep::Marked;
        options.replica = true;
        options.identity =
            Some(StoreIdentity { store_id: [42; 16], incarnation: [1; 16], hash_key: [7; 16] });
        let disk = Arc::new(self.disk.clone());
        Embedded::open_with(disk, clock, random, options, commit).map(Arc::new)
    }

    fn delete(&self) -> std::io::Result<()> {
        panic!("a copy was deleted")
    }
}

/// A clock that runs by itself, and a group, until this is dropped.
struct World {
    time: FakeTime,
    group: FakeGroup,
    kafka: FlakyKafka,
    tasks: JoinSet<()>,
}

impl World {
    fn start() -> Self {
        let time = FakeTime::at(Timestamp(1_000_000_000_000_000));
        let (group, mut tasks) = (FakeGroup::new(time.clone()), JoinSet::new());
        tasks.spawn(group.clone().run());
        let clock = time.clone();
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                clock.advance(STEP);
            }
        });
        World { time, group, kafka: FlakyKafka::default(), tasks }
    }

    fn add_node(&mut self, name: &str) -> TestNode {
        let cache = FailingCache::default();
        let owner = Claimant { node: name.to_owned(), ..Claimant::default() };
        let names = Names { source: "/leftfold/test".to_owned(), owner };
        let time = Arc::new(self.time.clone());
        let partition = Partition::new(self.kafka.clone(), cache.clone(), time, names);
        let mut config = MemberConfig::new(name, Policy::new(1));
        // No partition moves because this machine is busy.
        config.session_timeout = Duration::from_secs(100_000);
        let profile = Profile::default();
        let member = Member::new(self.group.clone(), self.time.clone(), config, profile);
        let (member, membership) = member.unwrap();
        let (partition, route) = (Arc::new(partition), watch::Sender::default());
        let steered = vec![Steered { number: 0, partition: partition.clone(), route }];
        let tasks = Tasks::start(steered, member, membership.clone()).unwrap();
        let (stop, stopped) = oneshot::channel();
        let handle = tokio::runtime::Handle::current();
        let thread = std::thread::spawn(move || handle.block_on(tasks.run_until(stopped)));
        TestNode { cache, partition, membership, stop: Some(stop), thread: Some(thread) }
    }

    /// Waits by the world's clock.
    async fn wait(&self, time: Duration) {
        self.time.until(later(self.time.now(), time)).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

struct TestNode {
    cache: FailingCache,
    partition: Arc<Partition<FlakyKafka>>,
    membership: Membership,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestNode {
    async fn wait_until(&self, what: &str, is_so: impl Fn(&Status) -> bool) {
        let mut status = self.partition.status();
        let waited = tokio::time::timeout(PATIENCE, status.wait_for(|status| is_so(status))).await;
        let is_reached = waited.is_ok_and(|status| status.is_ok());
        let status = self.partition.status().borrow().clone();
        assert!(is_reached, "{} never {what}: {status:?}", self.partition.node());
    }

    async fn own(&self) {
        self.wait_until("owns", |status| status.role == Role::Owner).await;
    }

    /// Appends the event of a version.
    async fn append(&self, version: u64) -> Result<(), AppendError> {
        let event = NewEvent::json("Counted", "{}");
        let expected = match version {
            0 => Expected::NoStream,
            version => Expected::Exactly(version - 1),
        };
        let append = Append::new().event("counter-1", event).expect("counter-1", expected);
        let store = self.partition.store().borrow().clone().unwrap();
        store.append(append).await.map(drop)
    }

    /// Returns the owner that the group has chosen.
    fn chosen(&self) -> String {
        let routes = self.membership.watch().borrow().clone();
        routes.table.unwrap().owner(0).unwrap().name.clone()
    }

    fn is_unfit(&self) -> bool {
        self.partition.status().borrow().is_unfit
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

/// Starts two nodes, of which the first owns the partition, and has appended one event.
async fn start_two(world: &mut World) -> (TestNode, TestNode) {
    let a = world.add_node("a");
    a.own().await;
    a.append(0).await.unwrap();
    let b = world.add_node("b");
    let applied = a.partition.status().borrow().applied;
    let follows = |status: &Status| status.role == Role::Standby && status.applied >= applied;
    b.wait_until("follows", follows).await;
    (a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_copy_cannot_be_opened_gives_its_partition_up_and_keeps_no_append_waiting() {
    let mut world = World::start();
    let (a, b) = start_two(&mut world).await;
    a.cache.break_disk();
    let before = world.time.now();
    // Kafka may have it, and its own copy does not.
    _ = a.append(1).await;
    b.own().await;
    assert!(a.is_unfit());
    assert!(world.time.now() - before >= Duration::from_secs(10), "it gave up too early");
    let store = b.partition.store().borrow().clone().unwrap();
    let next = store.blocking().stream("counter-1").unwrap().unwrap().version + 1;
    for version in next..next + 3 {
        b.append(version).await.unwrap();
    }

    // It is fit again once its copy has worked for a while, and takes nothing back.
    a.cache.mend_disk();
    let applied = b.partition.status().borrow().applied;
    a.wait_until("follows", |status| status.role == Role::Standby).await;
    assert!(a.is_unfit());
    a.wait_until("is fit", |status| !status.is_unfit && status.applied >= applied).await;
    b.append(next + 3).await.unwrap();
    assert_eq!((a.chosen(), b.chosen()), ("b".to_owned(), "b".to_owned()));
    // Now it can take over from the other one.
    b.cache.break_disk();
    _ = b.append(next + 4).await;
    a.own().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_no_copy_can_be_opened_the_partition_stays_and_the_nodes_try_less_often() {
    let mut world = World::start();
    let (a, b) = start_two(&mut world).await;
    for node in [&b, &a] {
        node.cache.break_disk();
    }
    _ = a.append(1).await;
    for node in [&a, &b] {
        node.wait_until("is unfit", |status| status.is_unfit).await;
    }
    // The first one that failed has perhaps given it to the second.
    world.wait(Duration::from_secs(5)).await;
    let (chosen, generation) = (a.chosen(), world.group.generation());
    let (began, opens) = (world.time.now(), a.cache.opens.load(Ordering::SeqCst));
    while a.cache.opens.load(Ordering::SeqCst) < opens + 10 {
        world.wait(STEP).await;
    }
    assert!(world.time.now() - began >= Duration::from_secs(45), "it tries too often");
    assert_eq!((a.chosen(), world.group.generation()), (chosen.clone(), generation));
    // The first one that is fit again gets the partition.
    let other = if chosen == "a" { &b } else { &a };
    other.cache.mend_disk();
    other.own().await;
    assert_eq!(other.chosen(), other.partition.node());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_moves_because_kafka_was_away() {
    let mut world = World::start();
    let (a, b) = start_two(&mut world).await;
    // Each outage ends a term, and the copy is opened again.
    for _ in 0..5 {
        world.kafka.is_away.store(true, Ordering::SeqCst);
        a.append(1).await.unwrap_err();
        a.wait_until("fails", |status| status.failure.is_some()).await;
        world.wait(Duration::from_secs(5)).await;
        world.kafka.is_away.store(false, Ordering::SeqCst);
        a.own().await;
    }
    world.kafka.is_away.store(true, Ordering::SeqCst);
    a.append(1).await.unwrap_err();
    a.wait_until("fails", |status| status.failure.is_some()).await;
    world.wait(Duration::from_secs(60)).await;
    assert!(!a.is_unfit() && !b.is_unfit());
    world.kafka.is_away.store(false, Ordering::SeqCst);
    a.own().await;
    a.append(1).await.unwrap();
    assert_eq!((a.chosen(), b.chosen()), ("a".to_owned(), "a".to_owned()));
}
