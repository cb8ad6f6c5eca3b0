//! Appends the events of rows.

use std::collections::HashMap;
use std::sync::Arc;

use leftfold_api::{Append, AppendError, EventStore, Expected, Failure};

use super::super::ConnectorError;
use super::event::RowEvent;
use super::rows::OutboxRow;
use super::stream::StreamTemplate;

/// Why an append was not made.
pub(super) enum Refusal {
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

/// Appends the events of rows to a store.
pub(super) struct Appender<S> {
    pub(super) store: Arc<S>,
    pub(super) stream: StreamTemplate,
}

impl<S: EventStore> Appender<S> {
    /// Makes the events of rows.
    pub(super) fn events(&self, rows: &[OutboxRow]) -> Vec<Result<RowEvent, String>> {
        rows.iter().map(|row| RowEvent::of(row, &self.stream)).collect()
    }

    /// Appends all events at once, and what is added to them. Returns `false` if a part is stored already, or a row is
    /// refused: one by one shows which.
    pub(super) async fn append_all(
        &self,
        events: &[Result<RowEvent, String>],
        add: impl FnOnce(Append) -> Append,
    ) -> Result<bool, ConnectorError> {
        let Some(append) = whole_append(events) else { return Ok(false) };
        match self.store.append(add(append)).await.map_err(Refusal::from) {
            Ok(_) => Ok(true),
            Err(Refusal::Store(error)) => Err(error),
            Err(Refusal::Rows(_)) => Ok(false),
        }
    }

    /// Appends the event of one row.
    pub(super) async fn append_one(&self, event: Result<RowEvent, String>) -> Result<(), Refusal> {
        let event = event.map_err(Refusal::Rows)?;
        let no_state = || Refusal::Rows("no state of the stream is as expected".to_owned());
        let expected = event.expected_before(0).ok_or_else(no_state)?;
        let append =
            Append::new().event(&event.stream, event.event).expect(&event.stream, expected);
        self.store.append(append).await?;
        Ok(())
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
