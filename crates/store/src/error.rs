//! The errors of opening a store, with their codes.

use leftfold_api::{Coded, Failure};
use thiserror::Error;

/// Why a store can't be opened.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log can't be opened.
    #[error(transparent)]
    Log(#[from] leftfold_log::OpenError),
    /// The contents of the log can't be read.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Coded for OpenError {
    fn code(&self) -> &'static str {
        use leftfold_log::OpenError as Log;
        match self {
            OpenError::Log(Log::Locked(_)) => "store_locked",
            OpenError::Log(Log::Missing(_)) => "store_missing",
            OpenError::Log(Log::Unusable { .. }) => "store_unusable",
            OpenError::Log(Log::Foreign(_)) => "store_foreign",
            OpenError::Log(Log::Damaged(_)) => "data_damaged",
            OpenError::Log(Log::RepairInterrupted) => "repair_interrupted",
            OpenError::Log(Log::Ambiguous(_)) => "repair_ambiguous",
            OpenError::Log(Log::CannotUndo(_)) => "repair_not_undone",
            OpenError::Log(_) => "disk_failed",
            OpenError::Failure(failure) => failure.code(),
        }
    }

    fn can_retry(&self) -> bool {
        matches!(self, OpenError::Log(leftfold_log::OpenError::Locked(_)))
    }
}

macro_rules! open_error_from {
    ($($from:ty),*) => {$(
        impl From<$from> for OpenError {
            fn from(error: $from) -> Self {
                Failure::from(error).into()
            }
        }
    )*};
}

open_error_from!(leftfold_log::ReadError, leftfold_index::IndexError);
