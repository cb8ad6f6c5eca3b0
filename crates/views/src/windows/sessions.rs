//! Sessions: events of a key of which none is further than the gap from the next.
//!
//! No two sessions of a key overlap, and all final ones lie before those that are open: an event that begins or extends
//! a session is no earlier than what is final. So an event touches at most one open session on each side.

use leftfold_api::Timestamp;
use rusqlite::{Connection, Result};

use super::clocks::time_of;
use crate::parameter::Value;

/// A session in its table.
struct Session {
    row: i64,
    start: Timestamp,
    end: Timestamp,
    events: i64,
}

/// Adds an event to the sessions of its key: begins one, extends one, or merges the two that it joins. Sessions that end
/// before `final_before` are final.
pub(super) fn add(
    connection: &Connection,
    key: &Value<'static>,
    time: Timestamp,
    gap: i64,
    final_before: Option<Timestamp>,
) -> Result<()> {
    let mut select = connection.prepare_cached(
        "select rowid, start, end, events from _session_rows
         where key is ?1 and end >= ?2 and start <= ?3 order by start",
    )?;
    let from = Some(super::before(time, gap)).max(final_before).unwrap_or(time);
    let bounds = (key, from.to_string(), super::before(time, -gap).to_string());
    let touched = select.query_map(bounds, |row| {
        let (row_id, start, end) = (row.get(0)?, time_of(row, 1)?, time_of(row, 2)?);
        Ok(Session { row: row_id, start, end, events: row.get(3)? })
    })?;
    let touched: Vec<_> = touched.collect::<Result<_>>()?;
    let Some((first, merged)) = touched.split_first() else {
        let begin = "insert into _session_rows (key, start, end, events) values (?1, ?2, ?2, 1)";
        return connection.prepare_cached(begin)?.execute((key, time.to_string())).map(drop);
    };
    let start = first.start.min(time);
    let end = touched.iter().map(|session| session.end).fold(time, Timestamp::max);
    let events = touched.iter().map(|session| session.events).sum::<i64>() + 1;
    let extend = "update _session_rows set start = ?2, end = ?3, events = ?4 where rowid = ?1";
    connection.prepare_cached(extend)?.execute((
        first.row,
        start.to_string(),
        end.to_string(),
        events,
    ))?;
    for session in merged {
        let remove = "delete from _session_rows where rowid = ?1";
        connection.prepare_cached(remove)?.execute([session.row])?;
    }
    Ok(())
}
