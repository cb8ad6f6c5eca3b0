//! The log as a table: a question that names `events` reads the store itself.
//!
//! The conditions of the question say which events are read ([`LogRead`]); those are copied into a temporary table,
//! which SQLite filters and joins. A virtual table would need unsafe code, which the project forbids.

mod conditions;
mod first;
mod pieces;
mod range;
mod reference;
mod table;

use std::path::PathBuf;
use std::time::Instant;

use leftfold_api::{EventStore, Query};

use crate::ask::{self, Answer, AskLimits, Cell};
use crate::host::ViewsError;
pub(crate) use reference::LogRead;

/// The name of the log among tables.
pub(crate) const TABLE: &str = "events";

/// Asks the log of a store, as the table `events`.
///
/// Its columns are `position`, `stream`, `category`, `stream_id` (behind the category), `version`, `type`,
/// `event_time`, `commit_time`, `correlation`, `causation`, `id`, `data`, `meta` and `tags` (a JSON list of
/// `key=value`). Conditions that stand by themselves or between `and`s decide what is read: `=` and `in` on
/// `stream`, `category`, `type`, `correlation` and `tag`, and `=`, `<`, `<=`, `>`, `>=` and `between` on `position`,
/// `version`, `event_time` and `commit_time`, each with values that are written out. SQLite does the rest;
/// `explain query plan` says which is which. Elsewhere a tag is tested by `has_tag(tags, 'key=value')`.
/// `json_text(data, '$.path')` takes a number as it is written, where `json_extract` makes it a float.
///
/// ```
/// use leftfold::{Append, Embedded, EventStore, NewEvent, Options};
/// use leftfold_views::{AskLimits, ask_log};
///
/// # pollster::block_on(async {
/// # let dir = tempfile::tempdir()?;
/// let store = Embedded::open(dir.path().join("store"), Options::default())?;
/// let placed = NewEvent::json("OrderPlaced", r#"{"total":9.90}"#);
/// store.append(Append::new().event("order-7", placed)).await?;
///
/// let sql = "select type, count(*), dec_sum(json_text(data, '$.total')) from events
///            where category = 'order' group by type";
/// let answer = ask_log(&store, sql, AskLimits::default()).await?;
/// let row: Vec<_> = answer.rows[0].iter().map(ToString::to_string).collect();
/// assert_eq!(row, ["OrderPlaced", "1", "9.90"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// The question is refused or wrong, or exceeds the limits, or the store can't be read.
pub async fn ask_log<S: EventStore>(
    store: &S,
    sql: &str,
    limits: AskLimits,
) -> Result<Answer, ViewsError> {
    match LogRead::of(sql) {
        Some(read) => ask_with_views(store, &[], &read, limits).await,
        None => Ok(ask::ask(&[], sql, limits)?),
    }
}

/// Returns the query of the events that a question reads from the log, or `None` if it does not read the log.
pub fn log_query(sql: &str) -> Option<Query> {
    LogRead::of(sql).map(|read| read.query())
}

/// Asks the log together with views.
pub(crate) async fn ask_with_views<S: EventStore>(
    store: &S,
    views: &[(String, PathBuf)],
    read: &LogRead,
    limits: AskLimits,
) -> Result<Answer, ViewsError> {
    let end = Instant::now() + limits.time;
    let mut connection = ask::attach(views, str::to_owned)?;
    table::make(&connection)?;
    let columns = table::columns_read(&mut connection, &read.sql, limits)?;
    if read.is_explained {
        let mut answer = ask::answer(&mut connection, views, &read.sql, limits, end)?;
        if answer.columns.len() == PLAN_COLUMNS {
            let row = |text| vec![Cell::Integer(0), Cell::Integer(0), Cell::Integer(0), text];
            let texts = read.explain().into_iter().map(|text| row(Cell::Text(text)));
            answer.rows = texts.chain(answer.rows).collect();
        }
        return Ok(answer);
    }
    let copy = table::Copy { store, read, columns: &columns, limits, end };
    let cursor = copy.run(&mut connection).await?;
    let mut answer = ask::answer(&mut connection, views, &read.sql, limits, end)?;
    answer.cursors.push((TABLE.to_owned(), Some(cursor)));
    Ok(answer)
}

/// The columns of `explain query plan`: id, parent, a number that is not used, and the text.
const PLAN_COLUMNS: usize = 4;
