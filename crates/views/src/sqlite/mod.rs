//! The tables of a view in a SQLite file.

mod applier;
mod code;
pub(crate) mod guard;
mod history;
mod parked;
mod rows;
mod sink;
mod statements;
mod tables;
mod value;

pub(crate) use applier::tables_of_code;
pub(crate) use parked::{Request, Requests};
pub use rows::{ApplyError, Rows};
pub(crate) use sink::SqliteSink;

use rusqlite::Connection;

use crate::error::DefinitionError;

/// The SQLite that is linked must have this bug fixed: <https://sqlite.org/wal.html>, "The WAL-reset bug".
const OLDEST: i32 = 3_051_003;

/// Checks the version of SQLite.
pub(crate) fn check_version() -> Result<(), String> {
    let version = rusqlite::version_number();
    match version >= OLDEST {
        true => Ok(()),
        false => {
            Err(format!("SQLite {} is too old: 3.51.3 or later is needed", rusqlite::version()))
        }
    }
}

/// Returns a name in quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a connection to tables in memory, made as the definition says, for checks and tests.
pub(crate) fn in_memory(definition: &crate::Definition) -> Result<Connection, DefinitionError> {
    let mut connection =
        Connection::open_in_memory().map_err(|error| DefinitionError::new(1, error.to_string()))?;
    tables::make(&mut connection, definition)?;
    Ok(connection)
}
