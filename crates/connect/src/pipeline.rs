//! From drafts to events: batches, many of them under way at a time, each all or nothing.
//!
//! **How data flows.** The reader's drafts are gathered into batches; each batch is one append,
//! handed to the store while the next is read, in the order of the file. The store answers that a
//! batch is new, or that it was there before, whole. Where it was there in part (another file held
//! some of its records), the batch's records are appended one by one, and each is new, repeated or
//! refused by itself.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use leftfold_api::{Append, AppendError, Appended, EventStore, NewEvent, Timestamp};
use uuid::Uuid;

use crate::item::{Draft, Item, Reject};
use crate::reason::Reason;

/// Records of a batch.
const BATCH_RECORDS: usize = 500;
/// Bytes of a batch's payloads.
const BATCH_BYTES: usize = 1 << 20;

/// What became of the records so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that are events now.
    pub ingested: u64,
    /// Records that were events before.
    pub repeated: u64,
    /// Records that were refused.
    pub rejected: u64,
}

type Answer<'s> = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send + 's>>;

struct UnderWay<'s> {
    answer: Answer<'s>,
    drafts: Vec<Draft>,
}

/// Feeds what a reader hands out into a store.
pub(crate) struct Pipeline<'s, S> {
    store: &'s S,
    batch: Vec<Draft>,
    bytes: usize,
    /// Ids of the batch, and where they are in it.
    ids: HashMap<Uuid, Vec<usize>>,
    /// The batch before: one at a time, so that a stream's events keep the order of the file.
    under_way: Option<UnderWay<'s>>,
    tally: Tally,
    /// Records that only the store could refuse.
    refused: Vec<Reject>,
}

impl<'s, S: EventStore> Pipeline<'s, S> {
    /// A pipeline into this store.
    pub(crate) fn new(store: &'s S) -> Self {
        Pipeline {
            store,
            batch: Vec::new(),
            bytes: 0,
            ids: HashMap::new(),
            under_way: None,
            tally: Tally::default(),
            refused: Vec::new(),
        }
    }

    /// Takes one item; gives those rejects that are known by now.
    pub(crate) async fn take(&mut self, item: Item) -> Result<Vec<Reject>, AppendError> {
        match item {
            Item::Reject(reject) => self.refuse(reject),
            Item::Record(draft) => self.record(draft).await?,
        }
        Ok(std::mem::take(&mut self.refused))
    }

    /// Waits until all that was taken is durable; gives the last rejects.
    pub(crate) async fn finish(&mut self) -> Result<Vec<Reject>, AppendError> {
        self.send().await?;
        self.settle().await?;
        Ok(std::mem::take(&mut self.refused))
    }

    /// What became of the records so far; those under way are not counted yet.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    async fn record(&mut self, draft: Draft) -> Result<(), AppendError> {
        let same_id = self.ids.entry(draft.id).or_default();
        let same = same_id.iter().map(|at| &self.batch[*at]).find(|b| b.stream == draft.stream);
        if let Some(before) = same {
            match said(before) == said(&draft) {
                true => self.tally.repeated += 1,
                false => {
                    let message = format!(
                        "the record has the same key as the one in line {}, and other content",
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
        // Polled once, it is on its way to the writer while the next batch is read.
        match poll_once(&mut answer).await {
            Some(answered) => self.answered(answered, drafts).await,
            None => {
                self.under_way = Some(UnderWay { answer, drafts });
                Ok(())
            }
        }
    }

    /// Waits for the batch before.
    async fn settle(&mut self) -> Result<(), AppendError> {
        match self.under_way.take() {
            None => Ok(()),
            Some(UnderWay { answer, drafts }) => {
                let answered = answer.await;
                self.answered(answered, drafts).await
            }
        }
    }

    async fn answered(
        &mut self,
        answered: Result<Appended, AppendError>,
        drafts: Vec<Draft>,
    ) -> Result<(), AppendError> {
        match answered {
            Ok(appended) => self.count(&appended, drafts.len()),
            Err(AppendError::Failure(failure)) => return Err(failure.into()),
            Err(_) => {
                for draft in drafts {
                    self.alone(draft).await?;
                }
            }
        }
        Ok(())
    }

    /// One record by itself: its batch was not taken as a whole.
    async fn alone(&mut self, draft: Draft) -> Result<(), AppendError> {
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

/// Polls a future once; its output, if it is ready already.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context: &mut Context<'_>| {
        Poll::Ready(match pin!(&mut *future).poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// All that makes two records with the same id the same record.
fn said(draft: &Draft) -> (&str, i64, &[(String, String)], &[u8]) {
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
