//! Exactly once: records and the cursor behind them are committed in one transaction of Kafka.

use std::sync::Arc;

use leftfold_api::{Append, AppendError, CheckpointMove, EventStore};
use leftfold_fold::view::{Batch, Saved, Sink, ViewError};
use leftfold_kafka::{Client, Compression, KafkaError};
use uuid::Uuid;

use super::cursor::{CursorTopic, StoredCursor};
use super::failure::describe;
use super::outbound::{Counts, Outbound};
use super::sender::Shipment;
use super::topics::create;
use super::transaction::{OpenTransaction, TransactionalProducer};
use crate::connectors::ConnectorError;

/// Bytes of a batch of the cursor topic, whose records are small.
const CURSOR_BATCH: usize = 100_000;

/// Commits events and the state behind them in transactions.
pub(super) struct TransactionalSink {
    client: Arc<Client>,
    cursor: CursorTopic,
    producer: TransactionalProducer,
    /// The run of this sink: a cursor of another run tells that it was overtaken.
    run: String,
    saved: Option<Saved>,
    outbound: Outbound,
    counts: Arc<Counts>,
}

/// What a sink begins with.
pub(super) struct Beginning<'a, S> {
    pub(super) store: &'a S,
    pub(super) client: Arc<Client>,
    /// The checkpoint by which the store remembers that the connector has begun.
    pub(super) mark: String,
    pub(super) cursor: CursorTopic,
    pub(super) replication: Option<i16>,
    pub(super) compression: Compression,
    pub(super) open: OpenTransaction,
}

impl<S: EventStore> Beginning<'_, S> {
    /// Fences the predecessor and reads its cursor. The cursor is written again for this run before any event is: so a
    /// connector that the store marks as begun has a cursor, or has lost it.
    pub(super) async fn begin(
        self,
        outbound: Outbound,
        counts: Arc<Counts>,
    ) -> Result<TransactionalSink, ConnectorError> {
        let Beginning { store, client, mark, cursor, replication, compression, open } = self;
        let has_begun = store.checkpoint(&mark).await?.is_some();
        if !cursor.exists(&client).await? {
            if has_begun {
                return Err(lost(&cursor));
            }
            create(&client, &cursor.wanted(replication)).await?;
        }
        let id = &cursor.key;
        let taken = TransactionalProducer::take_over(client.clone(), id, compression, open).await;
        let mut producer =
            taken.map_err(|error| describe(&format!("the transactional id {id}"), &error))?;
        let state = match cursor.read(&client, Some(producer.producer())).await? {
            Some(found) => found.state,
            None if has_begun => return Err(lost(&cursor)),
            None => String::new(),
        };
        let saved = match state.as_str() {
            "" => None,
            text => Some(text.parse::<Saved>().map_err(|_| unreadable(&cursor))?),
        };
        let run = Uuid::new_v4().to_string();
        let stored = StoredCursor { state, run: run.clone() };
        let begun = producer.commit(vec![shipment(&cursor, &stored)]).await;
        begun.map_err(|error| describe("beginning", &error))?;
        if !has_begun {
            set_mark(store, mark).await?;
        }
        Ok(TransactionalSink { client, cursor, producer, run, saved, outbound, counts })
    }
}

impl TransactionalSink {
    /// Returns why a fenced sink ends: another run was it, or the broker, after the transaction has timed out.
    async fn judge(&self, error: &KafkaError) -> ConnectorError {
        if !error.is_fenced() {
            return describe("the transaction", error);
        }
        // The broker may still be ending the own transaction.
        match self.cursor.read(&self.client, None).await {
            Ok(Some(stored)) if stored.run == self.run => describe("the transaction", error),
            Ok(None) => lost(&self.cursor),
            Ok(Some(_)) => ConnectorError::Overtaken(format!(
                "another run of this connector has taken {} over, and nothing more of this one is committed. Stop one \
                 of the two, or resume this one to take it back",
                self.cursor.key
            )),
            Err(error) => error,
        }
    }
}

impl Sink for TransactionalSink {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        Ok(self.saved.clone())
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        if self.saved != batch.from {
            return Ok(false);
        }
        let mut load = self.outbound.load(&batch.events).await?;
        let stored = StoredCursor { state: batch.to.to_string(), run: self.run.clone() };
        let mut shipments = std::mem::take(&mut load.shipments);
        shipments.push(shipment(&self.cursor, &stored));
        if let Err(error) = self.producer.commit(shipments).await {
            let error = self.judge(&error).await;
            return Err(self.outbound.failure.end(error));
        }
        self.saved = Some(batch.to.clone());
        self.counts.add(&load);
        Ok(true)
    }
}

fn shipment(cursor: &CursorTopic, stored: &StoredCursor) -> Shipment {
    let (partition, records) = (cursor.partition.clone(), vec![cursor.record(stored)]);
    Shipment { partition, limit: CURSOR_BATCH, records }
}

async fn set_mark(store: &impl EventStore, name: String) -> Result<(), ConnectorError> {
    let to = store.head().await?;
    let mark = Append::new().checkpoint(CheckpointMove { name, expected: None, to });
    match store.append(mark).await {
        // Another run has set it.
        Ok(_) | Err(AppendError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn lost(cursor: &CursorTopic) -> ConnectorError {
    let CursorTopic { partition, key } = cursor;
    ConnectorError::unusable(format!(
        "Kafka has no cursor of the key {key} in the topic {}, though this connector has begun: the topic was deleted, \
         or its records were. Restore it; or reset the connector, which sends all events again",
        partition.topic
    ))
}

fn unreadable(cursor: &CursorTopic) -> ConnectorError {
    let CursorTopic { partition, key } = cursor;
    ConnectorError::unusable(format!(
        "the cursor of the key {key} in the topic {} is not one that this release writes: restore the topic, or reset \
         the connector",
        partition.topic
    ))
}
