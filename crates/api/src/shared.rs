//! Implements [`EventStore`] for references and `Arc`s of stores.

use std::future::Future;
use std::sync::Arc;

use crate::append::{Append, Appended, Expected};
use crate::cursor::Cursor;
use crate::error::{AppendError, ReadError};
use crate::event_store::EventStore;
use crate::index::{IndexDefinition, IndexInfo};
use crate::query::Query;
use crate::read::{CheckpointInfo, Page, Read, Start, StreamInfo, Streams, StreamsPage, Subscribe};
use crate::retention::{Retention, RetentionRule};

macro_rules! forward {
    ($($shared:ty),+) => {$(
        impl<T: EventStore + ?Sized> EventStore for $shared {
            type Subscription = T::Subscription;

            fn append(&self, append: Append) -> impl Future<Output = Result<Appended, AppendError>> + Send {
                (**self).append(append)
            }

            fn read(&self, read: Read) -> impl Future<Output = Result<Page, ReadError>> + Send {
                (**self).read(read)
            }

            fn head(&self) -> impl Future<Output = Result<Cursor, ReadError>> + Send {
                (**self).head()
            }

            fn stream(&self, name: &str) -> impl Future<Output = Result<Option<StreamInfo>, ReadError>> + Send {
                (**self).stream(name)
            }

            fn streams(&self, streams: Streams) -> impl Future<Output = Result<StreamsPage, ReadError>> + Send {
                (**self).streams(streams)
            }

            fn checkpoint(&self, name: &str) -> impl Future<Output = Result<Option<Cursor>, ReadError>> + Send {
                (**self).checkpoint(name)
            }

            fn ordinal(&self, query: Query, from: Start) -> impl Future<Output = Result<u64, ReadError>> + Send {
                (**self).ordinal(query, from)
            }

            fn set_retention(&self, stream: &str, retention: Retention) -> impl Future<Output = Result<(), AppendError>> + Send {
                (**self).set_retention(stream, retention)
            }

            fn delete_stream(&self, stream: &str, expected: Expected) -> impl Future<Output = Result<(), AppendError>> + Send {
                (**self).delete_stream(stream, expected)
            }

            fn tombstone_stream(&self, stream: &str, expected: Expected) -> impl Future<Output = Result<(), AppendError>> + Send {
                (**self).tombstone_stream(stream, expected)
            }

            fn set_retention_rule(&self, rule: RetentionRule) -> impl Future<Output = Result<(), AppendError>> + Send {
                (**self).set_retention_rule(rule)
            }

            fn drop_retention_rule(&self, name: &str) -> impl Future<Output = Result<(), AppendError>> + Send {
                (**self).drop_retention_rule(name)
            }

            fn checkpoints(&self, after: Option<String>, limit: usize) -> impl Future<Output = Result<Vec<CheckpointInfo>, ReadError>> + Send {
                (**self).checkpoints(after, limit)
            }

            fn delete_checkpoint(&self, name: &str) -> impl Future<Output = Result<(), AppendError>> + Send {
                (**self).delete_checkpoint(name)
            }

            fn retention_rules(&self) -> impl Future<Output = Result<Vec<RetentionRule>, ReadError>> + Send {
                (**self).retention_rules()
            }

            fn define_index(&self, definition: IndexDefinition) -> impl Future<Output = Result<(), AppendError>> + Send {
                (**self).define_index(definition)
            }

            fn drop_index(&self, name: &str) -> impl Future<Output = Result<(), AppendError>> + Send {
                (**self).drop_index(name)
            }

            fn index(&self, name: &str) -> impl Future<Output = Result<Option<IndexInfo>, ReadError>> + Send {
                (**self).index(name)
            }

            fn indexes(&self) -> impl Future<Output = Result<Vec<IndexInfo>, ReadError>> + Send {
                (**self).indexes()
            }

            fn subscribe(
                &self,
                subscribe: Subscribe,
            ) -> impl Future<Output = Result<Self::Subscription, ReadError>> + Send {
                (**self).subscribe(subscribe)
            }
        }
    )+};
}

forward!(&T, Arc<T>);
