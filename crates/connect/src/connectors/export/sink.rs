//! Takes batches of events.

use std::sync::Arc;

use leftfold_fold::view::{Batch, Saved, Sink, ViewError};
use parking_lot::Mutex;

use super::render::Renderer;
use super::writer::{SavedCell, Writer};
use crate::connectors::directory::run_blocking;

/// Writes the events of a runner into files. What it has taken is durable when its files are whole, so it may be behind
/// what it has answered; after a crash the runner continues after what is durable.
pub(super) struct ExportSink {
    writer: Arc<Mutex<Writer>>,
    renderer: Arc<Renderer>,
    saved: SavedCell,
}

impl ExportSink {
    pub(super) fn new(
        writer: Arc<Mutex<Writer>>,
        renderer: Arc<Renderer>,
        saved: SavedCell,
    ) -> Self {
        ExportSink { writer, renderer, saved }
    }
}

impl Sink for ExportSink {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        Ok(self.saved.lock().clone())
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        let (writer, renderer) = (self.writer.clone(), self.renderer.clone());
        let batch = batch.clone();
        let add = move || {
            // Before anything is written: an event without a row leaves no trace.
            let rows = renderer.render(&batch.events).map_err(ViewError::event)?;
            let added = writer.lock().add(batch.from.as_ref(), &batch.to, rows);
            added.map_err(ViewError::rows)
        };
        run_blocking(add).await.map_err(ViewError::rows)?
    }
}
