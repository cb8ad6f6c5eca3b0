//! The clusters that the experiments share, and helpers to query them.

mod writers;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leftfold_kafka_testing::admin::poll;
use leftfold_kafka_testing::broker::{Cluster, Options};
use leftfold_kafka_testing::proxy::Proxy;
use leftfold_kafka_testing::wire::{
    Client, Isolation, KafkaError, OffsetSpec, Partition, ProducerId, Record, ResponseError,
    StoredBatch,
};
use parking_lot::{Mutex, MutexGuard};

pub(crate) use writers::{Transactional, Writer, has_new_transactions};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The timeout of a Produce at the leader.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);

/// A cluster and a client of it.
pub(crate) struct TestCluster {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

/// Returns a broker with Kafka's default settings, as far as they matter here.
pub(crate) fn one_broker() -> &'static TestCluster {
    static ONE: LazyLock<TestCluster> = LazyLock::new(|| TestCluster::start(&Options::default()));
    &ONE
}

/// Returns a broker with the transactions before Kafka 4.0 (`transaction.version=0`).
pub(crate) fn old_transactions() -> &'static TestCluster {
    static OLD: LazyLock<TestCluster> =
        LazyLock::new(|| TestCluster::start(&Options::default().feature("transaction.version", 0)));
    &OLD
}

/// Returns a broker that forgets within seconds what others remember for a day or a week.
pub(crate) fn forgetful_broker() -> &'static TestCluster {
    static FORGETFUL: LazyLock<TestCluster> = LazyLock::new(|| {
        let options = Options::default()
            .set("producer.id.expiration.ms", "1500")
            .set("producer.id.expiration.check.interval.ms", "100")
            .set("transactional.id.expiration.ms", "1500")
            .set("transaction.remove.expired.transaction.cleanup.interval.ms", "100");
        TestCluster::start(&options)
    });
    &FORGETFUL
}

/// Returns three brokers. The caller may pause and kill them, because it has exclusive access.
pub(crate) fn three_brokers() -> MutexGuard<'static, TestCluster> {
    static THREE: LazyLock<Mutex<TestCluster>> =
        LazyLock::new(|| Mutex::new(TestCluster::start(&Options::brokers(3))));
    let world = THREE.lock();
    // A failed test may have left brokers paused or dead.
    world.cluster.heal().unwrap();
    world
}

impl TestCluster {
    pub(crate) fn start(options: &Options) -> Self {
        let cluster = Cluster::start(options).unwrap();
        let client = Client::new(&cluster.bootstrap(), PATIENCE).unwrap();
        TestCluster { cluster, client }
    }

    /// Creates a topic on all brokers.
    pub(crate) fn topic(&self) -> Partition {
        let all: Vec<i32> = self.cluster.brokers().iter().map(|broker| broker.id()).collect();
        self.topic_on(&all)
    }

    /// Creates a topic on these brokers; the first is the leader.
    pub(crate) fn topic_on(&self, brokers: &[i32]) -> Partition {
        self.client.create_topic(&fresh("topic"), brokers, &[]).unwrap()
    }

    /// Takes a transactional id over; retries while its coordinator asks to wait.
    pub(crate) fn take_over(&self, transactional_id: &str) -> ProducerId {
        self.try_take_over(transactional_id).unwrap()
    }

    pub(crate) fn try_take_over(&self, transactional_id: &str) -> Result<ProducerId, KafkaError> {
        retry(|| {
            let coordinator = self.client.coordinator(transactional_id)?;
            coordinator.take_over(transactional_id, Duration::from_secs(60))
        })
    }

    /// Creates a writer in the next epoch of this id.
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

    /// Waits until a reader of committed records gets this payload.
    ///
    /// The answer to a commit comes before its markers are written.
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

    /// Waits until the partition has at least this many offsets.
    pub(crate) fn wait_until_end(&self, partition: &Partition, least: i64) {
        let ask = || Ok(self.end(partition, Isolation::Uncommitted));
        let end = poll(PATIENCE, ask, |end| *end >= least).unwrap();
        assert!(end >= least);
    }

    /// Starts a proxy in front of the partition's leader.
    pub(crate) fn proxy(&self, partition: &Partition) -> Proxy {
        let (_, leader) = self.client.locate(partition).unwrap();
        Proxy::before(leader).unwrap()
    }

    pub(crate) fn end(&self, partition: &Partition, isolation: Isolation) -> i64 {
        self.client
            .leader(partition)
            .unwrap()
            .offset(partition, OffsetSpec::Latest, isolation)
            .unwrap()
    }

    /// Returns all batches below the high watermark.
    pub(crate) fn batches(&self, partition: &Partition) -> Vec<StoredBatch> {
        let end = self.end(partition, Isolation::Uncommitted);
        self.client.leader(partition).unwrap().read_range(partition, 0, end).unwrap()
    }

    /// Returns the payloads that a reader gets now.
    pub(crate) fn read(&self, partition: &Partition, isolation: Isolation) -> Vec<String> {
        let leader = self.client.leader(partition).unwrap();
        let found = leader.fetch(partition, 0, isolation, Duration::ZERO).unwrap();
        found.records().iter().map(|stored| text(&stored.record)).collect()
    }
}

/// Asks repeatedly while the error is transient.
pub(crate) fn retry<T>(ask: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
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

fn is_passing(error: &KafkaError) -> bool {
    use ResponseError::*;
    let passing = [
        ConcurrentTransactions,
        CoordinatorLoadInProgress,
        CoordinatorNotAvailable,
        NotCoordinator,
        LeaderNotAvailable,
        UnknownTopicOrPartition,
        // Of a leader before Kafka 4.0 that does not reach the coordinator, to verify a transaction.
        NotEnoughReplicas,
    ];
    error.code().is_some_and(|code| passing.contains(&code))
}

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

/// Returns a unique name.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns Kafka's code of a refusal.
pub(crate) fn refused<T>(answer: Result<T, KafkaError>) -> ResponseError {
    let error = answer.err().unwrap_or_else(|| panic!("it was not refused"));
    error.code().unwrap_or_else(|| panic!("not a refusal: {error}"))
}

/// Asserts that the request was refused because another producer took over.
pub(crate) fn fenced<T>(answer: Result<T, KafkaError>) {
    let error = answer.err().unwrap_or_else(|| panic!("it was not refused"));
    assert!(error.is_fenced(), "{error}");
}
