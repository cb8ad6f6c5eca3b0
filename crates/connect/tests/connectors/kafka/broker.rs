//! One broker for all tests, clusters of their own for some, and what they ask them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::protocol::StrBytes;
use leftfold_kafka::{
    Batch, Client, FetchOptions, Isolation, NewTopic, OffsetSpec, Partition, Record, StoredRecord,
};
use leftfold_kafka_broker::{Cluster, Listener, Options};
use leftfold_ports::Port;

use crate::support::{KEY, PATIENCE};

const MECHANISM: &str = "SCRAM-SHA-512";
pub(crate) const USER: &str = "relay";

/// The brokers, as one test uses them.
pub(crate) struct Broker {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) client: Client,
}

/// Starts the broker once. `LEFTFOLD_TRANSACTION_VERSION` is the protocol of transactions that it has, if not the newest.
fn shared() -> &'static (Arc<Cluster>, Port) {
    static CLUSTER: OnceLock<(Arc<Cluster>, Port)> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let port = leftfold_ports::reserve().unwrap();
        let users = vec![[MECHANISM, USER, KEY].map(str::to_owned)];
        let listener = Listener { port: port.number, protocol: "SASL_PLAINTEXT".to_owned(), users };
        let login = "org.apache.kafka.common.security.scram.ScramLoginModule required ;";
        let mut options = Options { listener: Some(listener), ..Options::default() }
            .set("listener.name.extra.sasl.enabled.mechanisms", MECHANISM)
            .set("listener.name.extra.scram-sha-512.sasl.jaas.config", login);
        options = with_transactions(options);
        (Arc::new(Cluster::start(&options).unwrap()), port)
    })
}

/// Sets the protocol of transactions that the environment names.
pub(crate) fn with_transactions(options: Options) -> Options {
    match std::env::var("LEFTFOLD_TRANSACTION_VERSION") {
        Ok(level) => options.feature("transaction.version", level.parse().unwrap()),
        Err(_) => options,
    }
}

/// Returns the broker that all tests share, so it must not be killed.
pub(crate) async fn broker() -> Broker {
    let cluster = tokio::task::spawn_blocking(|| shared().0.clone()).await.unwrap();
    Broker::of(cluster)
}

/// Returns where a client of the shared broker must log in, as the user with the key of the tests.
pub(crate) fn secured() -> String {
    format!("127.0.0.1:{}", shared().1.number)
}

/// Starts brokers for one test.
pub(crate) async fn own(options: Options) -> Broker {
    let start = move || Cluster::start(&options).unwrap();
    Broker::of(Arc::new(tokio::task::spawn_blocking(start).await.unwrap()))
}

/// Returns a unique name.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Broker {
    fn of(cluster: Arc<Cluster>) -> Self {
        let client = Client::new(&cluster.bootstrap(), Duration::from_secs(10)).unwrap();
        Broker { cluster, client }
    }

    pub(crate) async fn kill_and_restart(&self, id: i32) {
        let cluster = self.cluster.clone();
        let restart = move || {
            cluster.broker(id).unwrap().kill().unwrap();
            cluster.broker(id).unwrap().restart().unwrap();
        };
        tokio::task::spawn_blocking(restart).await.unwrap();
    }

    pub(crate) async fn create(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let settings = settings.collect();
        let topic = NewTopic { name: name.to_owned(), partitions, replication: None, settings };
        self.client.create_topic(&topic, PATIENCE).await.unwrap();
        // The leaders learn of it a little later.
        self.until(async || self.read(name, Isolation::Committed).await).await;
    }

    pub(crate) async fn delete(&self, name: &str) {
        let state = DeleteTopicState::default()
            .with_name(Some(StrBytes::from_string(name.to_owned()).into()));
        let request =
            DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(10_000);
        let answer = self.client.any().await.unwrap().call(&request).await.unwrap();
        assert!(answer.responses.iter().all(|one| one.error_code == 0), "{answer:?}");
        self.until(async || match self.client.describe_topic(name).await {
            Ok(None) => Some(()),
            _ => None,
        })
        .await;
    }

    /// Appends records without a producer.
    pub(crate) async fn produce(&self, partition: &Partition, records: Vec<Record>) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let batch = Batch::of(now.as_millis() as i64, records).encode();
        let leader = self.client.leader(partition).await.unwrap();
        leader.produce(partition, batch, PATIENCE).unwrap().wait().await.unwrap();
    }

    /// Returns the records of all partitions of a topic, as they are now; `None` while the broker is away.
    pub(crate) async fn read(
        &self,
        topic: &str,
        isolation: Isolation,
    ) -> Option<Vec<Vec<StoredRecord>>> {
        let count = self.client.describe_topic(topic).await.ok()??.partitions;
        let mut all = Vec::new();
        for number in 0..count {
            let partition = Partition::new(topic, number);
            let leader = self.client.leader(&partition).await.ok()?;
            let end = leader.offset(&partition, OffsetSpec::Latest, isolation).await.ok()?;
            let (mut at, mut records) = (0, Vec::new());
            while at < end {
                let options = FetchOptions { isolation, ..FetchOptions::default() };
                let fetched = leader.fetch(&partition, at, options).await.ok()?;
                let found = fetched.records().into_iter().filter(|found| found.offset >= at);
                records.extend(found.cloned());
                at = fetched.batches.last()?.last_offset + 1;
            }
            all.push(records);
        }
        Some(all)
    }

    /// Waits until readers of committed records get this number of a topic.
    pub(crate) async fn wait_for(&self, topic: &str, count: usize) -> Vec<Vec<StoredRecord>> {
        self.until(async || {
            let read = self.read(topic, Isolation::Committed).await?;
            (read.iter().map(Vec::len).sum::<usize>() >= count).then_some(read)
        })
        .await
    }

    /// Asks until there is an answer.
    pub(crate) async fn until<T>(&self, ask: impl AsyncFn() -> Option<T>) -> T {
        // A broker that restarts on a busy machine, and the pauses of a connector that tries again.
        let deadline = Instant::now() + 4 * PATIENCE;
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            assert!(Instant::now() < deadline, "it did not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Returns a header as text.
pub(crate) fn header(record: &StoredRecord, name: &str) -> String {
    let value = record.record.find_header(name.as_bytes());
    String::from_utf8_lossy(value.map_or(&[], |value| value)).into_owned()
}
