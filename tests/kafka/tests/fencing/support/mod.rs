//! Clusters that the experiments share, and how they are asked.

mod writers;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leftfold_kafka_testing::admin::poll;
use leftfold_kafka_testing::broker::{Cluster, Options};
use leftfold_kafka_testing::proxy::Proxy;
use leftfold_kafka_testing::wire::{
    Client, Isolation, Partition, Place, ProducerId, Record, ResponseError, StoredBatch, WireError,
};
use parking_lot::{Mutex, MutexGuard};

pub(crate) use writers::{Transactional, Writer};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What leaders are told.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);

/// A cluster and a client of it.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

/// One broker with the settings that Kafka ships, so far as they matter here.
pub(crate) fn one() -> &'static World {
    static ONE: LazyLock<World> = LazyLock::new(|| World::start(&Options::default()));
    &ONE
}

/// One broker with the transactions of before Kafka 4.0 (`transaction.version=0`).
pub(crate) fn old() -> &'static World {
    static OLD: LazyLock<World> =
        LazyLock::new(|| World::start(&Options::default().feature("transaction.version", 0)));
    &OLD
}

/// One broker that forgets within seconds what others remember for a day or a week.
pub(crate) fn forgetful() -> &'static World {
    static FORGETFUL: LazyLock<World> = LazyLock::new(|| {
        let options = Options::default()
            .set("producer.id.expiration.ms", "1500")
            .set("producer.id.expiration.check.interval.ms", "100")
            .set("transactional.id.expiration.ms", "1500")
            .set("transaction.remove.expired.transaction.cleanup.interval.ms", "100");
        World::start(&options)
    });
    &FORGETFUL
}

/// Three brokers. Whoever has them may pause and kill: there is no other at the same time.
pub(crate) fn three() -> MutexGuard<'static, World> {
    static THREE: LazyLock<Mutex<World>> =
        LazyLock::new(|| Mutex::new(World::start(&Options::brokers(3))));
    let world = THREE.lock();
    // A test that failed may have left them paused or dead.
    world.cluster.heal().unwrap();
    world
}

impl World {
    pub(crate) fn start(options: &Options) -> Self {
        let cluster = Cluster::start(options).unwrap();
        let client = Client::new(&cluster.bootstrap(), PATIENCE).unwrap();
        World { cluster, client }
    }

    /// A new topic on all brokers.
    pub(crate) fn topic(&self) -> Partition {
        let all: Vec<i32> = self.cluster.brokers().iter().map(|broker| broker.id()).collect();
        self.topic_on(&all)
    }

    /// A new topic on these brokers; the first leads.
    pub(crate) fn topic_on(&self, brokers: &[i32]) -> Partition {
        self.client.create_topic(&fresh("topic"), brokers, &[]).unwrap()
    }

    /// Takes a transactional id over, as often as its coordinator asks to wait.
    pub(crate) fn take_over(&self, transactional_id: &str) -> ProducerId {
        self.try_take_over(transactional_id).unwrap()
    }

    pub(crate) fn try_take_over(&self, transactional_id: &str) -> Result<ProducerId, WireError> {
        patiently(|| {
            let coordinator = self.client.coordinator(transactional_id)?;
            coordinator.take_over(transactional_id, Duration::from_secs(60))
        })
    }

    /// A writer in the next epoch of this id.
    pub(crate) fn writer(&self, partition: &Partition, transactional_id: &str) -> Writer {
        let producer = self.take_over(transactional_id);
        self.writer_as(partition, producer)
    }

    pub(crate) fn writer_as(&self, partition: &Partition, producer: ProducerId) -> Writer {
        let leader = self.client.leader(partition).unwrap();
        Writer { leader, partition: partition.clone(), producer, sequence: 0, time: now() }
    }

    pub(crate) fn wait_for_leader(&self, partition: &Partition, broker: i32) {
        let ask = || self.client.leader_id(partition);
        let (leader, _) = poll(PATIENCE, ask, |(leader, _)| *leader == broker).unwrap();
        assert_eq!(leader, broker);
        self.client.wait_until_led(partition).unwrap();
    }

    /// Waits until a reader of what is committed gets this payload. (The answer to a commit comes
    /// before its markers are written.)
    pub(crate) fn wait_until_readable(&self, partition: &Partition, value: &str) {
        let ask = || Ok(self.read(partition, Isolation::Committed));
        let found = |read: &Vec<String>| read.iter().any(|read| read == value);
        let read = poll(PATIENCE, ask, found).unwrap();
        assert!(found(&read), "{value} is not among {read:?}");
    }

    /// Waits until no transaction is open.
    pub(crate) fn wait_until_stable(&self, partition: &Partition) {
        let ends = || {
            let end = self.end(partition, Isolation::Uncommitted);
            Ok((self.end(partition, Isolation::Committed), end))
        };
        let (stable, end) = poll(PATIENCE, ends, |(stable, end)| stable == end).unwrap();
        assert_eq!(stable, end);
    }

    /// A proxy before the partition's leader.
    pub(crate) fn proxy(&self, partition: &Partition) -> Proxy {
        let (_, leader) = self.client.locate(partition).unwrap();
        Proxy::before(leader).unwrap()
    }

    pub(crate) fn end(&self, partition: &Partition, isolation: Isolation) -> i64 {
        self.client.leader(partition).unwrap().offset(partition, Place::Latest, isolation).unwrap()
    }

    /// All batches that lie below the high watermark.
    pub(crate) fn batches(&self, partition: &Partition) -> Vec<StoredBatch> {
        let end = self.end(partition, Isolation::Uncommitted);
        self.client.leader(partition).unwrap().read_range(partition, 0, end).unwrap()
    }

    /// The payloads that a reader gets at this moment.
    pub(crate) fn read(&self, partition: &Partition, isolation: Isolation) -> Vec<String> {
        let leader = self.client.leader(partition).unwrap();
        let found = leader.fetch(partition, 0, isolation, Duration::ZERO).unwrap();
        found.records().iter().map(|stored| text(&stored.record)).collect()
    }
}

/// Asks again while the answer is that something is under way.
pub(crate) fn patiently<T>(ask: impl FnMut() -> Result<T, WireError>) -> Result<T, WireError> {
    let mut ask = ask;
    let mut answer = ask();
    let started = std::time::Instant::now();
    while let Err(error) = &answer
        && started.elapsed() < PATIENCE
        && is_passing(error)
    {
        std::thread::sleep(Duration::from_millis(20));
        answer = ask();
    }
    answer
}

fn is_passing(error: &WireError) -> bool {
    use ResponseError::*;
    let passing = [
        ConcurrentTransactions,
        CoordinatorLoadInProgress,
        CoordinatorNotAvailable,
        NotCoordinator,
        LeaderNotAvailable,
        UnknownTopicOrPartition,
    ];
    error.code().is_some_and(|code| passing.contains(&code))
}

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

/// A name that no other test has.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Kafka's code of a refusal.
pub(crate) fn refused<T>(answer: Result<T, WireError>) -> ResponseError {
    let error = answer.err().unwrap_or_else(|| panic!("it was not refused"));
    error.code().unwrap_or_else(|| panic!("not a refusal: {error}"))
}

/// It must be refused because somebody else has taken over.
pub(crate) fn fenced<T>(answer: Result<T, WireError>) {
    let error = answer.err().unwrap_or_else(|| panic!("it was not refused"));
    assert!(error.fenced(), "{error}");
}
