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
    /// The view is in Rust, and this process does not have its code.
    #[error(
        "view {view} is in Rust, and this program does not have its code (logic {logic}): run the program \
         that registers it; the rows stay as they are until then"
    )]
    CodeMissing {
        /// The view.
        view: String,
        /// The version of the code.
        logic: u32,
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
    /// No run of the view brings the events that were asked for.
    #[error("view {view} does not run any more: run it and retry")]
    Stopped {
        /// The view.
        view: String,
    },
    /// A subscriber to changes does not get some of them.
    #[error(
        "changes of view {view} were dropped, because the subscriber was too slow or the rows were \
         rebuilt: read the rows again, later changes follow"
    )]
    ChangesLost {
        /// The view.
        view: String,
    },
    /// An event can't be applied: what [`View::apply`](super::View::apply) and
    /// [`Sink::commit`](super::Sink::commit) return. A run returns
    /// [`StoppedBefore`](ViewError::StoppedBefore).
    #[error("{message}")]
    Event {
        /// The error message.
        message: String,
    },
    /// More events that can't be applied would have to be put aside than a view may have: what
    /// [`Sink::commit`](super::Sink::commit) returns. All events before are committed.
    #[error("{message}")]
    TooManyParked {
        /// The error message.
        message: String,
    },
    /// A run has stopped before an event that can't be applied. All events before it are committed.
    #[error(
        "view {view} stopped before event {event_type} at position {position} in stream {stream}, \
         which can't be applied: {message}"
    )]
    StoppedBefore {
        /// The view.
        view: String,
        /// The event's position.
        position: u64,
        /// Its stream.
        stream: String,
        /// Its type.
        event_type: String,
        /// Why it can't be applied.
        message: String,
    },
    /// A typed row can't be read or written.
    #[error("view {view}, row {key}: {message}")]
    Row {
        /// The view.
        view: String,
        /// The row's key, as JSON.
        key: String,
        /// The error message.
        message: String,
    },
    /// The rows can't be read or written.
    #[error("the rows can't be read or written: {message}")]
    Rows {
        /// The error message.
        message: String,
    },
    /// The database that a view names can't be used as it is named.
    #[error("{message}")]
    Target {
        /// What is wrong, and what to do. It has no secret.
        message: String,
    },
    /// Tables that this store has not made are in the place of the view's.
    #[error(
        "the schema {schema} is there already, and this store has not made it; remove it or choose another name \
         for the view"
    )]
    SchemaTaken {
        /// The schema.
        schema: String,
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

    /// Returns the error for rows, or a database, that can't be read or written, for implementations of
    /// [`RowStore`](super::RowStore) and [`Sink`](super::Sink). The next run retries.
    pub fn rows(error: impl std::fmt::Display) -> Self {
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
            ViewError::CodeMissing { .. } => "view_code_missing",
            ViewError::Overtaken { .. } => "view_overtaken",
            ViewError::Late { .. } => "view_late",
            ViewError::Stopped { .. } => "view_stopped",
            ViewError::ChangesLost { .. } => "view_changes_lost",
            ViewError::Event { .. } | ViewError::StoppedBefore { .. } => "view_event_unusable",
            ViewError::TooManyParked { .. } => "view_parked_too_many",
            ViewError::Row { .. } => "view_row_unusable",
            ViewError::Rows { .. } => "view_rows_failed",
            ViewError::Target { .. } => "view_target_unusable",
            ViewError::SchemaTaken { .. } => "view_schema_taken",
            ViewError::Read(error) => error.code(),
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            ViewError::Late { .. }
            | ViewError::Stopped { .. }
            | ViewError::ChangesLost { .. }
            | ViewError::Target { .. }
            | ViewError::Rows { .. } => true,
            ViewError::Read(error) => error.can_retry(),
            _ => false,
        }
    }
}
