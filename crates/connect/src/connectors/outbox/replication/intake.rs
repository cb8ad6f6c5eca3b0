//! Appends the rows of committed transactions, and moves the place behind them in the same append.

use std::sync::Arc;

use leftfold_api::EventStore;
use parking_lot::Mutex;

use super::super::append::{Appender, Refusal};
use super::super::measured::Measured;
use super::super::rows::{BATCH_BYTES, OutboxRow};
use super::super::statements::OutboxTable;
use super::lsn::Lsn;
use super::place::{Part, Place, PlaceStream};
use crate::connectors::{ConnectorError, OnError};

/// Brings rows into a store.
pub(super) struct Intake<S> {
    pub(super) appender: Appender<S>,
    pub(super) table: OutboxTable,
    pub(super) on_error: OnError,
    pub(super) connector: String,
    pub(super) measured: Arc<Mutex<Measured>>,
    pub(super) stream: PlaceStream,
    /// What is durable in the store.
    pub(super) place: Place,
    pub(super) batch: usize,
    pub(super) pending: Pending,
    /// Up to where the server may forget.
    pub(super) confirmed: Lsn,
}

/// What was received and is not appended.
#[derive(Default)]
pub(super) struct Pending {
    rows: Vec<OutboxRow>,
    bytes: usize,
    /// How many of the rows are of transactions whose end was received.
    finished: usize,
    /// Behind the last end of a transaction, or the last keepalive without one in progress.
    end: Lsn,
    transaction: Option<Transaction>,
    /// Rows that the store has. They may still be in the table.
    repeats: Vec<OutboxRow>,
}

/// The transaction in progress.
struct Transaction {
    xid: u32,
    commit: Lsn,
    committed_micros: i64,
    /// Its rows that were received.
    rows: u64,
    /// How many of its first rows the store has.
    stored: u64,
}

impl Pending {
    fn is_full(&self, batch: usize) -> bool {
        self.rows.len() >= batch || self.bytes >= BATCH_BYTES || self.repeats.len() >= batch
    }
}

impl<S: EventStore> Intake<S> {
    /// Begins a transaction.
    pub(super) fn begin(&mut self, xid: u32, commit: Lsn, committed_micros: i64) {
        let stored = match self.place.part {
            _ if commit < self.place.lsn => u64::MAX,
            Some(part) if part.commit == commit => part.rows,
            _ => 0,
        };
        self.pending.transaction =
            Some(Transaction { xid, commit, committed_micros, rows: 0, stored });
    }

    /// Returns when the transaction in progress was committed.
    pub(super) fn committed_micros(&self) -> Option<i64> {
        self.pending.transaction.as_ref().map(|transaction| transaction.committed_micros)
    }

