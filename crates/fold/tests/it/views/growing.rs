//! A store that gets an event after each read, as another client may append one at any moment.

use std::sync::Arc;

use leftfold::view::{MemoryRows, RedbRows, ViewRunner};
use leftfold::{
    Append, AppendError, Appended, CheckpointInfo, Coded, Cursor, Embedded, EventStore, Expected,
    IndexDefinition, IndexInfo, Page, Query, Read, ReadError, Retention, RetentionRule, Start,
    StreamInfo, Streams, StreamsPage, Subscribe,
};
use leftfold_io::fake::{Crash, FakeDisk};

use super::support::*;

struct GrowingStore(Arc<Embedded>);

impl EventStore for GrowingStore {
    type Subscription = <Embedded as EventStore>::Subscription;

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        let page = self.0.read(read).await;
        append(&self.0, "order-9", "Happened");
        page
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<Self::Subscription, ReadError> {
        EventStore::subscribe(&*self.0, subscribe).await
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.0.append(append).await
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        self.0.head().await
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        self.0.stream(name).await
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        self.0.streams(streams).await
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        self.0.checkpoint(name).await
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        self.0.ordinal(query, from).await
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        self.0.set_retention(stream, retention).await
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.0.delete_stream(stream, expected).await
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.0.tombstone_stream(stream, expected).await
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        self.0.set_retention_rule(rule).await
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        self.0.drop_retention_rule(name).await
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        self.0.checkpoints(after, limit).await
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        self.0.delete_checkpoint(name).await
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        self.0.retention_rules().await
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        self.0.define_index(definition).await
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        self.0.drop_index(name).await
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        self.0.index(name).await
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.0.indexes().await
    }
}

/// The restored store is as long as before by the time its head is asked for.
#[test]
fn a_view_of_another_history_is_refused_while_the_store_goes_on() {
    let disk = FakeDisk::new();
    let store = open(&disk);
    append(&store, "order-1", "Happened");
    let older = disk.after(Crash::Keeps);
    append(&store, "order-1", "Happened");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("counts.redb");
    let view = ViewRunner::new(Counts::default(), store, RedbRows::open(&file).unwrap());
    pollster::block_on(view.catch_up()).unwrap();
    drop(view);
    let restored = Arc::new(GrowingStore(open(&older)));
    let rows = RedbRows::open(&file).unwrap();
    let view = ViewRunner::new(Counts::default(), restored.clone(), rows);
    let error = pollster::block_on(view.catch_up()).unwrap_err();
    assert_eq!(error.code(), "view_of_other_history");
    // Tables that are filled anew have it all.
    let view = ViewRunner::new(Counts::default(), restored, MemoryRows::default());
    pollster::block_on(view.catch_up()).unwrap();
    assert!(all(&*view.rows()).len() > 1);
}
