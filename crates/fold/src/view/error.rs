use leftfold_api::{Coded, Cursor, ReadError, Timestamp};
use thiserror::Error;

/// Why a view does not go on, or can't answer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The store has another history than the one that the rows were made from.
    #[error(
        "view {view} was made from events that this store does not have (the last of them at \
         position {position}): was the store restored? Build the view anew"
    )]
    OtherHistory {
        /// The view.
        view: String,
        /// The position of the last event that it has seen.
        position: u64,
    },
    /// The rows were made by another version of the view, or by another view.
    #[error("the rows are those of {found}, not of {wanted}: build the view anew, beside them")]
    OtherLogic {
        /// What they were made by.
        found: String,
        /// What they should be made by.
        wanted: String,
    },
    /// Somebody else keeps the same rows up to date.
    #[error("view {view} was overtaken: somebody else writes its rows; stop one of the two")]
    Overtaken {
        /// The view.
        view: String,
    },
    /// It did not get there in time.
    #[error("the view is not at {cursor} yet, and would not be waited for after {deadline}")]
    Late {
        /// Where it should have been.
        cursor: Cursor,
        /// When.
        deadline: Timestamp,
    },
    /// An event can't be applied.
    #[error("{message}")]
    Event {
        /// What is wrong with it.
        message: String,
    },
    /// The rows can't be read or written.
    #[error("the rows can't be read or written: {message}")]
    Rows {
        /// What is wrong.
        message: String,
    },
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ViewError {
    /// An event can't be applied.
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
