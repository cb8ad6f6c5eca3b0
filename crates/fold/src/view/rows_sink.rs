use std::collections::BTreeMap;
use std::sync::Arc;

use super::feed::{ChangedRows, Feed, RecordingRows};
use super::thread::{WriterThread, catch_panic};
use super::{Batch, RowStore, Rows, Saved, Sink, View, ViewError};

/// A view's rows as a sink. If they wait for a disk, they are written on a thread of their own.
pub(super) struct RowsSink<V> {
    pub(super) view: Arc<V>,
    pub(super) rows: Arc<dyn RowStore>,
    /// The subscribers to changes, once the rows are those that answer.
    pub(super) feed: Option<Arc<Feed>>,
    pub(super) thread: WriterThread,
}

impl<V: View> RowsSink<V> {
    async fn call<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&dyn RowStore) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, ViewError> {
        if !self.rows.waits_for_disk() {
            return call(&*self.rows);
        }
        let rows = self.rows.clone();
        self.thread.call(move || call(&*rows)).await
    }
}

impl<V: View> Sink for RowsSink<V> {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        // In the order of the commits: one whose caller is gone may still be in progress.
        self.call(|rows| rows.saved()).await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        let (view, batch, feed) = (self.view.clone(), batch.clone(), self.feed.clone());
        self.call(move |rows| commit(&*view, rows, &batch, feed.as_deref())).await
    }
}

/// Commits a batch, and then publishes its changes, even if the caller of this commit is gone.
fn commit(
    view: &impl View,
    rows: &dyn RowStore,
    batch: &Batch,
    feed: Option<&Feed>,
) -> Result<bool, ViewError> {
    let recording = feed.filter(|feed| feed.has_subscribers());
    let mut changed = BTreeMap::new();
    let mut apply = |rows: &mut dyn Rows| match recording {
        Some(_) => apply_all(view, &mut RecordingRows { rows, changed: &mut changed }, batch),
        None => apply_all(view, rows, batch),
    };
    if !rows.commit(batch.from.as_ref(), &batch.to, &mut apply)? {
        return Ok(false);
    }
    match (recording, feed) {
        (Some(feed), _) => {
            let changes = changed.into_values().filter(|change| change.old != change.new);
            let changes: Vec<_> = changes.collect();
            if !changes.is_empty() {
                feed.publish(ChangedRows { cursor: batch.to.cursor(), changes });
            }
        }
        // Who has subscribed meanwhile may have read the rows before this commit.
        (None, Some(feed)) if !batch.events.is_empty() => feed.lose(),
        _ => {}
    }
    Ok(true)
}

fn apply_all(view: &impl View, rows: &mut dyn Rows, batch: &Batch) -> Result<(), ViewError> {
    batch.events.iter().try_for_each(|event| catch_panic(|| view.apply(rows, event))?)
}
