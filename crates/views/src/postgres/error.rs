//! Why PostgreSQL did not do what was asked. No text has anything of the URL.

use std::error::Error as _;

use leftfold_fold::view::ViewError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::error::DefinitionError;

/// Why a view can't be checked, opened or brought forward.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// A line of the file is wrong.
    Definition(DefinitionError),
    /// Anything else.
    View(ViewError),
}

impl From<DefinitionError> for Failure {
    fn from(error: DefinitionError) -> Self {
        Failure::Definition(error)
    }
}

impl From<ViewError> for Failure {
    fn from(error: ViewError) -> Self {
        Failure::View(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        ViewError::rows(message_of(&error)).into()
    }
}

impl From<Failure> for ViewError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Definition(error) => ViewError::rows(error),
            Failure::View(error) => error,
        }
    }
}

/// Returns the error for an answer that did not come in time.
pub(super) fn no_answer() -> Failure {
    ViewError::rows("PostgreSQL did not answer in time").into()
}

/// Returns the error for a connection that PostgreSQL refuses, or that can't be made.
pub(super) fn of_connect(error: &Error) -> Failure {
    let message = match error.code() {
        // The messages name the account or the database.
        Some(code) => format!("PostgreSQL refuses the connection (SQLSTATE {})", code.code()),
        None => message_of(error),
    };
    ViewError::rows(message).into()
}

/// Returns what is wrong.
pub(super) fn message_of(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return match *error.code() == SqlState::INSUFFICIENT_PRIVILEGE {
            true => "the role lacks a right (SQLSTATE 42501); it needs create on the database, and its own schemas"
                .to_owned(),
            false => error.message().to_owned(),
        };
    }
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match io {
        Some(io) => format!("PostgreSQL can't be reached ({})", io.kind()),
        None if error.is_closed() => "the connection to PostgreSQL was lost".to_owned(),
        None => "PostgreSQL can't be asked; look at the URL and at its log".to_owned(),
    }
}

/// Whether a statement took too long.
pub(super) fn is_timeout(error: &Error) -> bool {
    error.code() == Some(&SqlState::QUERY_CANCELED)
}

/// Whether an error is of the statement and its values. Others are of the database, and may pass.
pub(super) fn is_of_statement(error: &Error) -> bool {
    let Some(code) = error.code() else { return false };
    let is_of_database = matches!(
        code.code().get(..2),
        // Connections, states of transactions, rollbacks, resources, locks, operators, the system, and its defects.
        Some("08" | "25" | "40" | "53" | "55" | "57" | "58" | "F0" | "XX")
    );
    is_timeout(error) || !(is_of_database || *code == SqlState::INSUFFICIENT_PRIVILEGE)
}
