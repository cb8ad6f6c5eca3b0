//! The contract, for a client of any node.

use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Appended, BoxFuture, CheckpointInfo, Cursor, ErasedStore, EventStore,
    Expected, Failure, IndexDefinition, IndexInfo, Page, Query, Read, ReadError, ReadLevel,
    Retention, RetentionRule, Start, StreamInfo, Streams, StreamsPage, Subscribe, names,
};
use leftfold_store::{Embedded, LiveSubscription};

use super::refusal::confirm_refusal;
use super::{ClusterStore, ClusterSubscription, OwnPart, Owner};

/// Calls the owner. A call that only reads may be executed twice.
macro_rules! ask {
    ($store:ident, $safe:literal, $method:ident $(, $argument:expr)*) => {
        $store
            .at_owner($safe, move |owner: Owner| {
                ask!(@call owner, $method $(, $argument)*)
            })
            .await
    };
    (@call $owner:ident, $method:ident) => {
        Box::pin(async move { $owner.store().$method().await })
    };
    (@call $owner:ident, $method:ident, $first:expr) => {{
        let first = $first.clone();
        Box::pin(async move { $owner.store().$method(first).await })
    }};
    (@call $owner:ident, $method:ident, $first:expr, $second:expr) => {{
        let (first, second) = ($first.clone(), $second.clone());
        Box::pin(async move { $owner.store().$method(first, second).await })
    }};
}

/// Calls the owner with a name.
macro_rules! ask_named {
    ($store:ident, $safe:literal, $method:ident, $name:ident $(, $argument:ident)*) => {{
        let name = $name.to_owned();
        $store
            .at_owner($safe, move |owner: Owner| {
                let name = name.clone();
                $(let $argument = $argument.clone();)*
                Box::pin(async move { owner.store().$method(&name $(, $argument)*).await })
            })
            .await
    }};
}

impl EventStore for ClusterStore {
    type Subscription = ClusterSubscription;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.append_of_client(append).await
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        if read.level == ReadLevel::Local {
            return self.read_locally(read).await;
        }
        self.at_owner(true, move |owner: Owner| {
            let read = read.clone();
            Box::pin(async move {
                match owner {
                    Owner::Here(store) => store.read_as_owner(read).await,
                    Owner::There(client) => client.erased_read(read).await,
                }
            })
        })
        .await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<ClusterSubscription, ReadError> {
        ClusterSubscription::start(self.clone(), subscribe).await
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        ask!(self, true, erased_head)
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        ask_named!(self, true, erased_stream, name)
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        ask!(self, true, erased_streams, streams)
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        ask_named!(self, true, erased_checkpoint, name)
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        ask!(self, true, erased_checkpoints, after, limit)
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        ask_named!(self, false, erased_delete_checkpoint, name)
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        ask!(self, true, erased_ordinal, query, from)
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        ask_named!(self, false, erased_set_retention, stream, retention)
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        ask_named!(self, false, erased_delete_stream, stream, expected)
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        ask_named!(self, false, erased_tombstone_stream, stream, expected)
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        ask!(self, false, erased_set_retention_rule, rule)
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        ask_named!(self, false, erased_drop_retention_rule, name)
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        ask!(self, true, erased_retention_rules)
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        let name = definition.name.clone();
        let defined = ask!(self, false, erased_define_index, definition);
        // Queries on this node name the index from now on.
        if defined.is_ok()
            && let Some(copy) = self.last_copy()
        {
            _ = self.catch_up(&copy).await;
            self.wait_for_index(&copy, &name).await;
        }
        defined
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        ask_named!(self, false, erased_drop_index, name)
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        ask_named!(self, true, erased_index, name)
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        ask!(self, true, erased_indexes)
    }
}

/// Calls the copy of this node, if it is the owner's.
macro_rules! own {
    ($part:ident, $method:ident $(, $argument:expr)*) => {
        $part.owned()?.$method($($argument),*).await
    };
}

impl EventStore for OwnPart {
    type Subscription = LiveSubscription;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let copy = self.owned()?;
        let outcome = copy.append_as_named(append).await;
        confirm_refusal(&copy, outcome).await
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        own!(self, read_as_owner, read)
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<LiveSubscription, ReadError> {
        own!(self, subscribe, subscribe)
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        own!(self, head)
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        own!(self, stream, name)
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        own!(self, streams, streams)
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        own!(self, checkpoint, name)
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        own!(self, checkpoints, after, limit)
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        own!(self, delete_checkpoint, name)
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        own!(self, ordinal, query, from)
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        own!(self, set_retention, stream, retention)
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        own!(self, delete_stream, stream, expected)
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        own!(self, tombstone_stream, stream, expected)
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        own!(self, set_retention_rule, rule)
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        own!(self, drop_retention_rule, name)
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        own!(self, retention_rules)
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        own!(self, define_index, definition)
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        own!(self, drop_index, name)
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        own!(self, index, name)
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        own!(self, indexes)
    }
}

/// Reads as the owner, which a linearizable read asks to prove that it still is.
trait ReadAsOwner {
    fn read_as_owner(&self, read: Read) -> BoxFuture<'_, Result<Page, ReadError>>;
}

impl ReadAsOwner for Arc<Embedded> {
    fn read_as_owner(&self, read: Read) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            if read.level == ReadLevel::Linearizable {
                self.barrier().await.map_err(|error| match error {
                    AppendError::Failure(failure) => ReadError::Failure(failure),
                    other => ReadError::Failure(Failure::Write { message: other.to_string() }),
                })?;
            }
            confirm_refusal(self, self.read(read).await).await
        })
    }
}

/// Appends what another node has received: its own events, whose streams begin with `$`, or those of a client.
trait AppendAsNamed {
    fn append_as_named(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;
}

impl AppendAsNamed for Arc<Embedded> {
    fn append_as_named(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        let is_system = append.events().iter().any(|(stream, _)| stream.starts_with(names::SYSTEM));
        match is_system {
            true => Box::pin(Embedded::append_system(self, append)),
            false => Box::pin(EventStore::append(&**self, append)),
        }
    }
}
