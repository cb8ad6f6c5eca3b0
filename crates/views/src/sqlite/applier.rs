//! Makes the tables of a view and applies its events, by the statements of a file or by code.

use std::sync::Arc;

use leftfold_api::Recorded;
use rusqlite::{Connection, Transaction};

use super::code::{Code, CodeError};
use super::rows::{ApplyError, Failed};
use super::statements::Statements;
use super::tables;
use crate::definition::{Definition, OnError};
use crate::logic::{Code as ViewCode, Logic};
use crate::table_view::TableView;

/// What applies events to the tables of a view.
pub(super) enum Applier {
    Statements(Box<Definition>),
    Code(Code),
    /// The view is in Rust, and its code is not there.
    Missing(ApplyError),
}

impl Applier {
    pub(super) fn new(connection: &mut Connection, logic: &Logic) -> rusqlite::Result<Self> {
        Ok(match logic {
            Logic::Sql(definition) => Applier::Statements(Box::new(definition.clone())),
            Logic::Rust(view) => match &view.code {
                Some(ViewCode::Sqlite(code)) => Applier::Code(Code::new(connection, code.clone())?),
                _ => Applier::Missing(view.missing()),
            },
        })
    }

    /// Makes the tables.
    pub(super) fn make(&self, connection: &mut Connection) -> Result<(), ApplyError> {
        match self {
            Applier::Statements(definition) => tables::make(connection, definition)
                .map_err(|error| ApplyError::File(error.to_string())),
            Applier::Code(code) => {
                tables::make_own(connection, false)?;
                let made = code.create(connection);
                made.map_err(|error| ApplyError::File(error.reason)).map(drop)
            }
            Applier::Missing(missing) => Err(missing.clone()),
        }
    }

    /// Returns an error if no event can be applied.
    pub(super) fn check(&self) -> Result<(), ApplyError> {
        match self {
            Applier::Missing(missing) => Err(missing.clone()),
            _ => Ok(()),
        }
    }

    /// Begins to apply the events of a transaction.
    pub(super) fn begin<'c>(
        &'c self,
        transaction: &'c Transaction<'c>,
    ) -> rusqlite::Result<BatchRun<'c>> {
        Ok(match self {
            Applier::Statements(definition) => {
                BatchRun::Statements(Box::new(Statements::begin(transaction, definition)?))
            }
            Applier::Code(code) => BatchRun::Code(code, transaction),
            Applier::Missing(missing) => BatchRun::Missing(missing),
        })
    }

    /// Returns what happens if an event can't be applied.
    pub(super) fn on_error(&self) -> OnError {
        match self {
            Applier::Statements(definition) => definition.on_error,
            Applier::Code(code) => code.view.on_error(),
            Applier::Missing(_) => OnError::Stop,
        }
    }
}

/// What applies the events of one transaction.
pub(super) enum BatchRun<'c> {
    Statements(Box<Statements<'c>>),
    Code(&'c Code, &'c Transaction<'c>),
    Missing(&'c ApplyError),
}

impl BatchRun<'_> {
    /// Bounds the memory of the run. What it writes must not be undone alone.
    pub(super) fn make_room(&mut self) -> rusqlite::Result<()> {
        match self {
            BatchRun::Statements(statements) => statements.make_room(),
            BatchRun::Code(..) | BatchRun::Missing(_) => Ok(()),
        }
    }

    /// Applies an event.
    pub(super) fn apply(&mut self, event: &Recorded) -> Result<(), Failed> {
        match self {
            BatchRun::Statements(statements) => statements.apply(event),
            BatchRun::Code(code, transaction) => {
                code.apply(transaction, event).map_err(Failed::of_code)
            }
            BatchRun::Missing(missing) => Err(Failed::of_code(CodeError::new(missing.to_string()))),
        }
    }

    /// Writes what is left to write at the end of the batch.
    pub(super) fn end(self) -> rusqlite::Result<()> {
        match self {
            BatchRun::Statements(statements) => (*statements).end(),
            BatchRun::Code(..) | BatchRun::Missing(_) => Ok(()),
        }
    }
}

/// Makes the tables of a view in Rust in memory, and returns their names. The error is a sentence.
pub(crate) fn tables_of_code(view: Arc<dyn TableView>) -> Result<Vec<String>, String> {
    let made = || {
        let mut connection = Connection::open_in_memory()?;
        let code = Code::new(&mut connection, view)?;
        // As in a file: the code can't commit.
        connection.execute_batch("begin")?;
        tables::make_own(&mut connection, false)?;
        Ok::<_, rusqlite::Error>(code.create(&connection))
    };
    let made = made().map_err(|error| tables::message_of(&error))?;
    made.map_err(|error| error.reason)
}
