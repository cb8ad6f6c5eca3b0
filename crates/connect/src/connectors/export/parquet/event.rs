//! An event as a row with all its fields.

use leftfold_api::Recorded;
use serde_json::value::RawValue;

use super::layout::{Field, Presence};
use crate::connectors::export::column_type::ColumnType;
use crate::connectors::export::row::Cell;

/// The columns of a whole event, with the names of a line of NDJSON. Data that is no JSON is in `data_bytes`.
pub(super) fn fields() -> Vec<Field> {
    use ColumnType::{Bytes, Int64, Json, String, Strings, Timestamp};
    use Presence::{Optional, Required};
    [
        ("position", Int64, Required),
        ("stream", String, Required),
        ("version", Int64, Required),
        ("id", String, Required),
        ("type", String, Required),
        ("event_time", Timestamp, Required),
        ("commit_time", Timestamp, Required),
        ("correlation", String, Optional),
        ("causation", String, Optional),
        ("tags", Strings, Required),
        ("metadata", Json, Optional),
        ("data", Json, Optional),
        ("data_bytes", Bytes, Optional),
    ]
    .map(|(name, column_type, presence)| Field { name: name.to_owned(), column_type, presence })
    .to_vec()
}

/// Returns the values of an event, in the order of [`fields`]. The error is a sentence.
pub(super) fn cells(event: &Recorded) -> Result<Vec<Cell>, String> {
    let (data, metadata) = (event.data(), event.metadata());
    let (data, data_bytes) = match is_json(&data) {
        true => (bytes(Some(&data)), Cell::Null),
        false => (Cell::Null, bytes((!data.is_empty()).then_some(&data))),
    };
    Ok(vec![
        whole("position", event.position())?,
        text(Some(event.stream())),
        whole("version", event.version())?,
        text(Some(&event.id().to_string())),
        text(Some(event.event_type())),
        Cell::Int64(event.event_time().0),
        Cell::Int64(event.commit_time().0),
        text(event.correlation()),
        text(event.causation()),
        Cell::Texts(event.tags().map(|(key, value)| format!("{key}={value}")).collect()),
        bytes(is_json(&metadata).then_some(&metadata)),
        data,
        data_bytes,
    ])
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

fn whole(name: &str, number: u64) -> Result<Cell, String> {
    let number = i64::try_from(number);
    number.map(Cell::Int64).map_err(|_| format!("column {name}: expected at most {}", i64::MAX))
}

fn text(text: Option<&str>) -> Cell {
    bytes(text.map(str::as_bytes))
}

/// Copies bytes: those of an event may be part of a larger block, which they would keep in memory.
fn bytes(bytes: Option<&[u8]>) -> Cell {
    bytes.map_or(Cell::Null, |bytes| Cell::Bytes(bytes.to_vec()))
}
