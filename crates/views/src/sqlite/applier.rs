//! Makes the tables of a view and applies its events, by the statements of a file or by code.

use std::sync::Arc;

use leftfold_api::Recorded;
use rusqlite::{Connection, Transaction};

use super::code::{Code, CodeError};
use super::rows::{ApplyError, Failed, apply_statements};
use super::tables;
use crate::definition::{Definition, OnError};
use crate::logic::Logic;
use crate::table_view::TableView;
use crate::windows::WindowBatch;

/// What applies events to the tables of a view.
pub(super) enum Applier {
    Statements(Definition),
    Code(Code),
    /// The view is in Rust, and its code is not there.
    Missing(ApplyError),
}

impl Applier {
    pub(super) fn new(connection: &mut Connection, logic: &Logic) -> rusqlite::Result<Self> {
        Ok(match logic {
            Logic::Sql(definition) => Applier::Statements(definition.clone()),
            Logic::Rust(view) => match &view.code {
                Some(code) => Applier::Code(Code::new(connection, code.clone())?),
                None => Applier::Missing(view.missing()),
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

    /// Applies an event.
    pub(super) fn apply(
        &self,
        transaction: &Transaction<'_>,
        windows: &mut Option<WindowBatch<'_>>,
        event: &Recorded,
    ) -> Result<(), Failed> {
        match self {
            Applier::Statements(definition) => {
                apply_statements(transaction, definition, windows, event)
            }
            Applier::Code(code) => code.apply(transaction, event).map_err(Failed::of_code),
            Applier::Missing(missing) => Err(Failed::of_code(CodeError::new(missing.to_string()))),
        }
    }

    /// Returns the windows of a batch, if the view has any.
    pub(super) fn begin_windows(
        &self,
        transaction: &Transaction<'_>,
    ) -> rusqlite::Result<Option<WindowBatch<'_>>> {
        match self {
            Applier::Statements(definition) => WindowBatch::begin(transaction, definition),
            Applier::Code(_) | Applier::Missing(_) => Ok(None),
        }
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
