//! The cursors of connectors, in a compacted topic: they change in the transactions whose effects they count.

use std::time::Duration;

use bytes::Bytes;
use leftfold_kafka::{
    Client, Connection, FetchOptions, Isolation, KafkaError, NewTopic, OffsetSpec, OpenTransaction,
    Partition, ProducerId, Record,
};
use tokio::time::Instant;

use super::failure::{Attempts, describe};
use super::topics::Creation;
use crate::connectors::ConnectorError;

/// The settings of a cursor topic that a connector makes. A small segment is compacted soon, so there is little to read
/// at a start.
const SETTINGS: [(&str, &str); 3] =
    [(POLICY, "compact"), ("segment.bytes", "16777216"), ("min.cleanable.dirty.ratio", "0.1")];
const POLICY: &str = "cleanup.policy";
/// All cursors are in one partition, so that they stay where they are if the topic gets more.
const PARTITIONS: i32 = 1;
/// Names the run that has written a cursor.
const RUN: &str = "run";
/// How long a read may take: other connectors' open transactions hold it up until they time out.
const READ_TIME: Duration = Duration::from_secs(60);
/// The most time of one request for records.
const WAIT: Duration = Duration::from_millis(500);

/// The cursor of a connector as Kafka has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredCursor {
    /// The state that a sink stores; empty before the first.
    pub(super) state: String,
    /// The run that has written it.
    pub(super) run: String,
}

/// How a read ended.
enum Reading {
    /// The last committed cursor, if there is one.
    Done(Option<StoredCursor>),
    /// What is committed can't be read before this transaction has ended.
    HeldUp(OpenTransaction),
}

/// The place of a connector's cursor.
#[derive(Debug, Clone)]
pub(super) struct CursorTopic {
    pub(super) partition: Partition,
    pub(super) key: String,
}

impl CursorTopic {
    pub(super) fn new(topic: &str, key: &str) -> Self {
        CursorTopic { partition: Partition::first_of(topic), key: key.to_owned() }
    }

    /// Returns the record that stores a state.
    pub(super) fn record(&self, stored: &StoredCursor) -> Record {
        let mut record = Record::new(stored.state.clone());
        record.key = Some(Bytes::from(self.key.clone()));
        record.header(RUN, stored.run.clone())
    }

    /// Returns whether the topic is there.
    ///
    /// # Errors
    /// It is there, and forgets cursors.
    pub(super) async fn exists(&self, client: &Client) -> Result<bool, ConnectorError> {
        let topic = &*self.partition.topic;
        let failed = |error| describe(&format!("the cursor topic {topic}"), &error);
        if client.describe_topic(topic).await.map_err(failed)?.is_none() {
            return Ok(false);
        }
        // A client without the right to read settings must trust in them.
        let settings = client.topic_settings(topic, &[POLICY]).await.unwrap_or_default();
        match settings.get(POLICY).map(String::as_str) {
            None | Some("compact") => Ok(true),
            Some(found) => Err(ConnectorError::unusable(format!(
                "the cursor topic {topic} has {POLICY}={found}, expected compact: it would forget cursors. Change it, \
                 or name another cursor_topic"
            ))),
        }
    }

    /// Returns the topic as the connector makes it.
    pub(super) fn wanted(&self, replication: Option<i16>) -> NewTopic {
        let creation =
            Creation { partitions: Some(PARTITIONS), replication, ..Creation::default() };
        creation.of(&self.partition.topic, &SETTINGS)
    }

    /// Reads the last committed cursor. All transactions of the caller must have ended; `own` is its producer, if
    /// they surely have.
    pub(super) async fn read(
        &self,
        client: &Client,
        own: Option<ProducerId>,
    ) -> Result<Option<StoredCursor>, ConnectorError> {
        let failed = |error| describe(&format!("the cursor in {}", self.partition), &error);
        let deadline = Instant::now() + READ_TIME;
        let mut attempts = Attempts::within(READ_TIME);
        loop {
            match self.read_once(client, own, deadline).await {
                Ok(Reading::Done(found)) => return Ok(found),
                Ok(Reading::HeldUp(open)) => return Err(self.held_up(&open, own)),
                Err(error) => attempts.after(error).await.map_err(failed)?,
            }
        }
    }

    async fn read_once(
        &self,
        client: &Client,
        own: Option<ProducerId>,
        deadline: Instant,
    ) -> Result<Reading, KafkaError> {
        let leader = client.leader(&self.partition).await?;
        // What is committed now lies before this end, if not all of it is readable yet.
        let offset = |spec| leader.offset(&self.partition, spec, Isolation::Uncommitted);
        let end = offset(OffsetSpec::Latest).await?;
        let (mut at, mut last) = (offset(OffsetSpec::Earliest).await?, None);
        while at < end {
            let next = self.read_some(&leader, at, &mut last).await?;
            if next == at {
                // Brokers before 2.8 don't tell what is open.
                let open = leader.open_transactions(&self.partition).await.unwrap_or_default();
                let is_own =
                    |it: &&OpenTransaction| own.is_some_and(|own| own.id == it.producer.id);
                if let Some(hanging) = open.iter().find(is_own) {
                    return Ok(Reading::HeldUp(*hanging));
                }
                if Instant::now() >= deadline {
                    let first = open.iter().min_by_key(|it| it.start);
                    let timeout =
                        KafkaError::Timeout { request: "FetchRequest", waited: READ_TIME };
                    return first.map(|it| Reading::HeldUp(*it)).ok_or(timeout);
                }
            }
            at = next;
        }
        Ok(Reading::Done(last))
    }

    /// Returns the error of a read that an open transaction holds up.
    fn held_up(&self, open: &OpenTransaction, own: Option<ProducerId>) -> ConnectorError {
        let (partition, OpenTransaction { producer, start }) = (&self.partition, open);
        let ProducerId { id, epoch } = producer;
        let whose = match own.is_some_and(|own| own.id == *id) {
            true => "this connector, which its coordinator has ended, hangs",
            false => "another connector is open for too long",
        };
        ConnectorError::unavailable(format!(
            "the cursor in {partition} can't be read: a transaction of {whose} there at offset {start} (producer {id}, \
             epoch {epoch}), and consumers of committed records wait behind it. Find the partitions in which it hangs \
             by kafka-transactions.sh find-hanging, and abort it in each, last in {partition}. The connector then goes \
             on by itself"
        ))
    }

    /// Reads from an offset on, and returns the next one.
    async fn read_some(
        &self,
        leader: &Connection,
        from: i64,
        last: &mut Option<StoredCursor>,
    ) -> Result<i64, KafkaError> {
        let options =
            FetchOptions { isolation: Isolation::Committed, wait: WAIT, ..FetchOptions::default() };
        let fetched = leader.fetch(&self.partition, from, options).await?;
        for stored in fetched.records() {
            let record = &stored.record;
            // The first batch may begin before.
            if stored.offset < from || record.key.as_deref() != Some(self.key.as_bytes()) {
                continue;
            }
            let text = |bytes: Option<&Bytes>| {
                bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            // A record without a value deletes the cursor.
            *last = text(record.value.as_ref()).map(|state| StoredCursor {
                state,
                run: text(record.find_header(RUN.as_bytes())).unwrap_or_default(),
            });
        }
        let next = fetched.batches.last().map(|batch| batch.last_offset.saturating_add(1));
        Ok(next.unwrap_or(from).max(from))
    }
}
