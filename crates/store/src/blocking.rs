//! The calls of a store for callers that are not async: they run on the caller's thread.

use crate::embedded::{Embedded, Hand, LiveSubscription};
use leftfold_api::{
    Append, AppendError, Appended, Cursor, EventStore, Expected, From, IndexDefinition, IndexInfo,
    Page, Query, Read, ReadError, Retention, RetentionRule, StreamInfo, Streams, StreamsPage,
    Subscribe,
};

/// An embedded store, without async. Each call means what it means in
/// [`EventStore`].
#[derive(Clone, Copy)]
pub struct Blocking<'a> {
    store: &'a Embedded,
}

impl<'a> Blocking<'a> {
    pub(crate) fn new(store: &'a Embedded) -> Self {
        Blocking { store }
    }

    /// Writes all of an append, or nothing.
    pub fn append(&self, append: Append) -> Result<Appended, AppendError> {
        pollster::block_on(self.store.write_by(append, Hand::Caller))
    }

    /// Reads one page.
    pub fn read(&self, read: Read) -> Result<Page, ReadError> {
        if let Some(cursor) = &read.at_least {
            pollster::block_on(self.store.core.durable_cursor(cursor))?;
        }
        self.store.core.read(&read)
    }

    /// Subscribes; ask it by [`LiveSubscription::next_blocking`].
    pub fn subscribe(&self, subscribe: Subscribe) -> Result<LiveSubscription, ReadError> {
        LiveSubscription::start(self.store.core.clone(), None, subscribe)
    }

    /// After the last durable event.
    pub fn head(&self) -> Cursor {
        self.store.core.head_cursor()
    }

    /// A stream, or none if it has no events.
    pub fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        self.store.core.stream(name)
    }

    /// Lists streams in the order in which they began.
    pub fn streams(&self, streams: &Streams) -> Result<StreamsPage, ReadError> {
        self.store.core.streams(streams)
    }

    /// Where a checkpoint is.
    pub fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        self.store.core.definitions.checkpoint(name)
    }

    /// Sets what is kept of a stream.
    pub fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        pollster::block_on(EventStore::set_retention(self.store, stream, retention))
    }

    /// Deletes the events that a stream has; it goes on counting.
    pub fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        pollster::block_on(EventStore::delete_stream(self.store, stream, expected))
    }

    /// Deletes a stream's events and closes it for ever.
    pub fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        pollster::block_on(EventStore::tombstone_stream(self.store, stream, expected))
    }

    /// Defines a rule of retention, in the place of the one of its name.
    pub fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        pollster::block_on(EventStore::set_retention_rule(self.store, rule))
    }

    /// Forgets a rule of retention.
    pub fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        pollster::block_on(EventStore::drop_retention_rule(self.store, name))
    }

    /// The rules of retention, by name.
    pub fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        pollster::block_on(EventStore::retention_rules(self.store))
    }

    /// Returns the ordinal of the first event that a forward read would yield from there.
    pub fn ordinal(&self, query: Query, from: From) -> Result<u64, ReadError> {
        self.store.core.ordinal(query, from)
    }

    /// Defines a named index, and returns when it lists all past events.
    pub fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        pollster::block_on(self.store.define(definition))
    }

    /// Forgets a named index.
    pub fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        pollster::block_on(self.store.undefine(name))
    }

    /// A named index, or none of this name.
    pub fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        self.store.core.index_info(name)
    }

    /// The named indexes, by name.
    pub fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.store.core.index_infos()
    }
}
