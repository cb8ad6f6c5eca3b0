//! What the errors of the index mean to the caller of a store.

use leftfold_api::{AppendError, Failure, ReadError};

use crate::error::IndexError;

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        let message = error.to_string();
        match error {
            IndexError::Damaged { .. } => Failure::IndexDamaged { message },
            IndexError::Io { file, source } => Failure::of_disk(file, &source),
            IndexError::Unwritable { file, what } => {
                Failure::Disk { what: file, message: format!("cannot be written: {what}") }
            }
        }
    }
}

impl From<IndexError> for AppendError {
    fn from(error: IndexError) -> Self {
        Failure::from(error).into()
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        Failure::from(error).into()
    }
}
