use std::future::Future;

use crate::append::{Append, Appended, Expected};
use crate::cursor::Cursor;
use crate::error::{AppendError, ReadError};
use crate::index::{IndexDefinition, IndexInfo};
use crate::query::Query;
use crate::read::{Delivery, From, Page, Read, StreamInfo, Streams, StreamsPage, Subscribe};
use crate::retention::{Retention, RetentionRule};

/// An event store: embedded, or at the other end of a network.
///
/// The futures need no particular runtime. What each call promises is the same for every
/// implementation and is checked by the suite in `conformance`.
pub trait EventStore: Send + Sync {
    /// A running subscription.
    type Subscription: Subscription;

    /// Writes all of an append, or nothing. The answer comes when it is durable.
    ///
    /// Dropping the future may leave the append written or not; repeat it with the same event ids
    /// to know.
    fn append(&self, append: Append) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Reads one page: always a prefix of the truth.
    fn read(&self, read: Read) -> impl Future<Output = Result<Page, ReadError>> + Send;

    /// Delivers what a query yields: history, then what comes, without gap, repetition or
    /// reordering between.
    fn subscribe(
        &self,
        subscribe: Subscribe,
    ) -> impl Future<Output = Result<Self::Subscription, ReadError>> + Send;

    /// After the last durable event.
    fn head(&self) -> impl Future<Output = Result<Cursor, ReadError>> + Send;

    /// A stream, or none if it has no events.
    fn stream(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<StreamInfo>, ReadError>> + Send;

    /// Lists streams in the order in which they began.
    fn streams(
        &self,
        streams: Streams,
    ) -> impl Future<Output = Result<StreamsPage, ReadError>> + Send;

    /// Where a checkpoint is.
    fn checkpoint(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Cursor>, ReadError>> + Send;

    /// Sets what is kept of a stream, in the place of what was set before.
    fn set_retention(
        &self,
        stream: &str,
        retention: Retention,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Deletes the events that a stream has, if it is where it is expected. It goes on counting:
    /// its next event has the next version.
    fn delete_stream(
        &self,
        stream: &str,
        expected: Expected,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Deletes a stream's events and closes it for ever, if it is where it is expected.
    fn tombstone_stream(
        &self,
        stream: &str,
        expected: Expected,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Defines a rule of retention, in the place of the one of its name.
    fn set_retention_rule(
        &self,
        rule: RetentionRule,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Forgets a rule. What it has hidden is seen again, unless it was scavenged.
    fn drop_retention_rule(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// The rules of retention, by name.
    fn retention_rules(&self)
    -> impl Future<Output = Result<Vec<RetentionRule>, ReadError>> + Send;

    /// Returns the ordinal of the first event that a forward read would yield from there, or the
    /// number of the query's events if there is none. Events that retention hides count.
    ///
    /// # Errors
    /// `ordinal_needs_index`, unless the query is one stream, one index without partitions or one
    /// partition of an index.
    fn ordinal(
        &self,
        query: Query,
        from: From,
    ) -> impl Future<Output = Result<u64, ReadError>> + Send;

    /// Defines a named index, and returns when it lists all past events.
    fn define_index(
        &self,
        definition: IndexDefinition,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Forgets a named index; its name is free again.
    fn drop_index(&self, name: &str) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// A named index, or none of this name.
    fn index(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<IndexInfo>, ReadError>> + Send;

    /// The named indexes, by name.
    fn indexes(&self) -> impl Future<Output = Result<Vec<IndexInfo>, ReadError>> + Send;
}

/// A running subscription. Holds a bounded number of events, however slow its user is.
pub trait Subscription: Send {
    /// The next delivery; waits for it.
    fn next(&mut self) -> impl Future<Output = Result<Delivery, ReadError>> + Send;

    /// A delivery that is already here, without waiting or reading; none says nothing of what is to
    /// come. For whoever hands on many at once.
    fn ready(&mut self) -> Option<Delivery> {
        None
    }

    /// Moves its cursor past events that the query does not want, without waiting for one that it
    /// wants. It may do nothing.
    fn advance(&mut self) -> impl Future<Output = Result<(), ReadError>> + Send {
        std::future::ready(Ok(()))
    }

    /// How far it is: also past events that the query does not want.
    fn cursor(&self) -> Cursor;
}
