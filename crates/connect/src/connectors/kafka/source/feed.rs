//! Reads one partition.

use std::sync::Arc;
use std::time::Duration;

use leftfold_api::EventStore;
use leftfold_kafka::{
    Client, Connection, FetchOptions, FetchResult, Isolation, KafkaError, OffsetSpec, Partition,
    ResponseError, StoredRecord,
};

use super::intake::Intake;
use crate::connectors::kafka::failure::{Attempts, describe};
use crate::connectors::{ConnectorError, OnError};

/// The most records and bytes of one append.
const MOST_RECORDS: usize = 500;
const MOST_BYTES: usize = 4 << 20;
const OPTIONS: FetchOptions = FetchOptions {
    isolation: Isolation::Committed,
    wait: Duration::from_millis(500),
    least_bytes: 1,
    most_bytes: MOST_BYTES as i32,
};
/// How long a partition may be out of reach before the run begins anew.
const AWAY_TIME: Duration = Duration::from_secs(20);

/// Brings the records of a partition to the store.
pub(super) struct Feed<S> {
    pub(super) client: Arc<Client>,
    pub(super) partition: Partition,
    pub(super) intake: Intake<S>,
}

impl<S: EventStore> Feed<S> {
    /// Reads until an error.
    pub(super) async fn run(mut self) -> Result<(), ConnectorError> {
        let mut leader = self.connect().await?;
        let mut next = match self.intake.offset.next() {
            Some(next) => next,
            None => self.first_offset(&leader).await?,
        };
        let mut attempts = Attempts::within(AWAY_TIME);
        loop {
            let fetched = match leader.fetch(&self.partition, next, OPTIONS).await {
                Ok(fetched) => fetched,
                Err(error) if error.code() == Some(ResponseError::OffsetOutOfRange) => {
                    next = self.after_loss(&leader, next).await?;
                    continue;
                }
                Err(error) => {
                    attempts.after(error).await.map_err(|error| self.failed(&error))?;
                    leader = self.connect().await?;
                    continue;
                }
            };
            attempts = Attempts::within(AWAY_TIME);
            next = self.take(&fetched, next).await?;
        }
    }

    /// Appends the records of a fetch, and returns the next offset.
    async fn take(&mut self, fetched: &FetchResult, from: i64) -> Result<i64, ConnectorError> {
        for chunk in chunks(fetched, from) {
            self.intake.append(&self.partition, &chunk).await?;
            let last =
                chunk.last().filter(|last| last.offset.saturating_add(1) < fetched.last_stable);
            let behind = last.map(|last| last.timestamp);
            self.intake.counts.set_behind(self.partition.number, behind);
        }
        // Markers and aborted records are passed over without an append.
        let behind = fetched.batches.last().map(|batch| batch.last_offset.saturating_add(1));
        Ok(behind.unwrap_or(from).max(from))
    }

    /// A broker answers the requests of a connection in their order, so each partition has a connection.
    async fn connect(&self) -> Result<Connection, ConnectorError> {
        let mut attempts = Attempts::within(AWAY_TIME);
        loop {
            match self.try_connect().await {
                Ok(leader) => return Ok(leader),
                Err(error) => attempts.after(error).await.map_err(|error| self.failed(&error))?,
            }
        }
    }

    async fn try_connect(&self) -> Result<Connection, KafkaError> {
        let leader = self.client.locate(&self.partition).await?;
        self.client.open(&leader.address).await
    }

    async fn first_offset(&self, leader: &Connection) -> Result<i64, ConnectorError> {
        let first = leader.offset(&self.partition, OffsetSpec::Earliest, Isolation::Committed);
        first.await.map_err(|error| self.failed(&error))
    }

    /// Returns where to go on if the next record is not there any more, if the definition says so.
    async fn after_loss(&self, leader: &Connection, next: i64) -> Result<i64, ConnectorError> {
        let (first, partition) = (self.first_offset(leader).await?, &self.partition);
        if first <= next {
            return Err(ConnectorError::unusable(format!(
                "{partition} ends before offset {next}, which comes next: it has lost records. Restore it, or reset \
                 the connector"
            )));
        }
        if self.intake.on_error != OnError::Skip {
            return Err(ConnectorError::unusable(format!(
                "{partition} begins at offset {first}, and {next} comes next: its retention has deleted records before \
                 they were read. Set on_error = \"skip\" to go on behind them, or reset the connector"
            )));
        }
        tracing::warn!(connector = %self.intake.connector, %partition, next, first, "deleted records are skipped");
        Ok(first)
    }

    fn failed(&self, error: &KafkaError) -> ConnectorError {
        describe(&self.partition.to_string(), error)
    }
}

/// Returns the records from an offset on, as they are appended together.
fn chunks(fetched: &FetchResult, from: i64) -> Vec<Vec<&StoredRecord>> {
    let mut chunks = Vec::<Vec<&StoredRecord>>::new();
    let mut bytes = 0;
    for stored in fetched.records().into_iter().filter(|stored| stored.offset >= from) {
        let size = stored.record.value.as_ref().map_or(0, bytes::Bytes::len);
        bytes += size;
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < MOST_RECORDS && bytes <= MOST_BYTES => chunk.push(stored),
            _ => {
                chunks.push(vec![stored]);
                bytes = size;
            }
        }
    }
    chunks
}
