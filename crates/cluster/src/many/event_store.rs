//! The contract, for a client of the store.

use futures_util::future::try_join_all;
use leftfold_api::{
    Append, AppendError, Appended, CheckpointInfo, Cursor, EventStore, Expected, IndexDefinition,
    IndexInfo, Page, Query, Read, ReadError, Retention, RetentionRule, Start, StreamInfo, Streams,
    StreamsPage, Subscribe, names,
};

use super::{MergedSubscription, Part, PartitionedStore};

impl<S: Part> PartitionedStore<S> {
    /// Returns the partition of a stream or a checkpoint.
    fn home(&self, name: &str) -> &S {
        self.shared.partition(self.shared.home(name))
    }
}

impl<S: Part> EventStore for PartitionedStore<S> {
    type Subscription = MergedSubscription<S>;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.append_to_partition(append).await
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        self.read_page(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<MergedSubscription<S>, ReadError> {
        MergedSubscription::start(self.shared.clone(), subscribe).await
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        Ok(self.shared.cursor(&self.shared.heads().await?))
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        self.home(name).stream(name).await
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        self.shared.streams(streams).await
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        names::check("checkpoint", name)?;
        self.home(name).checkpoint(name).await
    }

    async fn set_retention(&self, stream: &str, wanted: Retention) -> Result<(), AppendError> {
        self.home(stream).set_retention(stream, wanted).await
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.home(stream).delete_stream(stream, expected).await
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.home(stream).tombstone_stream(stream, expected).await
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        self.define_rule(rule).await
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        self.drop_rule(name).await
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        let parts = self.partitions().map(|store| store.checkpoints(after.clone(), limit));
        let mut all = try_join_all(parts).await?.concat();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.truncate(limit);
        Ok(all)
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        names::check("checkpoint", name)?;
        self.home(name).delete_checkpoint(name).await
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        self.shared.first().retention_rules().await
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        self.shared.ordinal(query, from).await
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        self.define(definition).await
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        self.undefine(name).await
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        self.index_info(name).await
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.index_infos().await
    }
}
