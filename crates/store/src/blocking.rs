//! Blocking calls of a store, which run on the caller's thread.

use crate::embedded::{Embedded, LiveSubscription, WriteThread};
use leftfold_api::{
    Append, AppendError, Appended, CheckpointInfo, Cursor, EventStore, Expected, IndexDefinition,
    IndexInfo, Page, Query, Read, ReadError, Retention, RetentionRule, Start, StreamInfo, Streams,
    StreamsPage, Subscribe,
};

/// The blocking calls of an embedded store. Each does what the call of the same name in [`EventStore`]
/// does.
#[derive(Clone, Copy)]
pub struct Blocking<'a> {
    store: &'a Embedded,
}

impl<'a> Blocking<'a> {
    pub(crate) fn new(store: &'a Embedded) -> Self {
        Blocking { store }
    }

    /// Writes an append as a whole, or nothing of it.
    pub fn append(&self, append: Append) -> Result<Appended, AppendError> {
        pollster::block_on(self.store.write_on(append, WriteThread::Caller))
    }

    /// Reads one page.
    pub fn read(&self, read: Read) -> Result<Page, ReadError> {
        if let Some(cursor) = &read.at_least {
            pollster::block_on(self.store.core.wait_for_cursor(cursor))?;
        }
        self.store.core.read(&read)
    }

    /// Subscribes. Use [`LiveSubscription::next_blocking`] for the deliveries.
    pub fn subscribe(&self, subscribe: Subscribe) -> Result<LiveSubscription, ReadError> {
        LiveSubscription::start(self.store.core.clone(), None, subscribe)
    }

    /// Returns the cursor behind the last durable event.
    pub fn head(&self) -> Cursor {
        self.store.core.head_cursor()
    }

    /// Returns a stream, or `None` if it has no events.
    pub fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        self.store.core.stream(name)
    }

    /// Lists streams in the order in which they began.
    pub fn streams(&self, streams: &Streams) -> Result<StreamsPage, ReadError> {
        self.store.core.streams(streams)
    }

    /// Returns the cursor of a checkpoint, or `None` if it is not set.
    pub fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        self.store.core.definitions.checkpoint(name)
    }

    /// Sets the retention of a stream and replaces the one before.
    pub fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        pollster::block_on(EventStore::set_retention(self.store, stream, retention))
    }

    /// Deletes the events of a stream; version numbers continue.
    pub fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        pollster::block_on(EventStore::delete_stream(self.store, stream, expected))
    }

    /// Deletes a stream's events and refuses all later appends to it.
    pub fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        pollster::block_on(EventStore::tombstone_stream(self.store, stream, expected))
    }

    /// Defines a retention rule, or replaces the rule of this name.
    pub fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        pollster::block_on(EventStore::set_retention_rule(self.store, rule))
    }

    /// Removes a retention rule.
    pub fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        pollster::block_on(EventStore::drop_retention_rule(self.store, name))
    }

    /// Lists checkpoints by name: those after a name, at most this many.
    pub fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        pollster::block_on(EventStore::checkpoints(self.store, after, limit))
    }

    /// Deletes a checkpoint: it is not set any more.
    pub fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        pollster::block_on(EventStore::delete_checkpoint(self.store, name))
    }

    /// Returns the retention rules, ordered by name.
    pub fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        pollster::block_on(EventStore::retention_rules(self.store))
    }

    /// Returns the ordinal of the first event that a forward read from this point would yield.
    pub fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        self.store.core.ordinal(query, from)
    }

    /// Defines a named index, and returns when it lists all past events.
    pub fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        pollster::block_on(self.store.define(definition))
    }

    /// Removes a named index.
    pub fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        pollster::block_on(self.store.remove_index(name))
    }

    /// Returns a named index, or `None` if there is none of this name.
    pub fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        self.store.core.index_info(name)
    }

    /// Returns the named indexes, ordered by name.
    pub fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.store.core.index_infos()
    }
}
