//! Events for windows that are final: they are noted, never dropped.

use leftfold_api::{Recorded, Timestamp};
use rusqlite::{Connection, Result};

use crate::parameter::Value;

/// Returns how many rows there are. None is ever removed, so the last one has their number.
pub(crate) fn count(connection: &Connection) -> Result<u64> {
    let mut count = connection.prepare_cached("select coalesce(max(rowid), 0) from _late")?;
    let count: i64 = count.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Notes the windows that an event missed. One without a start is the session that it would have begun.
pub(super) fn note(
    connection: &Connection,
    event: &Recorded,
    windows: impl IntoIterator<Item = Option<Timestamp>>,
    key: &Value<'static>,
) -> Result<()> {
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut insert =
        connection.prepare_cached("insert into _late values (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for window in windows {
        insert.execute((
            integer(event.position()),
            event.stream(),
            integer(event.version()),
            event.event_type(),
            event.event_time().to_string(),
            window.map(|start| start.to_string()),
            key,
        ))?;
    }
    Ok(())
}
