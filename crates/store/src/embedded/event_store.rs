use super::reading::SHORT_PAGE;
use super::{Embedded, LiveSubscription};
use leftfold_api::{
    Append, AppendError, Appended, CheckpointInfo, Cursor, EventStore, Expected, IndexDefinition,
    IndexInfo, Page, Query, Read, ReadError, Retention, RetentionRule, Start, StreamInfo, Streams,
    StreamsPage, Subscribe,
};

impl EventStore for Embedded {
    type Subscription = LiveSubscription;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.write(append).await
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        if let Some(cursor) = &read.at_least {
            self.core.wait_for_cursor(cursor).await?;
        }
        if let Some(page) = self.core.read_from_memory(&read, SHORT_PAGE) {
            return Ok(page);
        }
        self.read_on_pool(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<LiveSubscription, ReadError> {
        let pool = self.pool.clone();
        self.run_on_pool(move |core| LiveSubscription::start(core.clone(), Some(pool), subscribe))
            .await
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        Ok(self.core.head_cursor())
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        let name = name.to_owned();
        self.run_on_pool(move |core| core.stream(&name)).await
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        self.run_on_pool(move |core| core.streams(&streams)).await
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        self.core.definitions.checkpoint(name)
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        Ok(self.core.definitions.checkpoints_after(after, limit.min(self.core.limits.page_events)))
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        // In a relaxed store the caller may have moved it just now.
        self.core.wait_for_admitted().await?;
        self.write_with_retries(false, || self.core.checkpoint_deletion(name)).await
    }

    async fn set_retention(&self, stream: &str, wanted: Retention) -> Result<(), AppendError> {
        self.write_with_retries(false, || self.core.retention_append(stream, wanted)).await
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        // Each attempt checks the stream's version again; the stream may have moved in between.
        self.write_with_retries(true, || self.core.deletion(stream, expected)).await
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.write_with_retries(false, || self.core.tombstone(stream, expected)).await
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        self.write_with_retries(false, || self.core.rule_definition(&rule)).await
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        self.write_with_retries(false, || self.core.rule_removal(name)).await
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        Ok(self.core.definitions.retention_rules())
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        self.run_on_pool(move |core| core.ordinal(query, from)).await
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        self.define(definition).await
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        self.remove_index(name).await
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        let name = name.to_owned();
        self.run_on_pool(move |core| core.index_info(&name)).await
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.run_on_pool(|core| core.index_infos()).await
    }
}
