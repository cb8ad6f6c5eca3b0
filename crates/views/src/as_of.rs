//! Asks views as of a past moment, from the history of their tables.
//!
//! The files are attached under names of their own, and each table gets a temporary view of its name that has the
//! versions that were there. So the question is the same as one about the present.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use leftfold_api::{Invalid, Timestamp};
use rusqlite::Connection;

use crate::ask::{self, Answer, AskError, AskLimits, of_file};
use crate::definition;
use crate::sqlite::guard::Purpose;
use crate::sqlite::quoted;

/// A past moment of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AsOf {
    /// When the event at this position had been applied.
    Position(u64),
    /// When the events that were committed until then had been applied.
    Time(Timestamp),
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsOf::Position(position) => position.fmt(f),
            AsOf::Time(time) => time.fmt(f),
        }
    }
}

impl FromStr for AsOf {
    type Err = Invalid;

    /// Reads a position (`17`), or a time as [`Timestamp`] does.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Ok(position) = text.parse() {
            return Ok(AsOf::Position(position));
        }
        text.parse().map(AsOf::Time).map_err(|invalid: Invalid| {
            Invalid::new(invalid.code, format!("{text:?} is no position: {}", invalid.message))
        })
    }
}

impl AsOf {
    /// Returns the condition on a version that was there.
    fn condition(self) -> String {
        let (column, moment) = match self {
            AsOf::Position(position) => ("", i64::try_from(position).unwrap_or(i64::MAX)),
            AsOf::Time(time) => ("_time", time.micros()),
        };
        format!(
            "valid_from{column} <= {moment} and (valid_to{column} is null or valid_to{column} > {moment})"
        )
    }
}

/// Asks views as they were at a past moment; see [`ask`](crate::ask). The tables must have come that far.
///
/// # Errors
/// As [`ask`](crate::ask); a view has no `@history`, or two have a table of one name.
pub fn ask_as_of(
    views: &[(String, PathBuf)],
    sql: &str,
    as_of: AsOf,
    limits: AskLimits,
) -> Result<Answer, AskError> {
    let end = Instant::now() + limits.time;
    let schema = |name: &str| format!("_{name}");
    let mut connection = ask::attach(views, schema)?;
    let cursors = ask::begin(&connection, views, schema)?;
    let mut tables = Vec::new();
    for (name, _) in views {
        tables.extend(shadow(&connection, name, as_of)?.into_iter().map(|it| (name.clone(), it)));
    }
    let sql = definition::without_schemas(sql, |schema, table| {
        let same = |one: &str, two: &str| one.eq_ignore_ascii_case(two);
        tables.iter().any(|(view, known)| same(view, schema) && same(known, table))
    });
    let answer = ask::run(&mut connection, &sql, limits, end, Purpose::AskingAsOf)?;
    Ok(Answer { cursors, ..answer })
}

/// Makes temporary views in the place of a view's tables and views; returns their names.
fn shadow(connection: &Connection, view: &str, as_of: AsOf) -> Result<Vec<String>, AskError> {
    let schema = quoted(&format!("_{view}"));
    let list = |select: &str, argument: &str| -> Result<Vec<String>, AskError> {
        let mut select = connection.prepare(select).map_err(of_file)?;
        let found = select.query_map([argument], |row| row.get(0)).map_err(of_file)?;
        found.collect::<rusqlite::Result<_>>().map_err(of_file)
    };
    let triggers = format!(
        "select tbl_name from {schema}.sqlite_schema where type = 'trigger' and name = ?1 || tbl_name || '_insert'"
    );
    let mut names = list(&triggers, "_history_")?;
    if names.is_empty() {
        let message = format!(
            "the view {view} keeps no history; add the line -- @history to its file and replace it"
        );
        return Err(AskError::Refused(message));
    }
    let mut creates = Vec::with_capacity(names.len());
    for table in &names {
        let columns =
            format!("select name from pragma_table_xinfo(?1, '_{view}') where hidden <> 1");
        let columns: Vec<_> = list(&columns, table)?.iter().map(|name| quoted(name)).collect();
        creates.push(format!(
            "create temp view {} as select {} from {schema}.{} where {}",
            quoted(table),
            columns.join(", "),
            quoted(&format!("{table}_history")),
            as_of.condition()
        ));
    }
    let views = |what: &str| {
        format!("select {what} from {schema}.sqlite_schema where type = ?1 order by rowid")
    };
    // SQLite keeps the text of a view with this beginning, whatever its user wrote.
    let texts = list(&views("sql"), "view")?;
    creates.extend(texts.iter().map(|text| text.replacen("CREATE VIEW", "CREATE TEMP VIEW", 1)));
    names.extend(list(&views("name"), "view")?);
    for create in creates {
        connection.execute_batch(&create).map_err(|error| match of_file(error) {
            AskError::File(message) if message.contains("already exists") => {
                AskError::Refused(format!("{message}: two of the views have it; ask one at a time"))
            }
            other => other,
        })?;
    }
    Ok(names)
}
