//! Parked events of views: listed, retried and skipped.

use std::time::Duration;

use leftfold_api::{Appended, Cursor, EventStore, Query};
use serde::Serialize;

use super::facts::ViewFact;
use super::question::OPENING;
use super::{QuestionText, Views, ViewsError};
use crate::ask::{AskLimits, Cell};

/// The most events of a list. `_errors` has the others.
const MAX_LISTED: usize = 1_000;

/// An event that a view could not apply, or that waits behind one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ParkedEvent {
    /// Its stream.
    pub stream: String,
    /// Its version.
    pub version: u64,
    /// Its position.
    pub position: u64,
    /// Its event type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Whether it failed itself. Otherwise it waits behind one that did.
    #[serde(rename = "parked")]
    pub is_parked: bool,
    /// The error of the last attempt, or the event that it waits behind.
    pub reason: String,
}

/// Which events are listed.
#[derive(Debug, Clone)]
pub struct ListParked<'a> {
    /// The view.
    pub view: &'a str,
    /// Also those that wait behind parked ones.
    pub all: bool,
    /// Waits until the view has the events up to this cursor, at most so long.
    pub at_least: Option<(Cursor, Duration)>,
}

impl<S: EventStore + 'static> Views<S> {
    /// Lists the first 1,000 parked events of a view, by position.
    ///
    /// # Errors
    /// There is no such view, or its tables can't be read.
    pub async fn parked(&self, name: &str) -> Result<Vec<ParkedEvent>, ViewsError> {
        let list = ListParked { view: name, all: false, at_least: None };
        self.list_parked(list, |_, _| Ok(())).await
    }

    /// Lists the first 1,000 events of a view that are parked, or also those that wait behind them, by position.
    /// `admit` decides by the view's name and the query of its events whether they may be listed.
    ///
    /// # Errors
    /// As [`Views::parked`]; `admit` refuses it; the view is late.
    pub async fn list_parked<E: From<ViewsError>>(
        &self,
        list: ListParked<'_>,
        admit: impl Fn(&str, &Query) -> Result<(), E>,
    ) -> Result<Vec<ParkedEvent>, E> {
        let wanted = if list.all { "state <> 'skipped'" } else { "state = 'parked'" };
        let (cursor, patience) = match list.at_least {
            Some((cursor, patience)) => (Some(cursor), patience),
            None => (None, OPENING),
        };
        self.find(list.view, wanted, cursor.as_ref(), patience, admit).await
    }

    async fn find<E: From<ViewsError>>(
        &self,
        view: &str,
        wanted: &str,
        at_least: Option<&Cursor>,
        patience: Duration,
        admit: impl Fn(&str, &Query) -> Result<(), E>,
    ) -> Result<Vec<ParkedEvent>, E> {
        let sql = format!(
            "select stream, version, position, type, state = 'parked', reason from _errors
             where {wanted} order by position, stream limit {MAX_LISTED}"
        );
        let text = QuestionText { sql: &sql, view: Some(view) };
        let limits = AskLimits::default();
        let answer = self.ask_text(text, at_least, patience, limits, admit).await?;
        Ok(answer.rows.iter().filter_map(|row| parked_event(row)).collect())
    }

    /// Returns the parked events of a view that a condition names; there must be one.
    async fn find_parked(&self, view: &str, which: &str) -> Result<Vec<ParkedEvent>, ViewsError> {
        let wanted = format!("state = 'parked' and {which}");
        let admit = |_: &str, _: &Query| Ok::<_, ViewsError>(());
        let found = self.find(view, &wanted, None, OPENING, admit).await?;
        match found.is_empty() {
            true => Err(not_parked(format!(
                "the view {view} has parked no event with {which}; list its parked events"
            ))),
            false => Ok(found),
        }
    }

    /// Requests that the parked events of a view are tried again, those of one stream or all: each stream goes on
    /// until one of its events fails. It is done when the view has come to the cursor. The request has no effect on
    /// what is not parked any more by then.
    ///
    /// # Errors
    /// There is no such view, or the stream has no parked event (`event_not_parked`).
    pub async fn retry(&self, name: &str, stream: Option<&str>) -> Result<Appended, ViewsError> {
        if let Some(stream) = stream {
            self.find_parked(name, &is_stream(stream)).await?;
        }
        self.change(name, ViewFact::Retried { stream: stream.map(str::to_owned) }).await
    }

    /// Requests that a parked event of a view is left out; those that wait behind it follow. In a store of many
    /// partitions, a position may need its stream. It is done when the view has come to the cursor. The request has no
    /// effect if the event is not parked any more by then.
    ///
    /// # Errors
    /// There is no such view, or the event is not parked (`event_not_parked`).
    pub async fn skip(
        &self,
        name: &str,
        position: u64,
        stream: Option<&str>,
    ) -> Result<Appended, ViewsError> {
        let mut which = format!("position = {position}");
        if let Some(stream) = stream {
            which = format!("{which} and {}", is_stream(stream));
        }
        let mut found = self.find_parked(name, &which).await?;
        match (found.pop(), found.pop()) {
            (Some(ParkedEvent { stream, version, .. }), None) => {
                self.change(name, ViewFact::Skipped { stream, version }).await
            }
            _ => Err(not_parked(format!(
                "the view {name} has parked several events with {which}; name the stream"
            ))),
        }
    }
}

fn not_parked(message: String) -> ViewsError {
    ViewsError::Name { code: "event_not_parked", message }
}

fn is_stream(stream: &str) -> String {
    format!("stream = '{}'", stream.replace('\'', "''"))
}

fn parked_event(row: &[Cell]) -> Option<ParkedEvent> {
    let number = |cell: &Cell| match cell {
        Cell::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let [stream, version, position, event_type, is_parked, reason] = row else { return None };
    Some(ParkedEvent {
        stream: stream.to_string(),
        version: number(version)?,
        position: number(position)?,
        event_type: event_type.to_string(),
        is_parked: *is_parked == Cell::Integer(1),
        reason: reason.to_string(),
    })
}
