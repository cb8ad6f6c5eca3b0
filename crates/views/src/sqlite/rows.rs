//! Applies events to the tables: rows and cursor in one transaction.

use std::path::Path;

use leftfold_api::Recorded;
use leftfold_fold::view::Saved;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};
use thiserror::Error;

use super::guard::{STEPS_OF_EVENT, StepLimit};
use super::history::Moment;
use super::tables;
use crate::definition::{Definition, Handler, OnError};
use crate::parameter::Value;

/// The tables of a view, and up to where they have been brought.
pub struct Rows {
    connection: Connection,
    definition: Definition,
    on_error: OnError,
    steps: StepLimit,
    /// For the triggers of a view that keeps its history.
    moment: Option<Moment>,
}

/// Why events could not be applied. The tables are as they were.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The statements fail on an event.
    #[error(
        "{reason} (event {event_type} at position {position} in stream {stream}, line {line} of the view)"
    )]
    Event {
        /// How many events of the batch come before it.
        before: usize,
        /// Its position.
        position: u64,
        /// Its stream.
        stream: String,
        /// Its type.
        event_type: String,
        /// The line of the statement.
        line: usize,
        /// What SQL says.
        reason: String,
    },
    /// Somebody else has brought the tables forward.
    #[error("another process writes the tables; stop one of the two")]
    Overtaken,
    /// The tables were made by another definition.
    #[error(
        "the tables were made by another definition of the view; replace the view, which builds them anew"
    )]
    OtherDefinition,
    /// The file can't be read or written.
    #[error("the tables can't be read or written: {0}")]
    File(String),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        ApplyError::File(tables::message_of(&error))
    }
}

impl Rows {
    /// Opens the tables of a view, or makes them if the file is new.
    ///
    /// # Errors
    /// The file can't be used, or belongs to another definition.
    pub fn open(path: impl AsRef<Path>, definition: &Definition) -> Result<Self, ApplyError> {
        super::check_version().map_err(ApplyError::File)?;
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // A crash may lose the last transactions, but never a part of one, and the cursor is in them.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        Self::on(connection, definition)
    }

    /// Makes the tables in memory.
    ///
    /// # Errors
    /// As [`Rows::open`].
    pub fn in_memory(definition: &Definition) -> Result<Self, ApplyError> {
        Self::on(Connection::open_in_memory()?, definition)
    }

    fn on(mut connection: Connection, definition: &Definition) -> Result<Self, ApplyError> {
        connection.execute_batch("begin immediate")?;
        // If this fails, the connection is dropped, and the transaction with it.
        if !connection.table_exists(None, "_view")? {
            let made = tables::make(&mut connection, definition);
            made.map_err(|error| ApplyError::File(error.to_string()))?;
            set(&connection, "digest", &definition.digest())?;
        } else if get(&connection, "digest")? != Some(definition.digest()) {
            return Err(ApplyError::OtherDefinition);
        }
        connection.execute_batch("commit")?;
        let moment = tables::equip(&connection, definition)?;
        let steps = StepLimit::new(&mut connection, STEPS_OF_EVENT)?;
        let (definition, on_error) = (definition.clone(), definition.on_error);
        Ok(Rows { connection, definition, on_error, steps, moment })
    }

    /// Returns up to where the tables have been brought, or `None` if nothing was applied yet.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn saved(&self) -> Result<Option<Saved>, ApplyError> {
        let parse = |text: String| {
            text.parse().map_err(|error| ApplyError::File(format!("its state is damaged: {error}")))
        };
        get(&self.connection, "state")?.map(parse).transpose()
    }

    /// Begins after a cursor in place of the first event, unless something was applied already.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn begin_at(&self, state: &Saved) -> Result<(), ApplyError> {
        if get(&self.connection, "state")?.is_none() {
            self.set_state(state)?;
        }
        Ok(())
    }

    /// Returns whether the tables have once caught up with the store.
    pub(crate) fn has_caught_up(&self) -> Result<bool, ApplyError> {
        Ok(get(&self.connection, "caught_up")?.is_some())
    }

    /// Lets an event that fails stop the tables, whatever the definition says.
    pub(crate) fn stop_on_error(&mut self) {
        self.on_error = OnError::Stop;
    }

    /// Notes that the tables have caught up with the store: they may be asked, and go on after an event that fails
    /// if the definition says so.
    pub(crate) fn note_caught_up(&mut self) -> Result<(), ApplyError> {
        set(&self.connection, "caught_up", "1")?;
        self.on_error = self.definition.on_error;
        Ok(())
    }

    fn set_state(&self, state: &Saved) -> Result<(), ApplyError> {
        set(&self.connection, "state", &state.to_string())?;
        Ok(set(&self.connection, "cursor", &state.cursor().to_string())?)
    }

    /// Applies events, in one transaction with the state behind them. `from` is the state before.
    ///
    /// # Errors
    /// An event fails, or somebody else has brought the tables forward.
    pub fn apply(
        &mut self,
        events: &[Recorded],
        from: Option<&Saved>,
        to: &Saved,
    ) -> Result<(), ApplyError> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        if get(&transaction, "state")? != from.map(ToString::to_string) {
            return Err(ApplyError::Overtaken);
        }
        for (before, event) in events.iter().enumerate() {
            self.steps.renew();
            if let Some(moment) = &self.moment {
                moment.set(event);
            }
            let failed = match self.on_error {
                OnError::Stop => apply_event(&transaction, &self.definition, event),
                OnError::Skip => apply_or_note(&transaction, &self.definition, event),
            };
            failed.map_err(|failed| failed.of_event(before, event))?;
        }
        set(&transaction, "state", &to.to_string())?;
        set(&transaction, "cursor", &to.cursor().to_string())?;
        transaction.commit()?;
        Ok(())
    }

    /// Returns the connection, for tests and questions.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Why a statement failed.
