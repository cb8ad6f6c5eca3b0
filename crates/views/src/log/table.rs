//! The table that holds what a question reads of the log.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Instant;

use leftfold_api::{
    Cursor, Direction, EventStore, Point, Read, ReadError, Recorded, Timestamp, is_json_type, names,
};
use parking_lot::Mutex;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::sync::Arc;

use super::reference::LogRead;
use super::{TABLE, range::Bounds};
use crate::ask::{AskError, AskLimits, of_file, of_sql};
use crate::host::ViewsError;
use crate::parameter::stream_id;
use crate::sqlite::guard::{self, Purpose};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Position,
    Stream,
    Category,
    StreamId,
    Version,
    Type,
    EventTime,
    CommitTime,
    Correlation,
    Causation,
    Id,
    Data,
    Metadata,
    Tags,
}

/// All columns, their names and types. `data` and `meta` may be bytes.
const COLUMNS: [(Column, &str, &str); 14] = [
    (Column::Position, "position", "integer"),
    (Column::Stream, "stream", "text"),
    (Column::Category, "category", "text"),
    (Column::StreamId, "stream_id", "text"),
    (Column::Version, "version", "integer"),
    (Column::Type, "type", "text"),
    (Column::EventTime, "event_time", "text collate time"),
    (Column::CommitTime, "commit_time", "text collate time"),
    (Column::Correlation, "correlation", "text"),
    (Column::Causation, "causation", "text"),
    (Column::Id, "id", "text"),
    (Column::Data, "data", "blob"),
    (Column::Metadata, "meta", "blob"),
    (Column::Tags, "tags", "text"),
];

/// The most bytes of the table; it is on disk if it does not fit into SQLite's cache.
const MAX_BYTES: usize = 2 << 30;

/// The fewest events of a page: more are read at once than asked for, since some may be dropped by version or time.
const FEW: usize = 100;

/// Makes the table, without rows.
pub(super) fn make(connection: &Connection) -> Result<(), AskError> {
    // Fractions of a second have no fixed length, so times are not in the order of their texts.
    let order = |one: &str, two: &str| {
        let (one_at, two_at) = (one.parse::<Timestamp>().ok(), two.parse::<Timestamp>().ok());
        match (one_at, two_at) {
            (Some(one), Some(two)) => one.cmp(&two),
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (None, None) => one.cmp(two),
        }
    };
    connection.create_collation("time", order).map_err(of_file)?;
    let columns: Vec<_> = COLUMNS.iter().map(|(_, name, of)| format!("{name} {of}")).collect();
    let create = format!("create table main.{TABLE} ({})", columns.join(", "));
    connection.execute_batch(&create).map_err(of_file)
}

/// Returns the columns of the table that a question reads; it is prepared, and not run.
pub(super) fn columns_read(
    connection: &mut Connection,
    sql: &str,
    limits: AskLimits,
) -> Result<Vec<Column>, AskError> {
    let (names, reason) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(Mutex::new(None)));
    let (names_of_hook, reason_of_hook) = (names.clone(), reason.clone());
    guard::limit(connection, i32::try_from(limits.bytes).unwrap_or(i32::MAX)).map_err(of_file)?;
    crate::functions::add_to(connection).map_err(of_file)?;
    let note = move |context: AuthContext<'_>| {
        if let AuthAction::Read { table_name: TABLE, column_name } = context.action {
            names_of_hook.lock().insert(column_name.to_ascii_lowercase());
        }
        match guard::refusal(Purpose::Asking, &context) {
            None => Authorization::Allow,
            refusal => {
                *reason_of_hook.lock() = refusal;
                Authorization::Deny
            }
        }
    };
    connection.authorizer(Some(note)).map_err(of_file)?;
    let prepared = connection.prepare(sql).map(drop);
    guard::release(connection).map_err(of_file)?;
    if let Err(error) = prepared {
        return Err(reason.lock().take().map_or_else(|| of_sql(&error, limits), AskError::Refused));
    }
    let names = names.lock();
    let read = COLUMNS.iter().filter(|(column, name, _)| {
        // A row needs a value.
        names.contains(*name) || *column == Column::Position
    });
    Ok(read.map(|(column, ..)| *column).collect())
}

/// A copy of what a question reads into the table.
pub(super) struct Copy<'a, S> {
    pub(super) store: &'a S,
    pub(super) read: &'a LogRead,
    pub(super) columns: &'a [Column],
    pub(super) limits: AskLimits,
    pub(super) end: Instant,
}

