//! Type-erased stores and subscriptions.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::append::{Append, Appended, Expected};
use crate::cursor::Cursor;
use crate::error::{AppendError, ReadError};
use crate::event_store::{EventStore, Subscription};
use crate::index::{IndexDefinition, IndexInfo};
use crate::query::Query;
use crate::read::{
    CheckpointInfo, Delivery, Page, Read, Start, StreamInfo, Streams, StreamsPage, Subscribe,
};
use crate::retention::{Retention, RetentionRule};

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A store of any kind, for programs that choose it when they start. Its clones share the store.
///
/// Everything that takes an [`EventStore`] takes it. Where an `Arc` of a store is wanted, pass
/// `Arc::new(store.clone())`. A call costs one allocation more than a call of the
/// store itself.
///
/// ```
/// # use leftfold_api::{Cursor, DynStore, EventStore, ReadError};
/// # use std::sync::Arc;
/// async fn head_of(store: &DynStore) -> Result<Cursor, ReadError> {
///     store.head().await
/// }
///
/// fn any_store(store: impl EventStore + 'static) -> DynStore {
///     Arc::new(store)
/// }
/// ```
pub type DynStore = Arc<dyn ErasedStore>;

/// A running subscription of any store.
pub type DynSubscription = Box<dyn ErasedSubscription>;

/// A type-erased [`EventStore`]. Every `EventStore` implements it, and `dyn ErasedStore` implements
/// `EventStore`.
pub trait ErasedStore: Send + Sync {
    /// Calls [`EventStore::append`].
    fn erased_append<'a>(&'a self, append: Append) -> BoxFuture<'a, Result<Appended, AppendError>>;

    /// Calls [`EventStore::read`].
    fn erased_read<'a>(&'a self, read: Read) -> BoxFuture<'a, Result<Page, ReadError>>;

    /// Calls [`EventStore::head`].
    fn erased_head<'a>(&'a self) -> BoxFuture<'a, Result<Cursor, ReadError>>;

    /// Calls [`EventStore::stream`].
    fn erased_stream<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<StreamInfo>, ReadError>>;

    /// Calls [`EventStore::streams`].
    fn erased_streams<'a>(
        &'a self,
        streams: Streams,
    ) -> BoxFuture<'a, Result<StreamsPage, ReadError>>;

    /// Calls [`EventStore::checkpoint`].
    fn erased_checkpoint<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Cursor>, ReadError>>;

    /// Calls [`EventStore::ordinal`].
    fn erased_ordinal<'a>(
        &'a self,
        query: Query,
        from: Start,
    ) -> BoxFuture<'a, Result<u64, ReadError>>;

    /// Calls [`EventStore::set_retention`].
    fn erased_set_retention<'a>(
        &'a self,
        stream: &'a str,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), AppendError>>;

    /// Calls [`EventStore::delete_stream`].
    fn erased_delete_stream<'a>(
        &'a self,
        stream: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), AppendError>>;

    /// Calls [`EventStore::tombstone_stream`].
    fn erased_tombstone_stream<'a>(
        &'a self,
        stream: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), AppendError>>;

    /// Calls [`EventStore::set_retention_rule`].
    fn erased_set_retention_rule<'a>(
        &'a self,
        rule: RetentionRule,
    ) -> BoxFuture<'a, Result<(), AppendError>>;

    /// Calls [`EventStore::drop_retention_rule`].
    fn erased_drop_retention_rule<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), AppendError>>;

    /// Calls [`EventStore::checkpoints`].
    fn erased_checkpoints<'a>(
        &'a self,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<CheckpointInfo>, ReadError>>;

    /// Calls [`EventStore::delete_checkpoint`].
    fn erased_delete_checkpoint<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), AppendError>>;

    /// Calls [`EventStore::retention_rules`].
    fn erased_retention_rules<'a>(&'a self)
    -> BoxFuture<'a, Result<Vec<RetentionRule>, ReadError>>;

    /// Calls [`EventStore::define_index`].
    fn erased_define_index<'a>(
        &'a self,
        definition: IndexDefinition,
    ) -> BoxFuture<'a, Result<(), AppendError>>;

    /// Calls [`EventStore::drop_index`].
    fn erased_drop_index<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), AppendError>>;

    /// Calls [`EventStore::index`].
    fn erased_index<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<IndexInfo>, ReadError>>;

    /// Calls [`EventStore::indexes`].
    fn erased_indexes<'a>(&'a self) -> BoxFuture<'a, Result<Vec<IndexInfo>, ReadError>>;

    /// Calls [`EventStore::subscribe`].
    fn erased_subscribe<'a>(
        &'a self,
        subscribe: Subscribe,
    ) -> BoxFuture<'a, Result<DynSubscription, ReadError>>;
}

