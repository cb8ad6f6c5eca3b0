//! Appends drafts to a store in batches, each atomic.
//!
//! **How data flows.** The pipeline collects drafts into batches, in the order of the file. Each
//! batch is one append; while the store commits it, the next batch is read. The store answers that
//! the whole batch is new or repeated. If only a part of it is in the store (from another file),
//! the pipeline appends the batch's records one by one; each is new, repeated or refused.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use leftfold_api::{Append, AppendError, Appended, EventStore, NewEvent, Timestamp};
use uuid::Uuid;

use crate::item::{Draft, Item, Reject};
use crate::reason::Reason;

/// The most records of a batch.
const BATCH_RECORDS: usize = 500;
/// The most payload bytes of a batch.
const BATCH_BYTES: usize = 1 << 20;

/// Counts of records by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that became new events.
    pub ingested: u64,
    /// Records whose events were already in the store.
    pub repeated: u64,
    /// Records that were refused.
    pub rejected: u64,
}

type Answer<'s> = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send + 's>>;

/// A batch that the store is committing.
struct PendingBatch<'s> {
    answer: Answer<'s>,
    drafts: Vec<Draft>,
}

/// Appends the items of a reader to a store.
pub(crate) struct Pipeline<'s, S> {
    store: &'s S,
    batch: Vec<Draft>,
    bytes: usize,
    /// The ids of the batch and their indexes in it.
    ids: HashMap<Uuid, Vec<usize>>,
    /// The previous batch. Only one is pending, so that a stream's events keep the file's order.
    pending: Option<PendingBatch<'s>>,
    tally: Tally,
    /// Rejects that the caller has not received yet.
    refused: Vec<Reject>,
}

impl<'s, S: EventStore> Pipeline<'s, S> {
    /// Creates a pipeline into a store.
    pub(crate) fn new(store: &'s S) -> Self {
        Pipeline {
            store,
            batch: Vec::new(),
            bytes: 0,
            ids: HashMap::new(),
            pending: None,
            tally: Tally::default(),
            refused: Vec::new(),
        }
    }

    /// Adds one item; returns the rejects that are known so far.
    pub(crate) async fn add_item(&mut self, item: Item) -> Result<Vec<Reject>, AppendError> {
        match item {
            Item::Reject(reject) => self.refuse(reject),
            Item::Record(draft) => self.add_draft(draft).await?,
        }
        Ok(std::mem::take(&mut self.refused))
    }

    /// Waits until all items are durable; returns the last rejects.
    pub(crate) async fn finish(&mut self) -> Result<Vec<Reject>, AppendError> {
        self.send().await?;
        self.settle().await?;
        Ok(std::mem::take(&mut self.refused))
    }

    /// Returns the counts so far, without the batches that are not committed yet.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    async fn add_draft(&mut self, draft: Draft) -> Result<(), AppendError> {
        let same_id = self.ids.entry(draft.id).or_default();
        let same = same_id.iter().map(|at| &self.batch[*at]).find(|b| b.stream == draft.stream);
        if let Some(before) = same {
            match content(before) == content(&draft) {
                true => self.tally.repeated += 1,
                false => {
                    let message = format!(
                        "the record has the same key as the one in line {}, but other content",
                        before.line
                    );
                    self.refuse(reject(draft, Reason::IdReused, message));
                }
            }
            return Ok(());
        }
        same_id.push(self.batch.len());
        self.bytes += draft.data.len();
        self.batch.push(draft);
        if self.batch.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), AppendError> {
        self.ids.clear();
        self.bytes = 0;
        let drafts = std::mem::take(&mut self.batch);
        if drafts.is_empty() {
            return Ok(());
        }
        self.settle().await?;
        let mut answer: Answer<'s> = Box::pin(self.store.append(append_of(&drafts)));
        // The first poll hands the batch to the writer; it commits while the next batch is read.
        match poll_once(&mut answer).await {
            Some(result) => self.handle_answer(result, drafts).await,
            None => {
                self.pending = Some(PendingBatch { answer, drafts });
                Ok(())
            }
        }
    }

    /// Waits for the previous batch.
    async fn settle(&mut self) -> Result<(), AppendError> {
        match self.pending.take() {
            None => Ok(()),
            Some(PendingBatch { answer, drafts }) => {
                let result = answer.await;
                self.handle_answer(result, drafts).await
            }
        }
    }

    async fn handle_answer(
        &mut self,
        result: Result<Appended, AppendError>,
        drafts: Vec<Draft>,
    ) -> Result<(), AppendError> {
        match result {
            Ok(appended) => self.count(&appended, drafts.len()),
            Err(AppendError::Failure(failure)) => return Err(failure.into()),
            Err(_) => {
                for draft in drafts {
                    self.append_single(draft).await?;
                }
            }
        }
        Ok(())
    }

    /// Appends one record, because the store refused its batch.
    async fn append_single(&mut self, draft: Draft) -> Result<(), AppendError> {
        match self.store.append(append_of(std::slice::from_ref(&draft))).await {
            Ok(appended) => self.count(&appended, 1),
            Err(AppendError::Failure(failure)) => return Err(failure.into()),
            Err(error) => {
                let reason = match error {
                    AppendError::Overlap(_) => Reason::IdReused,
                    _ => Reason::Refused,
                };
                self.refuse(reject(draft, reason, error.to_string()));
            }
        }
        Ok(())
    }

    fn count(&mut self, appended: &Appended, records: usize) {
        match appended.repeated {
            true => self.tally.repeated += records as u64,
            false => self.tally.ingested += records as u64,
        }
    }

    fn refuse(&mut self, reject: Reject) {
        self.tally.rejected += 1;
        self.refused.push(reject);
    }
}

/// Polls a future once; returns its output if it is ready.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context: &mut Context<'_>| {
        Poll::Ready(match pin!(&mut *future).poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Returns the content of a record: two records with the same id and content are repeats.
fn content(draft: &Draft) -> (&str, i64, &[(String, String)], &[u8]) {
    (&draft.event_type, draft.event_time_micros, &draft.tags, &draft.data)
}

fn reject(draft: Draft, reason: Reason, message: String) -> Reject {
    Reject { line: draft.line, reason, message, record: draft.raw.to_string() }
}

fn append_of(drafts: &[Draft]) -> Append {
    drafts.iter().fold(Append::new(), |append, draft| {
        let mut event = NewEvent::json(draft.event_type.clone(), draft.data.clone())
            .id(draft.id)
            .event_time(Timestamp(draft.event_time_micros));
        event.tags.clone_from(&draft.tags);
        append.event(draft.stream.clone(), event)
    })
}
