//! Brings events to tables in PostgreSQL.

use leftfold_fold::view::{Batch, Saved, Sink, ViewError};

use super::tables::PostgresTables;

/// Tables that are filled by a runner.
pub(crate) struct PostgresSink(pub(crate) PostgresTables);

impl Sink for PostgresSink {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        self.0.saved().await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        self.0.commit(batch).await
    }
}
