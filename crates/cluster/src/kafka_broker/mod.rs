//! A partition in Apache Kafka.
//!
//! One task sends the appends, in the order of the calls, up to five at a time. After a lost connection, a moved leader
//! or a refusal that may pass, it sends all unanswered batches again in that order, byte for byte, until their time is
//! over. A refusal of any other kind fails its batch and all later ones, until the transactional id is taken over again.

mod options;
mod queue;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_kafka::{
    Client, Connection, FetchOptions, Isolation, KafkaError, OffsetSpec, Partition, ProducerId,
    ResponseError,
};
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::broker::{Broker, Fetched};
use options::{BackOff, superseded};
use queue::Queue;
use sender::Sender;

pub use options::KafkaBrokerOptions;

/// The attempts of a read before its error is returned.
const READ_ATTEMPTS: u32 = 4;
/// The timeout of transactions, which this broker never opens.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A partition in Apache Kafka, and the transactional id of its owner.
#[derive(Debug)]
pub struct KafkaBroker {
    client: Arc<Client>,
    partition: Partition,
    transactional_id: Arc<str>,
    options: KafkaBrokerOptions,
    queue: Arc<Queue>,
    sender: AbortHandle,
    /// The connection for reads. Produce has another, because brokers execute the requests of one in turn.
    reading: Mutex<Option<Connection>>,
}

impl KafkaBroker {
    /// Creates a broker that connects on demand. It must be created within a Tokio runtime.
    ///
    /// It admits appends after [`take_over`](Broker::take_over).
    pub fn new(
        client: Arc<Client>,
        partition: Partition,
        transactional_id: &str,
        options: KafkaBrokerOptions,
    ) -> Self {
        let before = KafkaError::Refused {
            request: "ProduceRequest",
            code: ResponseError::InvalidProducerEpoch,
            message: "take the transactional id over before the first append".to_owned(),
        };
        let queue = Arc::new(Queue::new(before));
        let sender = Sender {
            client: client.clone(),
            partition: partition.clone(),
            options,
            queue: queue.clone(),
        };
        let sender = tokio::spawn(sender.run()).abort_handle();
        let (transactional_id, reading) = (transactional_id.into(), Mutex::default());
        KafkaBroker { client, partition, transactional_id, options, queue, sender, reading }
    }

    /// Returns the partition.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    async fn take_over_once(&self) -> Result<ProducerId, KafkaError> {
        let coordinator = self.client.coordinator(&self.transactional_id).await?;
        let taken = coordinator.take_over(&self.transactional_id, TRANSACTION_TIMEOUT).await;
        if let Err(KafkaError::Timeout { .. }) = taken {
            self.client.forget(&coordinator);
        }
        taken
    }

    async fn take_over_with_retries(&self) -> Result<ProducerId, KafkaError> {
        let round = self.queue.begin_round(&superseded());
        let (started, mut back_off) = (Instant::now(), BackOff::default());
        loop {
            match self.take_over_once().await {
                Ok(producer) => {
                    self.queue.admit(round);
                    return Ok(producer);
                }
                Err(error)
                    if error.is_retriable() && started.elapsed() < self.options.delivery_time =>
                {
                    sleep(back_off.next()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the connection for reads, to the leader as far as it is known.
    async fn reading(&self) -> Result<Connection, KafkaError> {
        let known = self.reading.lock().clone();
        if let Some(open) = known.filter(Connection::is_open) {
            return Ok(open);
        }
        let leader = self.client.locate(&self.partition).await?;
        let connection = self.client.open(&leader.address).await?;
        *self.reading.lock() = Some(connection.clone());
        Ok(connection)
    }

    /// Asks the leader; finds it again after an error that may pass.
    async fn ask<T, F>(&self, ask: impl Fn(Connection, Partition) -> F) -> Result<T, KafkaError>
    where
        F: Future<Output = Result<T, KafkaError>>,
    {
        let mut back_off = BackOff::default();
        let mut attempts = 1;
        loop {
            let asked = match self.reading().await {
                Ok(leader) => ask(leader, self.partition.clone()).await,
                Err(error) => Err(error),
            };
            match asked {
                Err(error) if error.is_retriable() && attempts < READ_ATTEMPTS => {
                    if let Some(connection) = self.reading.lock().take() {
                        connection.close();
                    }
                }
                answer => return answer,
            }
            attempts += 1;
            sleep(back_off.next()).await;
        }
    }

    async fn offset(&self, spec: OffsetSpec) -> Result<i64, KafkaError> {
        let ask = move |leader: Connection, partition| async move {
            leader.offset(&partition, spec, Isolation::Uncommitted).await
        };
        self.ask(ask).await
    }

    async fn fetch_batches(&self, from: i64, wait: Duration) -> Result<Fetched, KafkaError> {
        let most_bytes = self.options.fetch_bytes;
        let options = FetchOptions { wait, most_bytes, ..FetchOptions::default() };
        let ask = move |leader: Connection, partition| async move {
            leader.fetch(&partition, from, options).await
        };
        let mut waiting = WaitingFetch(Some(self));
        let fetched = self.ask(ask).await;
        waiting.0 = None;
        match fetched {
            Ok(found) => {
                let (start, end) = (found.start, found.high_watermark);
                Ok(Fetched { start, end, batches: found.batches })
            }
            Err(error) if error.code() == Some(ResponseError::OffsetOutOfRange) => {
                let start = self.offset(OffsetSpec::Earliest).await?;
                let end = self.offset(OffsetSpec::Latest).await?;
                Ok(Fetched { start, end, batches: Vec::new() })
            }
            Err(error) => Err(error),
        }
    }
}

/// A fetch that waits. If it is given up, its connection is closed: the leader would hold back all other reads on it
/// for the rest of the wait.
struct WaitingFetch<'a>(Option<&'a KafkaBroker>);

impl Drop for WaitingFetch<'_> {
    fn drop(&mut self) {
        if let Some(broker) = self.0
            && let Some(connection) = broker.reading.lock().take()
        {
            connection.close();
        }
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        self.queue.begin_round(&KafkaError::Dropped);
        self.sender.abort();
    }
}

impl Broker for KafkaBroker {
    fn take_over(&self) -> BoxFuture<'_, Result<ProducerId, KafkaError>> {
        Box::pin(self.take_over_with_retries())
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<i64, KafkaError>> {
        let queued = self.queue.push(batch);
        Box::pin(async move { queued?.await.unwrap_or(Err(KafkaError::Dropped)) })
    }

    /// Reads batches from an offset on; waits at most `wait` if there is none.
    ///
    /// If the offset is before the start or behind the end, it returns both and no batch. Fetches of one broker are
    /// executed in turn.
    fn fetch(&self, from: i64, wait: Duration) -> BoxFuture<'_, Result<Fetched, KafkaError>> {
        Box::pin(self.fetch_batches(from, wait))
    }

    fn end(&self) -> BoxFuture<'_, Result<i64, KafkaError>> {
        Box::pin(self.offset(OffsetSpec::Latest))
    }
}
