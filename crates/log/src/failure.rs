//! What the errors of the log mean to the caller of a store.

use std::io;

use leftfold_api::{
    AppendError, Coded, Failure, ReadError as StoreReadError, is_out_of_descriptors,
};

use crate::backup::BackupError;
use crate::error::{ReadError, WriteError};
use crate::ownership::Replaced;
use crate::rewrite::RewriteError;

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Failure::Damaged { message: damage.to_string() },
            ReadError::Io { file, source } => Failure::of_disk(file, &source),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let message = error.to_string();
        match error {
            WriteError::DiskFull { .. } => Failure::DiskFull { message },
            WriteError::OutOfDescriptors { .. } => Failure::OutOfDescriptors { message },
            WriteError::Failed { .. } | WriteError::OwnershipLost { .. } => {
                Failure::Write { message }
            }
            WriteError::Replaced { .. } => Failure::Replaced { message },
            WriteError::ReadOnly => Failure::ReadOnly { message },
            WriteError::Closed => Failure::Closed,
        }
    }
}

/// Returns the failure of an operation that changes files of a store.
fn failure_of(what: &str, error: &io::Error) -> Failure {
    match Replaced::of(error) {
        Some(replaced) => WriteError::Replaced { reason: replaced.to_string() }.into(),
        None => Failure::of_disk(what, error),
    }
}

impl From<RewriteError> for Failure {
    fn from(error: RewriteError) -> Self {
        let what = "writing a segment again";
        match error {
            RewriteError::Read(error) => error.into(),
            RewriteError::Io(source) => failure_of(what, &source),
            RewriteError::NotSealed(_) | RewriteError::Stopped => {
                Failure::Disk { what: what.to_owned(), message: error.to_string() }
            }
        }
    }
}

macro_rules! through_failure {
    ($($from:ty => $to:ty),*) => {$(
        impl From<$from> for $to {
            fn from(error: $from) -> Self {
                Failure::from(error).into()
            }
        }
    )*};
}

through_failure! {
    ReadError => AppendError,
    ReadError => StoreReadError,
    WriteError => AppendError,
    WriteError => StoreReadError
}

impl Coded for BackupError {
    fn code(&self) -> &'static str {
        match self {
            BackupError::Foreign { .. } => "backup_foreign",
            BackupError::Missing(_) => "backup_missing",
            BackupError::Damaged { .. } => "backup_damaged",
            BackupError::Locked(_) => "backup_locked",
            BackupError::NotEmpty { .. } => "restore_not_empty",
            BackupError::Stopped => "store_closed",
            BackupError::Read(ReadError::Damaged(_)) => "data_damaged",
            BackupError::Io { source, .. } if is_full(source) => "disk_full",
            BackupError::Read(ReadError::Io { source, .. }) | BackupError::Io { source, .. }
                if is_out_of_descriptors(source) =>
            {
                "descriptors_exhausted"
            }
            BackupError::Read(ReadError::Io { .. }) | BackupError::Io { .. } => "disk_failed",
        }
    }

    fn can_retry(&self) -> bool {
        matches!(self, BackupError::Locked(_)) || self.code() == "descriptors_exhausted"
    }
}

/// Whether there was no space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&error.kind())
}
