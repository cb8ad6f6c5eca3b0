//! Appends the rows of a batch, and takes them away once they are durable.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use leftfold_api::{Append, AppendError, EventStore, Expected, Failure};
use parking_lot::Mutex;

use super::super::{ConnectorError, OnError};
use super::event::RowEvent;
use super::measured::Measured;
use super::rows::{OutboxRow, OutboxTable};
use super::stream::StreamTemplate;

/// Relays batches into a store.
pub(super) struct Relay<S> {
    pub(super) store: Arc<S>,
    pub(super) table: OutboxTable,
    pub(super) stream: StreamTemplate,
    pub(super) on_error: OnError,
    pub(super) connector: String,
    pub(super) measured: Arc<Mutex<Measured>>,
}

/// Why an append was not made.
enum Refusal {
    /// It can't be made as it is.
    Rows(String),
    /// The store can't append.
    Store(ConnectorError),
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            // The store goes on by itself when there is space.
            AppendError::Failure(failure) if failure.is_temporary() => Refusal::of_now(&failure),
            AppendError::Failure(_) => Refusal::Store(error.into()),
            _ => Refusal::Rows(error.to_string()),
        }
    }
}

impl Refusal {
    fn of_now(failure: &Failure) -> Self {
        Refusal::Store(ConnectorError::unavailable(failure))
    }
}

impl<S: EventStore> Relay<S> {
    /// Relays rows. Whatever is interrupted: a row is taken away only after its event is durable, and the event of a row
    /// that is still there is recognised by its id.
    pub(super) async fn relay(&self, rows: &[OutboxRow]) -> Result<(), ConnectorError> {
        let events: Vec<_> = rows.iter().map(|row| RowEvent::of(row, &self.stream)).collect();
        if let Some(append) = whole_append(&events) {
            match self.store.append(append).await.map_err(Refusal::from) {
                Ok(_) => return self.finish(&rows.iter().collect::<Vec<_>>()).await,
                Err(Refusal::Store(error)) => return Err(error),
                // A part is stored already, or a row is refused: one by one shows which.
                Err(Refusal::Rows(_)) => {}
            }
        }
        self.relay_singly(rows, events).await
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
            match self.append_one(event).await {
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

    async fn append_one(&self, event: Result<RowEvent, String>) -> Result<(), Refusal> {
        let event = event.map_err(Refusal::Rows)?;
        let no_state = || Refusal::Rows("no state of the stream is as expected".to_owned());
        let expected = event.expected_before(0).ok_or_else(no_state)?;
        let append =
            Append::new().event(&event.stream, event.event).expect(&event.stream, expected);
        self.store.append(append).await?;
        Ok(())
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

/// Returns one append of all rows; `None` if a row is no event, or their expectations differ.
fn whole_append(events: &[Result<RowEvent, String>]) -> Option<Append> {
    let mut streams: HashMap<&str, (usize, Expected)> = HashMap::new();
    let mut append = Append::with_capacity(events.len());
    for event in events {
        let event = event.as_ref().ok()?;
        let (before, expected) = streams.entry(&event.stream).or_default();
        let found = event.expected_before(*before)?;
        if found != Expected::Any {
            if *expected != Expected::Any && *expected != found {
                return None;
            }
            *expected = found;
        }
        *before += 1;
        append = append.event(&event.stream, event.event.clone());
    }
    for (stream, (_, expected)) in streams {
        append = append.expect(stream, expected);
    }
    Some(append)
}