impl<S: EventStore> Copy<'_, S> {
    /// Copies, and returns up to where the log was read.
    pub(super) async fn run(&self, connection: &mut Connection) -> Result<Cursor, ViewsError> {
        let head = self.store.head().await?;
        if self.read.references.iter().all(super::reference::Reference::is_empty) {
            return Ok(head);
        }
        let commit_time = self.read.hull(|reference| reference.commit_time);
        let mut position = self.read.hull(|reference| reference.position);
        // What is appended meanwhile is not in the answer. Positions of partitions are in no order.
        if let Some(last) = head.position() {
            position.to = position.to.min(i64::try_from(last).unwrap_or(i64::MAX));
        }
        let is_in = |event: &Recorded| {
            let at = i64::try_from(event.position()).unwrap_or(i64::MAX);
            (head.position().is_none() || position.holds(at)) && self.read.wants(event)
        };
        let mut read = self.start(position, commit_time, &head);
        let wanted = self.read.first.map_or(usize::MAX, |first| first.count);
        if self.read.first.is_some() {
            read = read.limit(wanted.max(FEW));
        }
        let (mut looked_at, mut copied, mut bytes) = (0, 0, 0);
        connection.execute_batch("begin").map_err(of_file)?;
        while copied < wanted {
            if Instant::now() >= self.end {
                return Err(AskError::TimedOut(self.limits.time).into());
            }
            let page = match self.store.read(read.clone()).await {
                // It begins behind all events.
                Err(ReadError::Invalid(invalid)) if invalid.code == "start_ahead" => break,
                page => page?,
            };
            for event in &page.events {
                looked_at += 1;
                if looked_at > self.limits.events {
                    let most = format!("{} events", self.limits.events);
                    return Err(AskError::ReadsTooMuch(most).into());
                }
                if is_in(event) {
                    bytes += self.insert(connection, event)?;
                    copied += 1;
                }
                if copied == wanted {
                    break;
                }
            }
            if bytes > MAX_BYTES {
                return Err(AskError::ReadsTooMuch(format!("{MAX_BYTES} bytes")).into());
            }
            let is_one_log = head.position().is_some();
            if !page.more || (is_one_log && self.is_past(&page.events, position, commit_time)) {
                break;
            }
            read = read.after(page.cursor);
        }
        connection.execute_batch("commit").map_err(of_file)?;
        Ok(head)
    }

    fn start(&self, position: Bounds, commit_time: Bounds, head: &Cursor) -> Read {
        let query = self.read.query();
        let is_one_log = head.position().is_some();
        if self.read.first.is_some_and(|first| first.direction == Direction::Backward) {
            let read = Read::backward(query);
            return match u64::try_from(position.to) {
                Ok(to) if is_one_log && position.to < i64::MAX => {
                    read.including(Point::Position(to))
                }
                _ => read,
            };
        }
        let version = self.read.hull(|reference| reference.version);
        let point = match u64::try_from(position.from) {
            Ok(from) if is_one_log && from > 0 => Some(Point::Position(from)),
            _ if is_one_log && commit_time.from > i64::MIN => {
                Some(Point::CommitTime(Timestamp(commit_time.from)))
            }
            _ => u64::try_from(version.from)
                .ok()
                .filter(|from| *from > 0 && query.as_stream().is_some())
                .map(Point::Version),
        };
        let read = Read::forward(query);
        match point {
            Some(point) => read.including(point),
            None => read,
        }
    }

    /// Whether the events behind a page lie beyond the ranges.
    fn is_past(&self, events: &[Recorded], position: Bounds, commit_time: Bounds) -> bool {
        let Some(last) = events.last() else { return false };
        let at = i64::try_from(last.position()).unwrap_or(i64::MAX);
        match self.read.first.map(|first| first.direction) {
            Some(Direction::Backward) => at <= position.from,
            _ => at >= position.to || last.commit_time().micros() > commit_time.to,
        }
    }

    /// Copies an event; returns the bytes of its values.
    fn insert(&self, connection: &Connection, event: &Recorded) -> Result<usize, AskError> {
        let name = |column: &Column| {
            let found = COLUMNS.iter().find(|(of, ..)| of == column);
            found.map(|(_, name, _)| *name).unwrap_or_default()
        };
        let names: Vec<_> = self.columns.iter().map(name).collect();
        let places = vec!["?"; names.len()].join(", ");
        let insert = format!("insert into main.{TABLE} ({}) values ({places})", names.join(", "));
        let values: Vec<_> = self.columns.iter().map(|column| column.value(event)).collect();
        let size = values.iter().map(size).sum();
        let mut insert = connection.prepare_cached(&insert).map_err(of_file)?;
        insert.execute(params_from_iter(values)).map_err(|error| of_sql(&error, self.limits))?;
        Ok(size)
    }
}

impl Column {
    /// Returns the value of an event.
    fn value(self, event: &Recorded) -> Value {
        let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let text = |text: &str| Value::Text(text.to_owned());
        match self {
            Column::Position => integer(event.position()),
            Column::Stream => text(event.stream()),
            Column::Category => text(names::category_of(event.stream())),
            Column::StreamId => text(stream_id(event.stream())),
            Column::Version => integer(event.version()),
            Column::Type => text(event.event_type()),
            Column::EventTime => Value::Text(event.event_time().to_string()),
            Column::CommitTime => Value::Text(event.commit_time().to_string()),
            Column::Correlation => event.correlation().map_or(Value::Null, text),
            Column::Causation => event.causation().map_or(Value::Null, text),
            Column::Id => Value::Text(event.id().to_string()),
            Column::Data if event.data().is_empty() && is_json_type(event.content_type()) => {
                Value::Null
            }
            Column::Data => bytes(&event.data()),
            Column::Metadata if event.metadata().is_empty() => Value::Null,
            Column::Metadata => bytes(&event.metadata()),
            Column::Tags => {
                let tags: Vec<_> =
                    event.tags().map(|(key, value)| format!("{key}={value}")).collect();
                Value::Text(serde_json::to_string(&tags).unwrap_or_default())
            }
        }
    }
}

/// Returns a text, or bytes that are none.
fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Blob(bytes.to_vec()),
    }
}

fn size(value: &Value) -> usize {
    size_of::<i64>()
        + match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            _ => 0,
        }
}
