use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use leftfold_api::{
    Append, AppendError, Appended, CheckpointInfo, Cursor, Delivery, EventStore, Expected, Failure,
    IndexDefinition, IndexInfo, Page, Query, Read, ReadError, Recorded, Retention, RetentionRule,
    Start, StreamInfo, Streams, StreamsPage, Subscribe, Subscription,
};
use leftfold_io::fake::SeededRandom;
use leftfold_store::{Embedded, LiveSubscription};

/// A store whose behaviour the seed decides: calls and deliveries are delayed, and some appends
/// lose their answer.
pub struct SimStore {
    embedded: Embedded,
    random: Arc<SeededRandom>,
}

/// A subscription whose delays the seed decides.
pub struct SimSubscription {
    inner: LiveSubscription,
    random: Arc<SeededRandom>,
}

/// One of this number of appends loses its answer.
const LOST_ANSWER: u64 = 40;
/// A call is delayed by fewer polls than this.
const MAX_DELAY: u64 = 4;

impl SimStore {
    pub(super) fn new(embedded: Embedded, random: Arc<SeededRandom>) -> Self {
        SimStore { embedded, random }
    }

    pub(super) fn embedded(&self) -> &Embedded {
        &self.embedded
    }

    /// Reads all durable events of a query, without delay. Returns none if the disk is off.
    pub fn look(&self, query: impl Into<Query>) -> Vec<Recorded> {
        let query = query.into();
        let (mut events, mut read) = (Vec::new(), Read::forward(query.clone()));
        while let Ok(page) = self.embedded.blocking().read(read) {
            events.extend(page.events);
            if !page.more {
                break;
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
        events
    }

    /// Delays a call by a random number of polls.
    async fn delay(&self) {
        delay(&self.random).await;
    }

    async fn wait_for_head(&self, cursor: Cursor) {
        poll_fn(|cx| {
            if self.embedded.blocking().head().covers(&cursor) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

async fn delay(random: &SeededRandom) {
    let mut left = random.below(MAX_DELAY);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Subscription for SimSubscription {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        delay(&self.random).await;
        self.inner.next().await
    }

    fn cursor(&self) -> Cursor {
        self.inner.cursor()
    }
}

impl EventStore for SimStore {
    type Subscription = SimSubscription;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.delay().await;
        let answer = self.embedded.append(append).await;
        self.delay().await;
        if answer.is_ok() && self.random.one_in(LOST_ANSWER) {
            // As after a broken connection: the append is written, but the caller gets an error.
            return Err(Failure::Busy { attempts: 0 }.into());
        }
        answer
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        self.delay().await;
        if let Some(cursor) = read.at_least.clone() {
            self.wait_for_head(cursor).await;
        }
        self.embedded.blocking().read(read)
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<SimSubscription, ReadError> {
        self.delay().await;
        let inner = self.embedded.blocking().subscribe(subscribe)?;
        Ok(SimSubscription { inner, random: self.random.clone() })
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        self.delay().await;
        Ok(self.embedded.blocking().head())
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        self.delay().await;
        self.embedded.blocking().stream(name)
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        self.delay().await;
        self.embedded.blocking().streams(&streams)
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        self.delay().await;
        self.embedded.blocking().checkpoint(name)
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        self.embedded.set_retention(stream, retention).await
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.embedded.delete_stream(stream, expected).await
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.embedded.tombstone_stream(stream, expected).await
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        self.embedded.set_retention_rule(rule).await
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        self.embedded.drop_retention_rule(name).await
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        self.embedded.checkpoints(after, limit).await
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        self.embedded.delete_checkpoint(name).await
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        self.embedded.retention_rules().await
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        self.embedded.ordinal(query, from).await
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        self.embedded.define_index(definition).await
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        self.embedded.drop_index(name).await
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        self.embedded.index(name).await
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.delay().await;
        self.embedded.blocking().indexes()
    }
}
