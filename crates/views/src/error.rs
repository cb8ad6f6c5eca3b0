//! Why a view can't be defined, followed or asked.

use leftfold_api::Coded;
use thiserror::Error;

/// Why the file of a view is refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {message}")]
#[non_exhaustive]
pub struct DefinitionError {
    /// A stable code.
    pub code: &'static str,
    /// The line of the file, from 1.
    pub line: usize,
    /// What is wrong, and what is right.
    pub message: String,
}

impl DefinitionError {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> Self {
        DefinitionError { code: "view_invalid", line, message: message.into() }
    }

    /// A statement that SQL does not understand, or that does not fit the tables.
    pub(crate) fn sql(line: usize, message: impl Into<String>) -> Self {
        DefinitionError { code: "view_sql_invalid", line, message: message.into() }
    }

    /// A statement that a view may not have.
    pub(crate) fn forbidden(line: usize, message: impl Into<String>) -> Self {
        DefinitionError { code: "view_sql_forbidden", line, message: message.into() }
    }
}

impl Coded for DefinitionError {
    fn code(&self) -> &'static str {
        self.code
    }

    fn can_retry(&self) -> bool {
        false
    }
}
