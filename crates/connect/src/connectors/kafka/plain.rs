//! At least once, for brokers without transactions: records by an idempotent producer, then a checkpoint in the store.

use std::sync::Arc;

use leftfold_api::{Append, AppendError, CheckpointMove, Cursor, EventStore};
use leftfold_fold::view::{Batch, Saved, Sink, ViewError};

use super::failure::describe;
use super::outbound::{Counts, Outbound};
use super::sender::Sender;
use crate::connectors::ConnectorError;

/// Sends events, and keeps its place in the store.
pub(super) struct PlainSink<S> {
    pub(super) store: Arc<S>,
    pub(super) sender: Sender,
    pub(super) outbound: Outbound,
    pub(super) counts: Arc<Counts>,
    /// The name of the checkpoint, and where it is.
    pub(super) checkpoint: String,
    pub(super) at: Option<Cursor>,
    /// The state that this run has stored; only the checkpoint stays.
    pub(super) saved: Option<Saved>,
}

impl<S: EventStore> Sink for PlainSink<S> {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        Ok(self.saved.clone())
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        let failure = self.outbound.failure.clone();
        let mut load = self.outbound.load(&batch.events).await?;
        let shipments = std::mem::take(&mut load.shipments);
        let sent = self.sender.send(shipments, None).await;
        sent.map_err(|error| failure.end(describe("sending", &error)))?;
        let (name, expected, to) = (self.checkpoint.clone(), self.at.clone(), batch.to.cursor());
        let moved = Append::new().checkpoint(CheckpointMove { name, expected, to: to.clone() });
        match self.store.append(moved).await {
            Ok(_) => {}
            Err(AppendError::Conflict(conflict)) => {
                // It may be an append of the run before that was on its way: the next attempt goes on behind it.
                let why = format!("another run of this connector goes on: {conflict}");
                return Err(failure.end(ConnectorError::unavailable(why)));
            }
            Err(error) => return Err(failure.end(error.into())),
        }
        (self.at, self.saved) = (Some(to), Some(batch.to.clone()));
        self.counts.add(&load);
        Ok(true)
    }
}
