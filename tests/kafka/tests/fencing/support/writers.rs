//! Writers whose tests choose every detail of their requests.

use bytes::Bytes;
use leftfold_kafka_testing::broker::kafka_version;
use leftfold_kafka_testing::proxy::Proxy;
use leftfold_kafka_testing::wire::{
    Batch, Connection, End, EndReply, EndVersion, KafkaError, Partition, ProduceReply, ProducerId,
    Record,
};

use super::{PATIENCE, TestCluster, WITHIN, retry};

/// Writes batches of one record, without a transaction.
pub(crate) struct Writer {
    pub(crate) leader: Connection,
    pub(crate) partition: Partition,
    pub(crate) producer: ProducerId,
    pub(crate) sequence: i32,
    /// The timestamp of its batches.
    pub(crate) time: i64,
}

impl Writer {
    /// Connects the writer through this proxy.
    pub(crate) fn through(mut self, proxy: &Proxy) -> Self {
        self.leader = Connection::open(proxy.address(), PATIENCE).unwrap();
        self
    }

    pub(crate) fn batch(&self, value: &str) -> Batch {
        let record = Record::new(Bytes::copy_from_slice(value.as_bytes()));
        Batch::of(self.time, [record]).from(self.producer, self.sequence)
    }

    pub(crate) fn send(&mut self, value: &str) -> ProduceReply {
        let batch = self.batch(value);
        self.sequence = batch.next_sequence();
        self.leader.produce(&self.partition, batch.encode(), WITHIN).unwrap()
    }

    pub(crate) fn write(&mut self, value: &str) -> Result<i64, KafkaError> {
        self.send(value).wait().map(|landed| landed.base_offset)
    }
}

/// An owner that writes in transactions.
pub(crate) struct Transactional {
    pub(crate) writer: Writer,
    pub(crate) coordinator: Connection,
    pub(crate) id: String,
    pub(crate) protocol: EndVersion,
}

/// Whether the brokers have the transactions of Kafka 4.0 (`transaction.version=2`).
pub(crate) fn has_new_transactions() -> bool {
    let major = kafka_version().split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= 4)
}

impl Transactional {
    /// Takes the id over, which aborts its predecessor's open transaction.
    pub(crate) fn new(
        world: &TestCluster,
        partition: &Partition,
        id: &str,
        protocol: EndVersion,
    ) -> Self {
        // Brokers before Kafka 4.0 have the old protocol only.
        let protocol = if has_new_transactions() { protocol } else { EndVersion::Old };
        let writer = world.writer(partition, id);
        let coordinator = world.client.coordinator(id).unwrap();
        Transactional { writer, coordinator, id: id.to_owned(), protocol }
    }

    /// Connects the owner through this proxy, for writes and ends.
    pub(crate) fn through(mut self, proxy: &Proxy) -> Self {
        self.writer = self.writer.through(proxy);
        self.coordinator = self.writer.leader.clone();
        self
    }

    /// Opens a transaction, if the protocol needs a separate request for it.
    pub(crate) fn begin(&self) -> Result<(), KafkaError> {
        if self.protocol == EndVersion::New {
            return Ok(());
        }
        let Writer { producer, partition, .. } = &self.writer;
        retry(|| self.coordinator.add_to_transaction(&self.id, *producer, partition))
    }

    pub(crate) fn send(&mut self, value: &str) -> ProduceReply {
        let batch = self.writer.batch(value).in_transaction();
        self.writer.sequence = batch.next_sequence();
        let Writer { leader, partition, .. } = &self.writer;
        let bytes = batch.encode();
        match self.protocol {
            EndVersion::Old => leader.produce_in_open(&self.id, partition, bytes, WITHIN).unwrap(),
            EndVersion::New => leader.produce_in(&self.id, partition, bytes, WITHIN).unwrap(),
        }
    }

    /// Writes into the open transaction.
    pub(crate) fn write(&mut self, value: &str) -> Result<i64, KafkaError> {
        let sequence = self.writer.sequence;
        let landed = retry(|| {
            self.writer.sequence = sequence;
            self.send(value).wait()
        });
        landed.map(|landed| landed.base_offset)
    }

    pub(crate) fn send_end(&self, end: End) -> EndReply {
        let sent =
            self.coordinator.end_transaction(&self.id, self.writer.producer, end, self.protocol);
        sent.unwrap()
    }

    /// Ends the open transaction and continues in the epoch of the answer.
    pub(crate) fn end(&mut self, end: End) -> Result<(), KafkaError> {
        let producer = retry(|| self.send_end(end).wait())?;
        if producer != self.writer.producer {
            self.writer.sequence = 0;
        }
        self.writer.producer = producer;
        Ok(())
    }

    /// Commits a transaction of one record.
    pub(crate) fn commit(&mut self, value: &str) -> Result<i64, KafkaError> {
        self.begin()?;
        let at = self.write(value)?;
        self.end(End::Commit)?;
        Ok(at)
    }
}