impl<T: EventStore> ErasedStore for T {
    fn erased_append<'a>(&'a self, append: Append) -> BoxFuture<'a, Result<Appended, AppendError>> {
        Box::pin(self.append(append))
    }

    fn erased_read<'a>(&'a self, read: Read) -> BoxFuture<'a, Result<Page, ReadError>> {
        Box::pin(self.read(read))
    }

    fn erased_head<'a>(&'a self) -> BoxFuture<'a, Result<Cursor, ReadError>> {
        Box::pin(self.head())
    }

    fn erased_stream<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<StreamInfo>, ReadError>> {
        Box::pin(self.stream(name))
    }

    fn erased_streams<'a>(
        &'a self,
        streams: Streams,
    ) -> BoxFuture<'a, Result<StreamsPage, ReadError>> {
        Box::pin(self.streams(streams))
    }

    fn erased_checkpoint<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Cursor>, ReadError>> {
        Box::pin(self.checkpoint(name))
    }

    fn erased_ordinal<'a>(
        &'a self,
        query: Query,
        from: Start,
    ) -> BoxFuture<'a, Result<u64, ReadError>> {
        Box::pin(self.ordinal(query, from))
    }

    fn erased_set_retention<'a>(
        &'a self,
        stream: &'a str,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.set_retention(stream, retention))
    }

    fn erased_delete_stream<'a>(
        &'a self,
        stream: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.delete_stream(stream, expected))
    }

    fn erased_tombstone_stream<'a>(
        &'a self,
        stream: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.tombstone_stream(stream, expected))
    }

    fn erased_set_retention_rule<'a>(
        &'a self,
        rule: RetentionRule,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.set_retention_rule(rule))
    }

    fn erased_drop_retention_rule<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.drop_retention_rule(name))
    }

    fn erased_checkpoints<'a>(
        &'a self,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<CheckpointInfo>, ReadError>> {
        Box::pin(self.checkpoints(after, limit))
    }

    fn erased_delete_checkpoint<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.delete_checkpoint(name))
    }

    fn erased_retention_rules<'a>(
        &'a self,
    ) -> BoxFuture<'a, Result<Vec<RetentionRule>, ReadError>> {
        Box::pin(self.retention_rules())
    }

    fn erased_define_index<'a>(
        &'a self,
        definition: IndexDefinition,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.define_index(definition))
    }

    fn erased_drop_index<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.drop_index(name))
    }

    fn erased_index<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<IndexInfo>, ReadError>> {
        Box::pin(self.index(name))
    }

    fn erased_indexes<'a>(&'a self) -> BoxFuture<'a, Result<Vec<IndexInfo>, ReadError>> {
        Box::pin(self.indexes())
    }

    fn erased_subscribe<'a>(
        &'a self,
        subscribe: Subscribe,
    ) -> BoxFuture<'a, Result<DynSubscription, ReadError>> {
        Box::pin(async move {
            let subscription = self.subscribe(subscribe).await?;
            Ok(Box::new(subscription) as DynSubscription)
        })
    }
}

macro_rules! event_store_for {
    ($($object:ty),+) => {$(
        impl EventStore for $object {
            type Subscription = DynSubscription;

            async fn append(&self, append: Append) -> Result<Appended, AppendError> {
                self.erased_append(append).await
            }

            async fn read(&self, read: Read) -> Result<Page, ReadError> {
                self.erased_read(read).await
            }

            async fn head(&self) -> Result<Cursor, ReadError> {
                self.erased_head().await
            }

            async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
                self.erased_stream(name).await
            }

            async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
                self.erased_streams(streams).await
            }

            async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
                self.erased_checkpoint(name).await
            }

            async fn checkpoints(
                &self,
                after: Option<String>,
                limit: usize,
            ) -> Result<Vec<CheckpointInfo>, ReadError> {
                self.erased_checkpoints(after, limit).await
            }

            async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
                self.erased_delete_checkpoint(name).await
            }

            async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
                self.erased_ordinal(query, from).await
            }

            async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
                self.erased_set_retention(stream, retention).await
            }

            async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
                self.erased_delete_stream(stream, expected).await
            }

            async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
                self.erased_tombstone_stream(stream, expected).await
            }

            async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
                self.erased_set_retention_rule(rule).await
            }

            async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
                self.erased_drop_retention_rule(name).await
            }

            async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
                self.erased_retention_rules().await
            }

            async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
                self.erased_define_index(definition).await
            }

            async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
                self.erased_drop_index(name).await
            }

            async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
                self.erased_index(name).await
            }

            async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
                self.erased_indexes().await
            }

            async fn subscribe(&self, subscribe: Subscribe) -> Result<DynSubscription, ReadError> {
                self.erased_subscribe(subscribe).await
            }
        }
    )+};
}

event_store_for!(dyn ErasedStore + '_, dyn crate::engine::Engine + '_);

/// A type-erased [`Subscription`]. Every `Subscription` implements it.
pub trait ErasedSubscription: Send {
    /// Calls [`Subscription::next`].
    fn erased_next(&mut self) -> BoxFuture<'_, Result<Delivery, ReadError>>;

    /// Calls [`Subscription::ready`].
    fn erased_ready(&mut self) -> Option<Delivery>;

    /// Calls [`Subscription::advance`].
    fn erased_advance(&mut self) -> BoxFuture<'_, Result<(), ReadError>>;

    /// Calls [`Subscription::cursor`].
    fn erased_cursor(&self) -> Cursor;
}

impl<T: Subscription> ErasedSubscription for T {
    fn erased_next(&mut self) -> BoxFuture<'_, Result<Delivery, ReadError>> {
        Box::pin(self.next())
    }

    fn erased_ready(&mut self) -> Option<Delivery> {
        self.ready()
    }

    fn erased_advance(&mut self) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(self.advance())
    }

    fn erased_cursor(&self) -> Cursor {
        self.cursor()
    }
}

impl Subscription for DynSubscription {
    fn next(&mut self) -> impl Future<Output = Result<Delivery, ReadError>> + Send {
        (**self).erased_next()
    }

    fn ready(&mut self) -> Option<Delivery> {
        (**self).erased_ready()
    }

    fn advance(&mut self) -> impl Future<Output = Result<(), ReadError>> + Send {
        (**self).erased_advance()
    }

    fn cursor(&self) -> Cursor {
        (**self).erased_cursor()
    }
}
