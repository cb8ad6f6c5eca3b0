//! Calls the code of a view in Rust.

use std::error::Error;
use std::sync::Arc;

use leftfold_api::Recorded;
use leftfold_fold::view::catch_panic;
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction};

use super::guard::{self, Purpose, Refusals};
use super::tables::{self, message_of};
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

    /// Finds the error of SQLite in an error and its sources.
    fn of(error: Box<dyn Error + Send + Sync>) -> Self {
        let error = match error.downcast::<rusqlite::Error>() {
            Ok(error) => return CodeError { reason: message_of(&error), sqlite: Some(*error) },
            Err(other) => other,
        };
        let mut sources = std::iter::successors(error.source(), |&error| error.source());
        let code = sources.find_map(|source| {
            source.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error)
        });
        let sqlite = code.map(|code| rusqlite::Error::SqliteFailure(*code, None));
        CodeError { reason: error.to_string(), sqlite }
    }
}

impl Code {
    pub(super) fn new(
        connection: &mut Connection,
        view: Arc<dyn TableView>,
    ) -> rusqlite::Result<Self> {
        let purpose = Arc::<Mutex<Option<Purpose>>>::default();
        let refusals = guard::restrict_while(connection, &purpose)?;
        // SQLite rolls back when it interrupts a statement; what the code does next would be a transaction by itself.
        let is_running = purpose.clone();
        connection.commit_hook(Some(move || is_running.lock().is_some()))?;
        Ok(Code { view, purpose, refusals })
    }

    /// Makes the tables; returns their names.
    pub(super) fn create(&self, connection: &Connection) -> Result<Vec<String>, CodeError> {
        self.call(Purpose::Tables, || self.view.create(connection))?;
        tables::names(connection).map_err(|error| CodeError::of(error.into()))
    }

    /// Applies an event.
    pub(super) fn apply(
        &self,
        transaction: &Transaction<'_>,
        event: &Recorded,
    ) -> Result<(), CodeError> {
        self.call(Purpose::Rows, || self.view.apply(transaction, event))?;
        match transaction.is_autocommit() {
            // The code went on after that.
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
        let error = CodeError::of(failed);
        // SQLite says that it is not allowed; the hook knows why.
        let refusal = self.refusals.take().filter(|_| error.sqlite.is_some());
        Err(CodeError { reason: refusal.unwrap_or(error.reason), ..error })
    }
}
