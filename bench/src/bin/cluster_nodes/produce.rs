//! A plain idempotent producer: what waits goes into the next batch, and up to five batches are in flight.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use leftfold_cluster::kafka::{Batch, Client, KafkaError, NewTopic, Partition, ProducerId, Record};
use leftfold_cluster::kafka::{Connection, ProduceResult};
use tokio::sync::{mpsc, oneshot};

use crate::load::{self, Measurement, PAYLOAD};

const TOPIC: &str = "plain";
const WITHIN: Duration = Duration::from_secs(10);
/// As the default of Kafka's own producer, and the most that a broker recognises.
const MAX_IN_FLIGHT: usize = 5;
/// The most records of a batch, and that wait.
const MAX_RECORDS: usize = 1_024;

/// A record, and whom to tell when it is acknowledged.
struct Send {
    record: Record,
    done: oneshot::Sender<()>,
}

/// A producer that runs in a task. Its clones share it.
#[derive(Clone)]
pub(crate) struct Producer(mpsc::Sender<Send>);

type Answer = BoxFuture<'static, Result<ProduceResult, KafkaError>>;

/// The batches of a producer.
struct Batches {
    leader: Connection,
    partition: Partition,
    producer: ProducerId,
    sequence: i32,
    in_flight: VecDeque<(Answer, Vec<oneshot::Sender<()>>)>,
}

/// Measures clients that each produce one record after another.
pub(crate) async fn measure(
    producer: &Producer,
    clients: usize,
    time: Duration,
) -> anyhow::Result<Measurement> {
    let client = |number| ProducingClient {
        producer: producer.clone(),
        key: format!("order-{number}").into(),
    };
    load::run((0..clients).map(client).collect(), time).await
}

struct ProducingClient {
    producer: Producer,
    key: Bytes,
}

impl load::Client for ProducingClient {
    async fn ask(&mut self) -> anyhow::Result<()> {
        let record = Record { key: Some(self.key.clone()), ..Record::new(vec![b'x'; PAYLOAD]) };
        let (done, acknowledged) = oneshot::channel();
        self.producer.0.send(Send { record, done }).await.context("the producer has ended")?;
        acknowledged.await.context("the record was not acknowledged")
    }
}

impl Producer {
    /// Makes the topic and starts the producer.
    pub(crate) async fn start(client: &Client) -> anyhow::Result<Self> {
        let (name, settings) = (TOPIC.to_owned(), Vec::new());
        let topic = NewTopic { name, partitions: 1, replication: None, settings };
        client.create_topic(&topic, WITHIN).await?;
        let described = async {
            while !client.describe_topic(TOPIC).await?.is_some_and(|topic| topic.has_leaders) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(WITHIN, described).await??;
        let partition = Partition::first_of(TOPIC);
        let leader = client.leader(&partition).await?;
        let producer = tokio::time::timeout(WITHIN, new_producer_id(&leader)).await??;
        let in_flight = VecDeque::new();
        let batches = Batches { leader, partition, producer, sequence: 0, in_flight };
        let (sender, receiver) = mpsc::channel(MAX_RECORDS);
        tokio::spawn(async move {
            if let Err(error) = batches.run(receiver).await {
                eprintln!("the producer: {error}");
            }
        });
        Ok(Producer(sender))
    }
}

/// Retries while the broker is not ready to give one.
async fn new_producer_id(leader: &Connection) -> Result<ProducerId, KafkaError> {
    loop {
        match leader.new_producer_id().await {
            Err(error) if error.is_retriable() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            answer => return answer,
        }
    }
}

impl Batches {
    /// Sends records until no client is left.
    async fn run(mut self, mut records: mpsc::Receiver<Send>) -> Result<(), KafkaError> {
        let mut waiting = Vec::with_capacity(MAX_RECORDS);
        loop {
            let has_room = self.in_flight.len() < MAX_IN_FLIGHT;
            let oldest = async {
                match self.in_flight.front_mut() {
                    Some((reply, _)) => reply.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = oldest => {
                    answer?;
                    let done = self.in_flight.pop_front().map(|(_, done)| done);
                    // A client that has ended does not wait any more.
                    done.into_iter().flatten().for_each(|done| _ = done.send(()));
                }
                count = records.recv_many(&mut waiting, MAX_RECORDS), if has_room => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.send(waiting.drain(..))?;
                }
            }
        }
    }

    fn send(&mut self, sends: impl Iterator<Item = Send>) -> Result<(), KafkaError> {
        let (records, done): (Vec<_>, Vec<_>) =
            sends.map(|Send { record, done }| (record, done)).unzip();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let batch = Batch::of(now, records).from(self.producer, self.sequence);
        self.sequence = batch.next_sequence();
        let reply = self.leader.produce(&self.partition, batch.encode(), WITHIN)?;
        self.in_flight.push_back((Box::pin(reply.wait()), done));
        Ok(())
    }
}
