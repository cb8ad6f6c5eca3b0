//! A broker, its topics, and a reader of committed records.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::protocol::StrBytes;
use leftfold_kafka::{
    Client, Connection, FetchOptions, Isolation, NewTopic, OffsetSpec, Partition,
};
use leftfold_kafka_broker::{Cluster, Options, Tuning};

use super::producer::Producer;
use crate::world::check_all;

/// The most time for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// The time between two looks at a new topic.
const POLL: Duration = Duration::from_millis(10);
/// How long a broker may wait for records.
const WAIT: Duration = Duration::from_millis(500);
/// How often a Fetch may come without a record before it is given up.
const EMPTY: u32 = 60;

/// A broker of its own, as it comes but for the tuning of its Java.
pub(super) struct Broker {
    cluster: Cluster,
    bootstrap: String,
    client: Client,
    made: u32,
}

impl Broker {
    /// Starts the broker.
    pub(super) fn start() -> anyhow::Result<Self> {
        let cluster = Cluster::start(&Options { tuning: Tuning::Speed, ..Options::default() })?;
        let bootstrap = cluster.bootstrap();
        let client = Client::new(&bootstrap, PATIENCE)?;
        Ok(Broker { cluster, bootstrap, client, made: 0 })
    }

    /// Returns its address for clients.
    pub(super) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Creates a topic, and waits until it can be used; returns its name.
    pub(super) async fn create_topic(&mut self, partitions: u32) -> anyhow::Result<String> {
        self.made += 1;
        let name = format!("bench-{}", self.made);
        let partitions = i32::try_from(partitions)?;
        let topic =
            NewTopic { name: name.clone(), partitions, replication: None, settings: Vec::new() };
        self.client.create_topic(&topic, PATIENCE).await?;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.count_records(&name, partitions.unsigned_abs()).await {
            ensure!(Instant::now() < deadline, "the topic {name} can't be used: {error:#}");
            tokio::time::sleep(POLL).await;
        }
        Ok(name)
    }

    /// Deletes a topic, so that the disk does not become full.
    pub(super) async fn delete_topic(&self, name: &str) -> anyhow::Result<()> {
        let state = DeleteTopicState::default()
            .with_name(Some(StrBytes::from_string(name.to_owned()).into()));
        let request =
            DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(10_000);
        let answer = self.client.any().await?.call(&request).await?;
        let is_done = answer.responses.iter().all(|one| one.error_code == 0);
        ensure!(is_done, "the topic {name} can't be deleted: {answer:?}");
        Ok(())
    }

    /// Checks the number of records of a topic. Readers get the last ones of a committed transaction a little later: its
    /// markers are written after the answer.
    pub(super) async fn check_records(
        &self,
        topic: &str,
        partitions: u32,
        expected: u64,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.count_records(topic, partitions).await?;
            if found >= expected || Instant::now() > deadline {
                return check_all(found, expected);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns the number of committed records of a topic: its offsets without those of the markers of transactions.
    async fn count_records(&self, topic: &str, partitions: u32) -> anyhow::Result<u64> {
        let mut records = 0;
        for number in 0..i32::try_from(partitions)? {
            let partition = Partition::new(topic, number);
            let leader = self.client.leader(&partition).await?;
            let committed = Isolation::Committed;
            let end = leader.offset(&partition, OffsetSpec::Latest, committed).await?;
            let mut at = 0;
            while at < end {
                let options = FetchOptions { isolation: committed, ..FetchOptions::default() };
                let fetched = leader.fetch(&partition, at, options).await?;
                records += fetched.records().len() as u64;
                at = fetched.batches.last().context("a Fetch is empty")?.last_offset + 1;
            }
        }
        Ok(records)
    }

    /// Returns an idempotent producer with a connection of its own.
    pub(super) async fn producer(&self, topic: &str, partitions: u32) -> anyhow::Result<Producer> {
        Producer::new(self.connect().await?, topic, partitions).await
    }

    /// Returns a reader of the only partition of a new topic.
    pub(super) async fn tail(&self, topic: &str) -> anyhow::Result<Tail> {
        Ok(Tail { connection: self.connect().await?, partition: Partition::first_of(topic), at: 0 })
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        debug_assert_eq!(self.cluster.brokers().len(), 1, "it leads all partitions");
        Ok(Connection::open(&self.bootstrap.parse()?, PATIENCE).await?)
    }
}

/// Reads committed records as they come.
pub(super) struct Tail {
    connection: Connection,
    partition: Partition,
    at: i64,
}

impl Tail {
    /// Waits for the next record.
    pub(super) async fn next(&mut self) -> anyhow::Result<()> {
        let isolation = Isolation::Committed;
        let options = FetchOptions { isolation, wait: WAIT, ..FetchOptions::default() };
        for _ in 0..EMPTY {
            let fetched = self.connection.fetch(&self.partition, self.at, options).await?;
            let from = self.at;
            let found = fetched.records().into_iter().filter(|one| one.offset >= from).count();
            if let Some(last) = fetched.batches.last() {
                self.at = last.last_offset + 1;
            }
            match found {
                0 => {}
                1 => return Ok(()),
                _ => anyhow::bail!("{found} records instead of one"),
            }
        }
        anyhow::bail!("no record comes")
    }
}
