use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::Request;
use leftfold_kafka::{
    End, EndVersion, FetchOptions, FetchResult, Isolation, KafkaError, OffsetSpec, Partition,
    ProducerId, StoredBatch,
};

use super::block_on;
use super::replies::{EndReply, OffsetReply, ProduceReply, Reply};

/// The time that a read waits for records that must exist.
const READ_WAIT: Duration = Duration::from_secs(5);

/// A connection to one broker. Clones share it; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Connection(pub(super) leftfold_kafka::Connection);

impl Connection {
    /// Connects and asks for the versions that the broker supports.
    pub fn open(address: SocketAddr, patience: Duration) -> Result<Self, KafkaError> {
        let address = address.into();
        block_on(leftfold_kafka::Connection::open(&address, patience)).map(Connection)
    }

    /// Sends a request in the newest version that both sides support.
    pub fn send<R: Request>(&self, request: &R) -> Result<Reply<R>, KafkaError> {
        self.0.send(request).map(Reply)
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&self, request: &R) -> Result<R::Response, KafkaError> {
        self.send(request)?.wait()
    }

    /// Sends encoded batches with `acks=all`. Brokers accept one batch per partition and request.
    pub fn produce(
        &self,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, KafkaError> {
        self.0.produce(partition, batches, within).map(ProduceReply)
    }

    /// Sends batches of a transaction; opens the transaction if needed (from Kafka 4.0 on).
    pub fn produce_in(
        &self,
        transactional_id: &str,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, KafkaError> {
        self.0.produce_in(transactional_id, partition, batches, within).map(ProduceReply)
    }

    /// Sends batches of a transaction that is already open, as clients did until Kafka 4.0.
    pub fn produce_in_open(
        &self,
        transactional_id: &str,
        partition: &Partition,
        batches: Bytes,
        within: Duration,
    ) -> Result<ProduceReply, KafkaError> {
        self.0.produce_in_open(transactional_id, partition, batches, within).map(ProduceReply)
    }

    /// Reads from this offset on; waits at most `wait` if there is no record.
    pub fn fetch(
        &self,
        partition: &Partition,
        from: i64,
        isolation: Isolation,
        wait: Duration,
    ) -> Result<FetchResult, KafkaError> {
        let options = FetchOptions { isolation, wait, ..FetchOptions::default() };
        block_on(self.0.fetch(partition, from, options))
    }

    /// Reads all batches from this offset up to `to`, which must not be behind the end.
    pub fn read_range(
        &self,
        partition: &Partition,
        mut from: i64,
        to: i64,
    ) -> Result<Vec<StoredBatch>, KafkaError> {
        let mut all = Vec::new();
        while from < to {
            let found = self.fetch(partition, from, Isolation::Uncommitted, READ_WAIT)?;
            let Some(last) = found.batches.last().map(|batch| batch.last_offset) else {
                return Err(KafkaError::Timeout { request: "FetchRequest", waited: READ_WAIT });
            };
            from = last + 1;
            all.extend(found.batches.into_iter().filter(|batch| batch.base_offset < to));
        }
        Ok(all)
    }

    /// Asks a leader for an offset without waiting.
    pub fn ask_offset(
        &self,
        partition: &Partition,
        place: OffsetSpec,
        isolation: Isolation,
    ) -> Result<OffsetReply, KafkaError> {
        self.0.ask_offset(partition, place, isolation).map(OffsetReply)
    }

    /// Asks a leader for an offset and waits for the answer.
    pub fn offset(
        &self,
        partition: &Partition,
        place: OffsetSpec,
        isolation: Isolation,
    ) -> Result<i64, KafkaError> {
        block_on(self.0.offset(partition, place, isolation))
    }

    /// Returns a new, unique producer id without a transactional id.
    pub fn new_producer_id(&self) -> Result<ProducerId, KafkaError> {
        block_on(self.0.new_producer_id())
    }

    /// Takes a transactional id over: aborts its open transaction and returns the next epoch.
    pub fn take_over(
        &self,
        transactional_id: &str,
        timeout: Duration,
    ) -> Result<ProducerId, KafkaError> {
        block_on(self.0.take_over(transactional_id, timeout))
    }

    /// Opens a transaction on a partition, as clients did until Kafka 4.0.
    pub fn add_to_transaction(
        &self,
        transactional_id: &str,
        producer: ProducerId,
        partition: &Partition,
    ) -> Result<(), KafkaError> {
        block_on(self.0.add_to_transaction(transactional_id, producer, partition))
    }

    /// Ends the open transaction.
    pub fn end_transaction(
        &self,
        transactional_id: &str,
        producer: ProducerId,
        end: End,
        version: EndVersion,
    ) -> Result<EndReply, KafkaError> {
        self.0.end_transaction(transactional_id, producer, end, version).map(EndReply)
    }
}
