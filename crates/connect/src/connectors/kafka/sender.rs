//! Sends records: each partition's batches one after the other, the partitions side by side.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use leftfold_kafka::{
    Batch, Client, Compression, Connection, EndVersion, KafkaError, Partition, ProducerId, Record,
    ResponseError,
};
use parking_lot::Mutex;

use super::failure::Attempts;
use super::record::room_of;

/// How long the batches of one partition may take in all.
const SEND_TIME: Duration = Duration::from_secs(20);
/// How long the replicas may take to get a batch.
const WITHIN: Duration = Duration::from_secs(8);
/// The most partitions of which it keeps the leader.
const MOST_PARTITIONS: usize = 10_000;

/// The records of a partition, in their order.
pub(super) struct Shipment {
    pub(super) partition: Partition,
    /// The bytes of a batch.
    pub(super) limit: usize,
    pub(super) records: Vec<Record>,
}

/// The transaction to which batches belong.
pub(super) struct InTransaction<'a> {
    pub(super) id: &'a str,
    pub(super) coordinator: &'a Connection,
    pub(super) version: EndVersion,
}

/// Sends records as one producer.
pub(super) struct Sender {
    client: Arc<Client>,
    compression: Compression,
    producer: ProducerId,
    sequences: HashMap<Partition, i32>,
    leaders: Mutex<HashMap<Partition, Connection>>,
}

impl Sender {
    pub(super) fn new(client: Arc<Client>, producer: ProducerId, compression: Compression) -> Self {
        let (sequences, leaders) = Default::default();
        Sender { client, compression, producer, sequences, leaders }
    }

    pub(super) fn producer(&self) -> ProducerId {
        self.producer
    }

    /// Goes on as this producer. Another epoch begins with new sequences.
    pub(super) fn set_producer(&mut self, producer: ProducerId) {
        if std::mem::replace(&mut self.producer, producer) != producer {
            self.sequences.clear();
        }
    }

    /// Sends all records and waits until all in-sync replicas have them. After an error some of them may be there.
    pub(super) async fn send(
        &mut self,
        shipments: Vec<Shipment>,
        transaction: Option<&InTransaction<'_>>,
    ) -> Result<(), KafkaError> {
        let mut sending: FuturesUnordered<_> =
            shipments.into_iter().map(|one| self.send_to(one, transaction)).collect();
        let mut sequences = Vec::new();
        while let Some(moved) = sending.try_next().await? {
            sequences.push(moved);
        }
        drop(sending);
        self.sequences.extend(sequences);
        Ok(())
    }

    /// Returns the partition and its next sequence.
    async fn send_to(
        &self,
        shipment: Shipment,
        transaction: Option<&InTransaction<'_>>,
    ) -> Result<(Partition, i32), KafkaError> {
        let Shipment { partition, limit, records } = shipment;
        let mut attempts = Attempts::within(SEND_TIME);
        if let Some(transaction) = transaction.filter(|it| it.version == EndVersion::Old) {
            self.open(&partition, transaction, &mut attempts).await?;
        }
        let mut sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let mut rest = records.into_iter().peekable();
        while rest.peek().is_some() {
            let mut room = 0;
            let mut chunk = Vec::new();
            while let Some(record) = rest.next_if(|next| {
                room += room_of(next);
                chunk.is_empty() || room <= limit
            }) {
                chunk.push(record);
            }
            let mut batch = Batch::of(now(), chunk).from(self.producer, sequence);
            batch = batch.compressed(self.compression);
            if transaction.is_some() {
                batch = batch.in_transaction();
            }
            sequence = batch.next_sequence();
            self.send_batch(&partition, batch.encode(), transaction, &mut attempts).await?;
        }
        Ok((partition, sequence))
    }

    /// Adds a partition to the transaction, as it is done before KIP-890.
    async fn open(
        &self,
        partition: &Partition,
        transaction: &InTransaction<'_>,
        attempts: &mut Attempts,
    ) -> Result<(), KafkaError> {
        let InTransaction { id, coordinator, .. } = transaction;
        loop {
            match coordinator.add_to_transaction(id, self.producer, partition).await {
                Ok(()) => return Ok(()),
                Err(error) => attempts.after(error).await?,
            }
        }
    }

    /// Sends a batch until the broker has it: it takes a batch with the same sequence once.
    async fn send_batch(
        &self,
        partition: &Partition,
        batch: Bytes,
        transaction: Option<&InTransaction<'_>>,
        attempts: &mut Attempts,
    ) -> Result<(), KafkaError> {
        loop {
            let error = match self.try_batch(partition, batch.clone(), transaction).await {
                Ok(()) => return Ok(()),
                Err(error) if error.code() == Some(ResponseError::DuplicateSequenceNumber) => {
                    return Ok(());
                }
                Err(error) => error,
            };
            if !matches!(error.code(), Some(ResponseError::ConcurrentTransactions)) {
                self.leaders.lock().remove(partition);
            }
            attempts.after(error).await?;
        }
    }

    async fn try_batch(
        &self,
        partition: &Partition,
        batch: Bytes,
        transaction: Option<&InTransaction<'_>>,
    ) -> Result<(), KafkaError> {
        let leader = self.leader(partition).await?;
        let reply = match transaction {
            None => leader.produce(partition, batch, WITHIN)?,
            Some(InTransaction { id, version: EndVersion::New, .. }) => {
                leader.produce_in(id, partition, batch, WITHIN)?
            }
            Some(InTransaction { id, version: EndVersion::Old, .. }) => {
                leader.produce_in_open(id, partition, batch, WITHIN)?
            }
        };
        let answer = reply.wait().await;
        if let Err(KafkaError::Timeout { .. }) = &answer {
            self.client.forget(&leader);
        }
        answer.map(drop)
    }

    async fn leader(&self, partition: &Partition) -> Result<Connection, KafkaError> {
        let known = self.leaders.lock().get(partition).cloned();
        if let Some(open) = known.filter(Connection::is_open) {
            return Ok(open);
        }
        let leader = self.client.leader(partition).await?;
        let mut leaders = self.leaders.lock();
        if leaders.len() >= MOST_PARTITIONS {
            leaders.clear();
        }
        leaders.insert(partition.clone(), leader.clone());
        Ok(leader)
    }
}

/// Returns the milliseconds since 1970. Brokers forget a producer whose records are old, so a record has the time at which
/// it is sent.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
