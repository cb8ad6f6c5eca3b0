//! Calls the code of a view in Rust.

use std::error::Error;
use std::sync::Arc;

use leftfold_api::Recorded;
use leftfold_fold::view::catch_panic;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, Transaction};

use super::guard::{self, Purpose, Refusals};
use super::tables::message_of;
use crate::table_view::{TableResult, TableView};

/// The code of a view, on a connection that lets it do what statements of a file may do.
pub(super) struct Code {
    pub(super) view: Arc<dyn TableView>,
    /// What the code may do while it runs. The hook is set once: SQLite prepares all statements anew when it changes.
    purpose: Arc<Mutex<Option<Purpose>>>,
    refusals: Refusals,
}

/// Why code has failed.
pub(super) struct CodeError {
    pub(super) reason: String,
    /// The error of SQLite that it has, or is made from.
    pub(super) sqlite: Option<rusqlite::Error>,
}

impl CodeError {
    pub(super) fn new(reason: String) -> Self {
        CodeError { reason, sqlite: None }
    }
}

impl Code {
    pub(super) fn new(
        connection: &mut Connection,
        view: Arc<dyn TableView>,
    ) -> rusqlite::Result<Self> {
        let purpose = Arc::default();
        let refusals = guard::restrict_while(connection, &purpose)?;
        Ok(Code { view, purpose, refusals })
    }

    /// Makes the tables; returns their names.
    pub(super) fn create(&self, connection: &Connection) -> Result<Vec<String>, CodeError> {
        self.call(Purpose::Tables, || self.view.create(connection))?;
        let names = super::tables::names(connection);
        names.map_err(|error| CodeError { reason: message_of(&error), sqlite: Some(error) })
    }

    /// Applies an event.
    pub(super) fn apply(
        &self,
        transaction: &Transaction<'_>,
        event: &Recorded,
    ) -> Result<(), CodeError> {
        self.call(Purpose::Rows, || self.view.apply(transaction, event))?;
        match transaction.is_autocommit() {
            // SQLite rolls back when it interrupts a statement, also if the code goes on.
            true => {
                let reason = "a statement did not come to an end; make it smaller".to_owned();
                Err(CodeError::new(reason))
            }
            false => Ok(()),
        }
    }

    fn call(&self, purpose: Purpose, code: impl FnOnce() -> TableResult) -> Result<(), CodeError> {
        self.refusals.take();
        *self.purpose.lock() = Some(purpose);
        let called = catch_panic(code);
        *self.purpose.lock() = None;
        let failed = match called {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(panic) => return Err(CodeError::new(panic.to_string())),
        };
        let (text, sqlite) = (failed.to_string(), sqlite_error(failed));
        let code = sqlite.as_ref().and_then(rusqlite::Error::sqlite_error_code);
        let is_refusal = code == Some(ErrorCode::AuthorizationForStatementDenied);
        let refusal = self.refusals.take().filter(|_| is_refusal);
        Err(CodeError { reason: refusal.unwrap_or(text), sqlite })
    }
}

/// Finds the error of SQLite in an error and its sources.
fn sqlite_error(error: Box<dyn Error + Send + Sync>) -> Option<rusqlite::Error> {
    let error = match error.downcast::<rusqlite::Error>() {
        Ok(error) => return Some(*error),
        Err(other) => other,
    };
    let sources = std::iter::successors(error.source(), |&error| error.source());
    let mut found = sources.filter_map(|source| source.downcast_ref::<rusqlite::Error>());
    found.find_map(|error| {
        let code = *error.sqlite_error()?;
        Some(rusqlite::Error::SqliteFailure(code, None))
    })
}
