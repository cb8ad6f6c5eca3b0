//! A store whose process ends at an append, before the store has it or before the caller has the answer; or that is asked
//! through an owner that was deposed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use event_listener::Event;
use leftfold::{
    Append, AppendError, Appended, CheckpointInfo, Cursor, EventStore, Expected, IndexDefinition,
    IndexInfo, Page, Query, Read, ReadError, Retention, RetentionRule, Start, StreamInfo, Streams,
    StreamsPage, Subscribe,
};
use leftfold_partitioned::Partitioned;
use parking_lot::Mutex;

/// When the process ends.
pub(crate) struct Cut {
    /// The appends that pass.
    left: AtomicI64,
    /// Whether the append at which it ends is written.
    is_written: bool,
    reached: Event,
}

enum Pass {
    Whole,
    Nothing,
    WithoutAnswer,
}

impl Cut {
    pub(crate) fn after(appends: i64, is_written: bool) -> Arc<Self> {
        Arc::new(Cut { left: AtomicI64::new(appends), is_written, reached: Event::new() })
    }

    fn pass(&self) -> Pass {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Pass::Whole,
            0 if self.is_written => Pass::WithoutAnswer,
            _ => {
                self.reached.notify(usize::MAX);
                Pass::Nothing
            }
        }
    }

    /// Waits until the process has ended.
    pub(crate) fn reached(&self) -> event_listener::EventListener {
        self.reached.listen()
    }
}

pub(crate) struct CutStore {
    pub(crate) store: Arc<Partitioned>,
    pub(crate) cut: Arc<Cut>,
    /// The head of the owner that is asked, which lacks all bookkeeping that came later. It answers reads until an append
    /// tells it that it was deposed.
    deposed_at: Mutex<Option<Cursor>>,
}

impl CutStore {
    pub(crate) fn new(store: Arc<Partitioned>, cut: Arc<Cut>) -> Self {
        CutStore { store, cut, deposed_at: Mutex::default() }
    }

    /// Returns a store that is asked through an owner that was deposed at a cursor.
    pub(crate) fn deposed(store: Arc<Partitioned>, at: Cursor) -> Self {
        let store = Self::new(store, Cut::after(i64::MAX, false));
        *store.deposed_at.lock() = Some(at);
        store
    }
}

impl EventStore for CutStore {
    type Subscription = <Partitioned as EventStore>::Subscription;

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        let mut page = self.store.read(read).await?;
        if self.deposed_at.lock().is_some() {
            page.events.retain(|event| !event.stream().starts_with("leftfold."));
        }
        Ok(page)
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<Self::Subscription, ReadError> {
        EventStore::subscribe(&*self.store, subscribe).await
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        *self.deposed_at.lock() = None;
        match self.cut.pass() {
            Pass::Whole => self.store.append(append).await,
            Pass::Nothing => std::future::pending().await,
            Pass::WithoutAnswer => {
                _ = self.store.append(append).await;
                self.cut.reached.notify(usize::MAX);
                std::future::pending().await
            }
        }
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        let deposed_at = self.deposed_at.lock().clone();
        match deposed_at {
            Some(head) => Ok(head),
            None => self.store.head().await,
        }
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        self.store.stream(name).await
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        self.store.streams(streams).await
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        self.store.checkpoint(name).await
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        self.store.ordinal(query, from).await
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        self.store.set_retention(stream, retention).await
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.store.delete_stream(stream, expected).await
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.store.tombstone_stream(stream, expected).await
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        self.store.set_retention_rule(rule).await
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        self.store.drop_retention_rule(name).await
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        self.store.checkpoints(after, limit).await
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        self.store.delete_checkpoint(name).await
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        self.store.retention_rules().await
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        self.store.define_index(definition).await
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        self.store.drop_index(name).await
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        self.store.index(name).await
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.store.indexes().await
    }
}
