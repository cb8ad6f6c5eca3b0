//! Brings events to the tables, on a thread of their own.

use std::sync::Arc;

use leftfold_fold::view::{Batch, Saved, Sink, ViewError, WriterThread};
use parking_lot::Mutex;

use super::rows::{ApplyError, Rows};

/// The tables of a view, filled by a runner.
pub(crate) struct SqliteSink {
    rows: Arc<Mutex<Rows>>,
    thread: WriterThread,
}

impl SqliteSink {
    pub(crate) fn new(rows: Rows) -> Self {
        SqliteSink { rows: Arc::new(Mutex::new(rows)), thread: WriterThread::new() }
    }

    /// Returns the tables.
    pub(crate) fn rows(&self) -> Arc<Mutex<Rows>> {
        self.rows.clone()
    }
}

impl From<ApplyError> for ViewError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::CodeMissing { view, logic } => ViewError::CodeMissing { view, logic },
            ApplyError::Event { .. } => ViewError::event(error.to_string()),
            ApplyError::TooManyParked { .. } => {
                ViewError::TooManyParked { message: error.to_string() }
            }
            other => ViewError::rows(other),
        }
    }
}

impl Sink for SqliteSink {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        let rows = self.rows.clone();
        self.thread.call(move || Ok(rows.lock().saved()?)).await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        let (rows, batch) = (self.rows.clone(), batch.clone());
        let commit = move || match rows.lock().apply(&batch.events, batch.from.as_ref(), &batch.to)
        {
            Ok(()) => Ok(true),
            Err(ApplyError::Overtaken) => Ok(false),
            Err(other) => Err(other.into()),
        };
        self.thread.call(commit).await
    }
}
