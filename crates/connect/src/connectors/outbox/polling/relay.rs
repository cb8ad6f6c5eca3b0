//! Appends the rows of a batch, and takes them away once they are durable.

use std::collections::HashSet;
use std::sync::Arc;

use leftfold_api::EventStore;
use parking_lot::Mutex;

use super::super::super::{ConnectorError, OnError};
use super::super::append::{Appender, Refusal};
use super::super::event::RowEvent;
use super::super::measured::Measured;
use super::super::rows::OutboxRow;
use super::super::statements::OutboxTable;

/// Relays batches into a store.
pub(super) struct Relay<S> {
    pub(super) appender: Appender<S>,
    pub(super) table: OutboxTable,
    pub(super) on_error: OnError,
    pub(super) connector: String,
    pub(super) measured: Arc<Mutex<Measured>>,
}

impl<S: EventStore> Relay<S> {
    /// Relays rows. Whatever is interrupted: a row is taken away only after its event is durable, and the event of a row
    /// that is still there is recognised by its id.
    pub(super) async fn relay(&self, rows: &[OutboxRow]) -> Result<(), ConnectorError> {
        let events = self.appender.events(rows);
        match self.appender.append_all(&events, |append| append).await? {
            true => self.finish(&rows.iter().collect::<Vec<_>>()).await,
            false => self.relay_singly(rows, events).await,
        }
    }

    async fn relay_singly(
        &self,
        rows: &[OutboxRow],
        events: Vec<Result<RowEvent, String>>,
    ) -> Result<(), ConnectorError> {
        let (mut done, mut parked) = (Vec::new(), HashSet::new());
        for (row, event) in rows.iter().zip(events) {
            let aggregate = (&row.aggregate_type, &row.aggregate_id);
            if parked.contains(&aggregate) {
                continue;
            }
            let stream = event.as_ref().map(|event| event.stream.clone()).unwrap_or_default();
            match self.appender.append_one(event).await {
                Ok(()) => done.push(row),
                Err(Refusal::Store(error)) => {
                    self.finish(&done).await?;
                    return Err(error);
                }
                Err(Refusal::Rows(reason)) => {
                    // Those before are taken away first: what is refused may stop the connector.
                    self.finish(&std::mem::take(&mut done)).await?;
                    self.refuse(row, &stream, &reason).await?;
                    if self.on_error == OnError::Park {
                        parked.insert(aggregate);
                    }
                }
            }
        }
        self.finish(&done).await
    }

    async fn finish(&self, rows: &[&OutboxRow]) -> Result<(), ConnectorError> {
        self.table.take(rows).await?;
        self.measured.lock().events += rows.len() as u64;
        Ok(())
    }

    /// Deals with a row that can't be relayed.
    async fn refuse(
        &self,
        row: &OutboxRow,
        stream: &str,
        reason: &str,
    ) -> Result<(), ConnectorError> {
        let id = row.id.as_deref().unwrap_or("null");
        match self.on_error {
            OnError::Stop => Err(ConnectorError::unusable(format!(
                "the row {id} of the outbox, of the stream {stream:?}, can't be relayed: {reason}; mend or delete it, \
                 then resume the connector"
            ))),
            OnError::Park => {
                tracing::warn!(connector = %self.connector, id, stream, reason, "a row is parked");
                self.table.park(row, reason).await
            }
            OnError::Skip => {
                tracing::warn!(connector = %self.connector, id, stream, reason, "a row is skipped");
                self.table.skip(row, reason).await?;
                self.measured.lock().skipped += 1;
                Ok(())
            }
        }
    }
}
