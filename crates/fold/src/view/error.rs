use leftfold_api::{Coded, Cursor, ReadError, Timestamp};
use thiserror::Error;

/// Why a view has stopped, or can't answer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The rows were made from another history than the store's.
    #[error(
        "view {view} was made from events that this store does not have (the last of them at \
         position {position}). The store was probably restored from a backup. Rebuild the view"
    )]
    OtherHistory {
        /// The view.
        view: String,
        /// The position of the last event in the rows.
        position: u64,
    },
    /// The rows were made by another version of the view, or by another view.
    #[error("the rows were made by {found}, expected {wanted}: rebuild the view beside them")]
    OtherLogic {
        /// The name and version that made them.
        found: String,
        /// The expected name and version.
        wanted: String,
    },
    /// Another process writes the same rows.
    #[error("view {view} was overtaken: another process writes its rows; stop one of the two")]
    Overtaken {
        /// The view.
        view: String,
    },
    /// The view did not reach the cursor before the deadline.
    #[error("the view did not reach {cursor} before {deadline}; retry later")]
    Late {
        /// The cursor that was asked for.
        cursor: Cursor,
        /// The deadline.
        deadline: Timestamp,
    },
    /// An event can't be applied.
    #[error("{message}")]
    Event {
        /// The error message.
        message: String,
    },
    /// The rows can't be read or written.
    #[error("the rows can't be read or written: {message}")]
    Rows {
        /// The error message.
        message: String,
    },
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ViewError {
    /// Returns the error for an event that can't be applied.
    pub fn event(message: impl Into<String>) -> Self {
        ViewError::Event { message: message.into() }
    }

    pub(crate) fn rows(error: impl std::fmt::Display) -> Self {
        ViewError::Rows { message: error.to_string() }
    }
}

impl From<crate::Undecodable> for ViewError {
    fn from(error: crate::Undecodable) -> Self {
        ViewError::event(error.to_string())
    }
}

impl Coded for ViewError {
    fn code(&self) -> &'static str {
        match self {
            ViewError::OtherHistory { .. } => "view_of_other_history",
            ViewError::OtherLogic { .. } => "view_of_other_logic",
            ViewError::Overtaken { .. } => "view_overtaken",
            ViewError::Late { .. } => "view_late",
            ViewError::Event { .. } => "view_event_unusable",
            ViewError::Rows { .. } => "view_rows_failed",
            ViewError::Read(error) => error.code(),
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            ViewError::Late { .. } => true,
            ViewError::Read(error) => error.can_retry(),
            _ => false,
        }
    }
}