struct Failed {
    line: usize,
    reason: String,
    /// Whether the file failed, not the statement.
    is_of_file: bool,
}

impl Failed {
    fn of_event(self, before: usize, event: &Recorded) -> ApplyError {
        match self.is_of_file {
            true => ApplyError::File(self.reason),
            false => ApplyError::Event {
                before,
                position: event.position(),
                stream: event.stream().to_owned(),
                event_type: event.event_type().to_owned(),
                line: self.line,
                reason: self.reason,
            },
        }
    }

    fn new(error: &rusqlite::Error, line: usize) -> Self {
        let is_of_file = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
            )
        );
        let reason = match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                "the statement does not come to an end; make it smaller".to_owned()
            }
            _ => tables::message_of(error),
        };
        Failed { line, reason, is_of_file }
    }
}

/// Runs the statements for an event.
fn apply_event(
    connection: &Connection,
    definition: &Definition,
    event: &Recorded,
) -> Result<(), Failed> {
    let handlers = definition.handlers.iter().filter(|handler| handler.handles(event.event_type()));
    let mut content = None;
    for handler in handlers {
        let (data, metadata) = content.get_or_insert_with(|| (event.data(), event.metadata()));
        let values = handler.inputs.values(event, data, metadata);
        let values =
            values.map_err(|reason| Failed { line: handler.line, reason, is_of_file: false })?;
        run(connection, handler, &values)?;
    }
    Ok(())
}

fn run(connection: &Connection, handler: &Handler, values: &[Value<'_>]) -> Result<(), Failed> {
    for statement in &handler.statements {
        let failed = |error: rusqlite::Error| Failed::new(&error, statement.line);
        let mut prepared = connection.prepare_cached(statement.sql()).map_err(failed)?;
        for (number, input) in (1..).zip(&statement.inputs) {
            let value = match values.get(*input) {
                Some(Value::Integer(integer)) => ValueRef::Integer(*integer),
                Some(Value::Text(text)) => ValueRef::Text(text.as_bytes()),
                Some(Value::Null) | None => ValueRef::Null,
            };
            prepared.raw_bind_parameter(number, ToSqlOutput::Borrowed(value)).map_err(failed)?;
        }
        prepared.raw_execute().map_err(failed)?;
    }
    Ok(())
}

/// Runs the statements for an event; if they fail, notes that in `_errors` instead.
fn apply_or_note(
    connection: &Connection,
    definition: &Definition,
    event: &Recorded,
) -> Result<(), Failed> {
    let failed = |error: rusqlite::Error| Failed { is_of_file: true, ..Failed::new(&error, 0) };
    connection.execute_batch("savepoint event").map_err(failed)?;
    match apply_event(connection, definition, event) {
        Ok(()) => {}
        Err(of_file) if of_file.is_of_file => return Err(of_file),
        // An interrupted statement ends the whole transaction: the view stops before the event.
        Err(failed) if connection.is_autocommit() => return Err(failed),
        Err(Failed { reason, line, .. }) => {
            connection.execute_batch("rollback to event").map_err(failed)?;
            let mut note = connection
                .prepare_cached("insert or replace into _errors values (?1, ?2, ?3, ?4, ?5)")
                .map_err(failed)?;
            let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let reason = format!("line {line}: {reason}");
            note.execute((
                integer(event.position()),
                event.stream(),
                integer(event.version()),
                event.event_type(),
                reason,
            ))
            .map_err(failed)?;
        }
    }
    connection.execute_batch("release event").map_err(failed)
}

fn get(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached("select value from _view where name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

fn set(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("insert or replace into _view values (?1, ?2)")?;
    statement.execute((name, value)).map(drop)
}