    /// Takes a row of the transaction in progress.
    pub(super) async fn insert(&mut self, mut row: OutboxRow) -> Result<(), ConnectorError> {
        let pending = &mut self.pending;
        if let Some(transaction) = &mut pending.transaction {
            row.xid = Some(transaction.xid);
            transaction.rows = transaction.rows.saturating_add(1);
            if transaction.rows <= transaction.stored {
                let (xid, seq, id) = (row.xid, row.seq, row.id);
                pending.repeats.push(OutboxRow { xid, seq, id, ..OutboxRow::default() });
            } else {
                pending.bytes = pending.bytes.saturating_add(row.size());
                pending.rows.push(row);
            }
        }
        while self.pending.is_full(self.batch) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Ends the transaction in progress.
    pub(super) fn commit(&mut self, end: Lsn) {
        self.pending.transaction = None;
        self.pending.finished = self.pending.rows.len();
        self.pending.end = end.max(self.pending.end);
    }

    /// Notes that the server has sent all that was committed before a position.
    pub(super) fn reach(&mut self, end: Lsn) {
        if self.pending.transaction.is_none() {
            self.pending.end = end.max(self.pending.end);
        }
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.pending.transaction.is_some()
    }

    /// Appends the rows of all transactions whose end was received. If there are none, those of a transaction in progress: it
    /// is larger than a batch, and is appended in parts.
    pub(super) async fn flush(&mut self) -> Result<(), ConnectorError> {
        // They were appended before this run began, and not all may have been taken away.
        let repeats = std::mem::take(&mut self.pending.repeats);
        self.table.take(&repeats.iter().collect::<Vec<_>>()).await?;
        let finished = std::mem::take(&mut self.pending.finished);
        let mut place = self.place.clone();
        let rows: Vec<_> = match (&self.pending.transaction, finished) {
            (Some(transaction), 0) => {
                let rows = transaction.rows.max(transaction.stored);
                place.part = Some(Part { commit: transaction.commit, rows });
                self.pending.rows.drain(..).collect()
            }
            _ => {
                place = place.behind(self.pending.end);
                self.pending.rows.drain(..finished).collect()
            }
        };
        self.pending.bytes = self.pending.rows.iter().map(OutboxRow::size).sum();
        if !rows.is_empty() {
            self.append(&rows, place).await?;
        }
        self.confirm();
        Ok(())
    }

    /// Moves the place if the log went on without rows, so that the server need not keep it. Nothing may be pending.
    pub(super) async fn follow_log(&mut self) -> Result<(), ConnectorError> {
        let is_pending = !self.pending.rows.is_empty() || !self.pending.repeats.is_empty();
        if self.is_in_transaction() || is_pending || self.pending.end <= self.place.lsn {
            return Ok(());
        }
        let place = self.place.clone().behind(self.pending.end);
        self.stream.store(&*self.appender.store, &place).await?;
        self.place = place;
        self.confirm();
        Ok(())
    }

    /// Lets the server forget what is durable here. What was appended before this run is received again first, since not all
    /// may have been taken away.
    fn confirm(&mut self) {
        if self.pending.repeats.is_empty() {
            self.confirmed = self.confirmed.max(self.place.lsn.min(self.pending.end));
        }
    }

    /// Appends rows and a place: at once, or one after the other if some are stored or refused. The rows are then taken away.
    pub(super) async fn append(
        &mut self,
        rows: &[OutboxRow],
        place: Place,
    ) -> Result<(), ConnectorError> {
        let events = self.appender.events(rows);
        let add = |append| self.stream.add_to(append, &place);
        let store = self.appender.store.clone();
        if self.appender.append_all(&events, add).await? {
            self.stream.moved(&*store).await?;
            self.measured.lock().events += rows.len() as u64;
        } else {
            for (row, event) in rows.iter().zip(events) {
                match self.appender.append_one(event).await {
                    Ok(()) => self.measured.lock().events += 1,
                    Err(Refusal::Store(error)) => return Err(error),
                    Err(Refusal::Rows(reason)) => self.refuse(row, &reason).await?,
                }
            }
            self.stream.store(&*store, &place).await?;
        }
        self.place = place;
        self.table.take(&rows.iter().collect::<Vec<_>>()).await
    }

    /// Skips a row, if the definition says so. What was inserted can't be mended, so that it can't be parked.
    async fn refuse(&self, row: &OutboxRow, reason: &str) -> Result<(), ConnectorError> {
        let id = row.id.as_deref().unwrap_or("null");
        if self.on_error != OnError::Skip {
            return Err(ConnectorError::unusable(format!(
                "the row {id} of the outbox, of the aggregate {:?}, can't be brought in: {reason}. What was inserted can't be \
                 mended: set on_error = \"skip\" to leave it out",
                row.aggregate_id.as_deref().unwrap_or("null")
            )));
        }
        tracing::warn!(connector = %self.connector, id, reason, "a row is skipped");
        self.table.skip(row, reason).await?;
        self.measured.lock().skipped += 1;
        Ok(())
    }
}

impl Place {
    /// Returns the place behind a position up to which the store has all rows.
    fn behind(self, lsn: Lsn) -> Self {
        match lsn > self.lsn {
            true => Place { lsn, part: self.part.filter(|part| part.commit >= lsn), ..self },
            false => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_keeps_the_part_of_a_transaction_that_is_not_received_again_yet() {
        let part = Some(Part { commit: Lsn(7), rows: 3 });
        let place =
            Place { lsn: Lsn(5), part, ..Place::before_slot("1", "1", "outbox".to_owned()) };
        for (lsn, expected) in [(4, (5, part)), (6, (6, part)), (7, (7, part)), (8, (8, None))] {
            let moved = place.clone().behind(Lsn(lsn));
            assert_eq!((moved.lsn, moved.part), (Lsn(expected.0), expected.1));
        }
    }
}
