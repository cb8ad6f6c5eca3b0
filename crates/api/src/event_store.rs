use std::future::Future;

use crate::append::{Append, Appended, Expected};
use crate::cursor::Cursor;
use crate::error::{AppendError, ReadError};
use crate::index::{IndexDefinition, IndexInfo};
use crate::query::Query;
use crate::read::{
    CheckpointInfo, Delivery, Page, Read, Start, StreamInfo, Streams, StreamsPage, Subscribe,
};
use crate::retention::{Retention, RetentionRule};

/// An event store: embedded, or at the other end of a network.
///
/// The futures need no particular runtime. The suite in `conformance` checks that every implementation
/// keeps the same promises.
pub trait EventStore: Send + Sync {
    /// A running subscription.
    type Subscription: Subscription + 'static;

    /// Writes an append as a whole, or nothing of it, and returns when it is durable.
    ///
    /// If the future is dropped, the append may still be written. Retry with the same event ids to find
    /// out.
    fn append(&self, append: Append) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Reads one page. It has no gaps: no event can appear later between those that it yields.
    fn read(&self, read: Read) -> impl Future<Output = Result<Page, ReadError>> + Send;

    /// Subscribes to a query: delivers stored events, then new ones, without gaps, repetitions or
    /// reordering.
    fn subscribe(
        &self,
        subscribe: Subscribe,
    ) -> impl Future<Output = Result<Self::Subscription, ReadError>> + Send;

    /// Returns the cursor behind the last durable event.
    fn head(&self) -> impl Future<Output = Result<Cursor, ReadError>> + Send;

    /// Returns a stream, or `None` if it has no events.
    fn stream(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<StreamInfo>, ReadError>> + Send;

    /// Lists streams in the order in which they began.
    fn streams(
        &self,
        streams: Streams,
    ) -> impl Future<Output = Result<StreamsPage, ReadError>> + Send;

    /// Returns the cursor of a checkpoint, or `None` if it is not set.
    fn checkpoint(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Cursor>, ReadError>> + Send;

    /// Lists checkpoints by name: those after a name, at most this many.
    fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<CheckpointInfo>, ReadError>> + Send;

    /// Deletes a checkpoint: it is not set any more, so a reader of this name begins anew. A move that
    /// expects the deleted cursor is refused.
    ///
    /// # Errors
    /// `checkpoint_unknown`: it is not set.
    fn delete_checkpoint(&self, name: &str)
    -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Sets the retention of a stream and replaces the one before.
    fn set_retention(
        &self,
        stream: &str,
        retention: Retention,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Deletes the events of a stream, if it is in the expected state. Version numbers continue.
    fn delete_stream(
        &self,
        stream: &str,
        expected: Expected,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Deletes a stream's events and refuses all later appends to it, if it is in the expected state.
    fn tombstone_stream(
        &self,
        stream: &str,
        expected: Expected,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Defines a retention rule, or replaces the rule of this name.
    fn set_retention_rule(
        &self,
        rule: RetentionRule,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Removes a retention rule. Events that it has hidden are visible again, unless they were scavenged.
    fn drop_retention_rule(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Returns the retention rules, ordered by name.
    fn retention_rules(&self)
    -> impl Future<Output = Result<Vec<RetentionRule>, ReadError>> + Send;

    /// Returns the ordinal of the first event that a forward read from this point would yield, or the number
    /// of the query's events if there is none. Events that retention hides count.
    ///
    /// # Errors
    /// `ordinal_needs_index`, unless the query is one stream, one index without partitions or one
    /// partition of an index.
    fn ordinal(
        &self,
        query: Query,
        from: Start,
    ) -> impl Future<Output = Result<u64, ReadError>> + Send;

    /// Defines a named index, and returns when it lists all past events.
    fn define_index(
        &self,
        definition: IndexDefinition,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Removes a named index; its name is free again.
    fn drop_index(&self, name: &str) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Returns a named index, or `None` if there is none of this name.
    fn index(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<IndexInfo>, ReadError>> + Send;

    /// Returns the named indexes, ordered by name.
    fn indexes(&self) -> impl Future<Output = Result<Vec<IndexInfo>, ReadError>> + Send;
}

/// A running subscription. It holds a bounded number of events, also for a slow subscriber.
pub trait Subscription: Send {
    /// Waits for the next delivery.
    fn next(&mut self) -> impl Future<Output = Result<Delivery, ReadError>> + Send;

    /// Returns a delivery that needs neither a wait nor a read. `None` does not mean that the subscription
    /// has caught up. For callers that pass on many deliveries at once.
    fn ready(&mut self) -> Option<Delivery> {
        None
    }

    /// Moves the cursor past events that do not match the query, without waiting for one that does. It may
    /// do nothing.
    fn advance(&mut self) -> impl Future<Output = Result<(), ReadError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Returns the cursor of the subscription, which also moves past events that do not match.
    fn cursor(&self) -> Cursor;
}
