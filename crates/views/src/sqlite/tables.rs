//! Makes the tables of a view, and prepares its statements.

use rusqlite::{Connection, Error};

use super::guard::{self, Purpose, Refusals, STEPS_OF_EVENT, StepLimit};
use super::history::{self, Moment};
use super::parked;
use crate::definition::{Definition, Statement};
use crate::error::DefinitionError;
use crate::functions;
use crate::windows;

/// The table of the runner, beside that of the events that could not be applied.
const OWN: &str = "create table _view (name text primary key, value text) without rowid;";

/// Makes the tables of the runner, on a connection that gets the functions and limits of views.
pub(super) fn make_own(connection: &mut Connection, keeps_history: bool) -> rusqlite::Result<()> {
    equip(connection, keeps_history)?;
    // An index or a generated column computes nothing on empty tables, but a definition may be hostile.
    StepLimit::new(connection, STEPS_OF_EVENT)?;
    connection.execute_batch(OWN)?;
    parked::make(connection)
}

/// Returns the names of the tables and SQL views of the user's.
pub(super) fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare(
        "select name from sqlite_schema where type in ('table', 'view') and substr(name, 1, 1) <> '_'
         and lower(substr(name, 1, 7)) <> 'sqlite_' order by rowid",
    )?;
    let names = select.query_map([], |row| row.get(0))?;
    names.collect()
}

/// Makes the tables of a file. The connection gets the functions of views.
pub(super) fn make(
    connection: &mut Connection,
    definition: &Definition,
) -> Result<(), DefinitionError> {
    let internal = |error: Error| DefinitionError::sql(1, error.to_string());
    make_own(connection, definition.has_history()).map_err(internal)?;
    if let Some(window) = &definition.window {
        connection.execute_batch(&windows::tables(window)).map_err(internal)?;
    }
    let refusals = guard::restrict(connection, Purpose::Tables, &[]).map_err(internal)?;
    for table in &definition.tables {
        run_create(connection, table, &refusals)?;
    }
    guard::release(connection).map_err(internal)?;
    let mut histories = Vec::new();
    if let Some(line) = definition.history {
        histories = history::names(connection).map_err(internal)?;
        history::make(connection).map_err(|(table, error)| {
            let message = format!("the history of {table} can't be made: {}", message_of(&error));
            DefinitionError::sql(line, message)
        })?;
    }
    prepare_all(connection, definition, &histories)
}

/// Adds functions and limits to a connection that changes rows.
pub(super) fn equip(
    connection: &Connection,
    keeps_history: bool,
) -> rusqlite::Result<Option<Moment>> {
    guard::limit(connection, 16 << 20)?;
    functions::add_to(connection)?;
    functions::take_clock_from(connection)?;
    connection.set_prepared_statement_cache_capacity(256);
    keeps_history.then(|| Moment::add_to(connection)).transpose()
}

fn run_create(
    connection: &Connection,
    table: &Statement,
    refusals: &Refusals,
) -> Result<(), DefinitionError> {
    if table.verb() != "create" {
        let message =
            "the head of the file makes tables: create table, create index or create view";
        return Err(DefinitionError::forbidden(table.line, message));
    }
    if table.takes_rows_or_schema() {
        let message = "a table has columns, and neither a schema nor the rows of a select";
        return Err(DefinitionError::forbidden(table.line, message));
    }
    connection.execute(&table.text, []).map_err(|error| of_sql(&error, table.line, refusals))?;
    Ok(())
}

/// Prepares the statements of all handlers against the tables.
fn prepare_all(
    connection: &mut Connection,
    definition: &Definition,
    histories: &[String],
) -> Result<(), DefinitionError> {
    let internal = |error: Error| DefinitionError::sql(1, error.to_string());
    let refusals = guard::restrict(connection, Purpose::Rows, histories).map_err(internal)?;
    for statement in definition.handlers.iter().flat_map(|handler| &handler.statements) {
        let prepared = connection.prepare(statement.sql());
        let prepared = prepared.map_err(|error| of_sql(&error, statement.line, &refusals))?;
        if prepared.readonly() || prepared.column_count() > 0 {
            let message =
                "a statement behind @on changes rows (insert, update, delete) and returns none";
            return Err(DefinitionError::forbidden(statement.line, message));
        }
    }
    guard::release(connection).map_err(internal)
}

/// Returns the error of a statement with its line in the file.
pub(super) fn of_sql(error: &Error, line: usize, refusals: &Refusals) -> DefinitionError {
    if let Some(reason) = refusals.take() {
        return DefinitionError::forbidden(line, reason);
    }
    DefinitionError::sql(line, message_of(error))
}

/// Returns the message of SQLite, without its number.
pub(super) fn message_of(error: &Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}
