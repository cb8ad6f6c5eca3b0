//! Writers that do exactly what they are told.

use bytes::Bytes;
use leftfold_kafka_testing::proxy::Proxy;
use leftfold_kafka_testing::wire::{
    Batch, Connection, End, EndReply, EndVersion, Partition, ProduceReply, ProducerId, Record,
    WireError,
};

use super::{PATIENCE, WITHIN, World, patiently};

/// Writes batches of one record in its own name, without a transaction.
pub(crate) struct Writer {
    pub(crate) leader: Connection,
    pub(crate) partition: Partition,
    pub(crate) producer: ProducerId,
    pub(crate) sequence: i32,
    /// What its batches give as their time.
    pub(crate) time: i64,
}

impl Writer {
    /// The same, over this proxy.
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

    pub(crate) fn write(&mut self, value: &str) -> Result<i64, WireError> {
        self.send(value).wait().map(|landed| landed.base_offset)
    }
}

/// An owner that writes by transactions.
pub(crate) struct Transactional {
    pub(crate) writer: Writer,
    pub(crate) coordinator: Connection,
    pub(crate) id: String,
    pub(crate) protocol: EndVersion,
}

impl Transactional {
    /// Takes the id over, which aborts what its predecessor has left open.
    pub(crate) fn new(
        world: &World,
        partition: &Partition,
        id: &str,
        protocol: EndVersion,
    ) -> Self {
        let writer = world.writer(partition, id);
        let coordinator = world.client.coordinator(id).unwrap();
        Transactional { writer, coordinator, id: id.to_owned(), protocol }
    }

    /// Over this proxy, for writes and ends.
    pub(crate) fn through(mut self, proxy: &Proxy) -> Self {
        self.writer = self.writer.through(proxy);
        self.coordinator = self.writer.leader.clone();
        self
    }

    /// Opens a transaction, where that takes a request of its own.
    pub(crate) fn begin(&self) -> Result<(), WireError> {
        if self.protocol == EndVersion::New {
            return Ok(());
        }
        let Writer { producer, partition, .. } = &self.writer;
        patiently(|| self.coordinator.add_to_transaction(&self.id, *producer, partition))
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
    pub(crate) fn write(&mut self, value: &str) -> Result<i64, WireError> {
        let sequence = self.writer.sequence;
        let landed = patiently(|| {
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

    /// Ends the open transaction, and goes on in the next epoch if the answer says so.
    pub(crate) fn end(&mut self, end: End) -> Result<(), WireError> {
        let producer = patiently(|| self.send_end(end).wait())?;
        if producer != self.writer.producer {
            self.writer.sequence = 0;
        }
        self.writer.producer = producer;
        Ok(())
    }

    /// A transaction of one record.
    pub(crate) fn commit(&mut self, value: &str) -> Result<i64, WireError> {
        self.begin()?;
        let at = self.write(value)?;
        self.end(End::Commit)?;
        Ok(at)
    }
}
