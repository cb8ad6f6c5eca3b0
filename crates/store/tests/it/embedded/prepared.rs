//! A store to which something is done before every call, or after every append.

use std::future::Future;

use leftfold_api::{
    Append, AppendError, Appended, Cursor, EventStore, Expected, IndexDefinition, IndexInfo, Page,
    Query, Read, ReadError, Retention, RetentionRule, Start, StreamInfo, Streams, StreamsPage,
    Subscribe,
};
use leftfold_store::{Embedded, LiveSubscription};

pub(crate) struct Prepared {
    pub(crate) store: Embedded,
    /// Done before every call.
    pub(crate) prepare: fn(&Embedded),
    /// Done after every append that was written.
    pub(crate) appended: fn(&Embedded),
}

impl Prepared {
    fn prepared(&self) -> &Embedded {
        (self.prepare)(&self.store);
        &self.store
    }
}

macro_rules! passed_on {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl EventStore for Prepared {
            type Subscription = LiveSubscription;

            async fn append(&self, append: Append) -> Result<Appended, AppendError> {
                let appended = self.prepared().append(append).await?;
                if !appended.repeated {
                    (self.appended)(&self.store);
                }
                Ok(appended)
            }

            $(fn $name(&self, $($arg: $kind),*) -> impl Future<Output = $answer> + Send {
                self.prepared().$name($($arg),*)
            })*
        }
    };
}

passed_on! {
    checkpoints(after: Option<String>, limit: usize) -> Result<Vec<leftfold_api::CheckpointInfo>, ReadError>;
    read(read: Read) -> Result<Page, ReadError>;
    subscribe(subscribe: Subscribe) -> Result<LiveSubscription, ReadError>;
    head() -> Result<Cursor, ReadError>;
    stream(name: &str) -> Result<Option<StreamInfo>, ReadError>;
    streams(streams: Streams) -> Result<StreamsPage, ReadError>;
    checkpoint(name: &str) -> Result<Option<Cursor>, ReadError>;
    set_retention(stream: &str, retention: Retention) -> Result<(), AppendError>;
    delete_stream(stream: &str, expected: Expected) -> Result<(), AppendError>;
    tombstone_stream(stream: &str, expected: Expected) -> Result<(), AppendError>;
    delete_checkpoint(name: &str) -> Result<(), AppendError>;
    set_retention_rule(rule: RetentionRule) -> Result<(), AppendError>;
    drop_retention_rule(name: &str) -> Result<(), AppendError>;
    retention_rules() -> Result<Vec<RetentionRule>, ReadError>;
    ordinal(query: Query, from: Start) -> Result<u64, ReadError>;
    define_index(definition: IndexDefinition) -> Result<(), AppendError>;
    drop_index(name: &str) -> Result<(), AppendError>;
    index(name: &str) -> Result<Option<IndexInfo>, ReadError>;
    indexes() -> Result<Vec<IndexInfo>, ReadError>;
}
