//! Appends drafts to a store in batches, each atomic.
//!
//! **How data flows.** The pipeline collects drafts into batches, in the order of the file; each batch is
//! one append, and while the store commits it, the next batch is read. The store answers that the whole
//! batch is new or repeated; if it knows only a part, records with keys of their own are appended one by
//! one, and records that may be equal to others are paired with those in the store (see
//! [`pairing`](super::pairing)). What is paired with nothing is appended; what could not be decided before
//! the end of its statement waits until then.

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::Future;
use std::io::Write;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use leftfold_api::{
    Append, AppendError, Appended, Cursor, EventStore, NewEvent, Overlap, Timestamp,
};
use uuid::Uuid;

use crate::changes::{Changes, Correction, FIRST_VERSION, Outcome, shown};
use crate::item::{Draft, GroupEnd, Item, Occurrence, Reject};
use crate::mapping::Mapping;
use crate::origin::Origin;
use crate::pairing::{Decision, Group};
use crate::plan::{Identity, Kinds};
use crate::reason::{Doubt, Reason, Warning};
use crate::stored::{TAG, lookup, lookup_key, tag_of};
use crate::value::json;

/// The most records of a batch.
const BATCH_RECORDS: usize = 500;
/// The most payload bytes of a batch.
const BATCH_BYTES: usize = 1 << 20;
/// The most statements that end in a batch.
const BATCH_ENDS: usize = 10_000;
/// How often a batch is paired again because others append the same records.
const MAX_ATTEMPTS: u32 = 16;

/// Counts of records by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that became new events.
    pub ingested: u64,
    /// Records whose events were already in the store.
    pub repeated: u64,
    /// Those of the repeated whose events stay as an older version of the mapping made them, though this one
    /// makes others of them.
    pub kept: u64,
    /// Records that were refused.
    pub rejected: u64,
    /// Those of the ingested that correct a record in the store.
    pub corrected: u64,
    /// Warnings about records that were kept.
    pub warnings: u64,
    /// Statements whose balance was right as they were read, but of which a record was refused.
    pub balances_broken: u64,
}

/// What the caller hears of.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) rejects: Vec<Reject>,
    pub(crate) warnings: Vec<Warning>,
}

type Answer<'s> = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send + 's>>;

/// A batch of records, and the statements that end in it.
#[derive(Default)]
struct Batch {
    drafts: Vec<Draft>,
    /// After how many of the drafts each statement ends.
    ends: Vec<(usize, GroupEnd)>,
}

/// A batch that the store is committing.
struct PendingBatch<'s> {
    answer: Answer<'s>,
    batch: Batch,
}

/// Appends the items of a reader to a store.
pub(crate) struct Pipeline<'s, S> {
    store: &'s S,
    /// The file's name, for the metadata of its records.
    file: &'s str,
    kinds: Option<&'s Kinds>,
    changes: &'s Changes,
    batch: Batch,
    bytes: usize,
    /// The ids of the batch.
    ids: HashSet<Uuid>,
    /// The previous batch. Only one is pending, so that a stream's events keep the file's order.
    pending: Option<PendingBatch<'s>>,
    /// The statement whose records were paired last.
    group: Group,
    /// Whether a record of the current statement was refused.
    has_refused: bool,
    /// The statement whose text was written last, and the text; empty if it says nothing of itself.
    origin: RefCell<(Arc<Origin>, String)>,
    /// Behind the last append, so that a look-up sees it.
    cursor: Option<Cursor>,
    tally: Tally,
    /// What the caller has not heard of yet.
    news: News,
}

impl<'s, S: EventStore> Pipeline<'s, S> {
    /// Creates a pipeline into a store.
    pub(crate) fn new(store: &'s S, mapping: &'s Mapping, file: &'s str) -> Self {
        let kinds = match &mapping.plan().identity {
            Identity::Keys(_) => None,
            Identity::Kinds(_, kinds) => Some(kinds),
        };
        Pipeline {
            store,
            file,
            kinds,
            changes: &mapping.plan().changes,
            batch: Batch::default(),
            bytes: 0,
            ids: HashSet::new(),
            pending: None,
            group: Group::default(),
            has_refused: false,
            origin: RefCell::default(),
            cursor: None,
            tally: Tally::default(),
            news: News::default(),
        }
    }

    /// Adds one item; returns what is known so far.
    pub(crate) async fn add_item(&mut self, item: Item) -> Result<News, AppendError> {
        match item {
            // The reader has noted that the statement's balance proves nothing.
            Item::Reject(reject) => self.report(reject),
            Item::Record(draft) => self.add_draft(draft).await?,
            Item::GroupEnd(end) => {
                self.batch.ends.push((self.batch.drafts.len(), end));
                if self.batch.ends.len() >= BATCH_ENDS {
                    self.send().await?;
                }
            }
        }
        Ok(std::mem::take(&mut self.news))
    }

    /// Waits until all items are durable; returns the rest of what is to be known.
    pub(crate) async fn finish(&mut self) -> Result<News, AppendError> {
        self.send().await?;
        self.settle().await?;
        self.end_group(GroupEnd { balance_holds: None }).await?;
        Ok(std::mem::take(&mut self.news))
    }

    /// Returns the counts so far, without the batches that are not committed yet.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    async fn add_draft(&mut self, draft: Draft) -> Result<(), AppendError> {
        let is_same = |known: &&Draft| known.id == draft.id && known.stream == draft.stream;
        let is_known = !self.ids.insert(draft.id);
        if is_known && let Some(before) = self.batch.drafts.iter().find(is_same) {
            if draft.occurrence.is_some() {
                // The same number of another statement: the store must know the first one before.
                self.send().await?;
                self.ids.insert(draft.id);
            } else if content(before) == content(&draft) {
                self.tally.repeated += 1;
                return Ok(());
            } else {
                let message = format!(
                    "the record has the same key as the one in line {}, but other content: {} there, {} \
                     here",
                    before.line,
                    shown(&before.data),
                    shown(&draft.data),
                );
                self.refuse(reject(draft, Reason::IdReused, message));
                return Ok(());
            }
        }
        self.bytes += draft.data.len();
        self.batch.drafts.push(draft);
        if self.batch.drafts.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), AppendError> {
        self.ids.clear();
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.drafts.is_empty() {
            self.settle().await?;
            return self.end_groups(&batch.ends).await;
        }
        self.settle().await?;
        if let (Some(kinds), false) = (self.kinds, self.group.waiting.is_empty()) {
            // Nothing may overtake what waits.
            return self.pair(kinds, batch.drafts, &batch.ends).await;
        }
        let append = self.append_of(batch.drafts.iter());
        let mut answer: Answer<'s> = Box::pin(self.store.append(append));
        // The first poll hands the batch to the writer; it commits while the next batch is read.
        match poll_once(&mut answer).await {
            Some(result) => self.handle_answer(result, batch).await,
            None => {
                self.pending = Some(PendingBatch { answer, batch });
                Ok(())
            }
        }
    }

    /// Waits for the previous batch.
    async fn settle(&mut self) -> Result<(), AppendError> {
        match self.pending.take() {
            None => Ok(()),
            Some(PendingBatch { answer, batch }) => {
                let result = answer.await;
                self.handle_answer(result, batch).await
            }
        }
    }

    async fn handle_answer(
        &mut self,
        result: Result<Appended, AppendError>,
        batch: Batch,
    ) -> Result<(), AppendError> {
        let Batch { drafts, ends } = batch;
        match result {
            Ok(appended) => {
                drafts.iter().for_each(|draft| self.warn_of(draft, appended.repeated));
                let is_new = !appended.repeated;
                self.count(appended, drafts.len());
                self.end_groups(&ends).await?;
                // The statement in which the batch ends goes on.
                self.group.has_new |=
                    is_new && ends.last().is_none_or(|(at, _)| *at < drafts.len());
                Ok(())
            }
            Err(AppendError::Failure(failure)) => Err(failure.into()),
            Err(_) => match self.kinds {
                Some(kinds) => self.pair(kinds, drafts, &ends).await,
                None => {
                    let mut ends = &ends[..];
                    for (at, draft) in drafts.into_iter().enumerate() {
                        ends = self.end_groups_before(ends, at).await?;
                        self.append_one(draft, None).await?;
                    }
                    self.end_groups(ends).await
                }
            },
        }
    }

    /// Pairs the records of a batch with those in the store, statement by statement.
    async fn pair(
        &mut self,
        kinds: &Kinds,
        drafts: Vec<Draft>,
        ends: &[(usize, GroupEnd)],
    ) -> Result<(), AppendError> {
        let mut drafts = drafts.into_iter().enumerate().peekable();
        let mut ends = ends;
        while let Some((first, draft)) = drafts.peek() {
            let (first, occurrence) = (*first, draft.occurrence.as_ref());
            let origin = occurrence.map(|of| of.origin.clone()).unwrap_or_default();
            let upto = ends.iter().map(|(at, _)| *at).find(|at| *at > first);
            let upto = upto.unwrap_or(usize::MAX);
            ends = self.end_groups_before(ends, first).await?;
            let mut of_group = Vec::new();
            while let Some((_, draft)) = drafts.next_if(|(at, _)| *at < upto) {
                of_group.push(draft);
            }
            self.group.enter(&origin);
            self.append_paired(kinds, of_group, None).await?;
            if self.group.is_full() {
                self.decide_waiting(kinds, None).await?;
            }
        }
        self.end_groups(ends).await
    }

    /// Appends those of a statement's records that are paired with none in the store. Records whose pairing
    /// is not decided wait for the end of the statement; `accepted` says which statements overlap with it.
    async fn append_paired(
        &mut self,
        kinds: &Kinds,
        mut drafts: Vec<Draft>,
        accepted: Option<&[Arc<Origin>]>,
    ) -> Result<(), AppendError> {
        for attempt in 1.. {
            let stored = lookup(self.store, &drafts, self.cursor.clone()).await?;
            let mut new = Vec::new();
            let decisions = self.group.decide(kinds, self.changes, drafts, &stored, accepted);
            for decision in decisions {
                match decision {
                    Decision::Repeated => self.tally.repeated += 1,
                    Decision::Kept => self.keep(),
                    Decision::Waits(draft) => self.group.waiting.push(draft),
                    Decision::New(draft) => {
                        self.group.has_new = true;
                        new.push((draft, None));
                    }
                    Decision::Correction(draft, of) => new.push((draft, Some(of))),
                    Decision::Refused(draft, message) => {
                        self.refuse(reject(draft, Reason::IdReused, message));
                    }
                }
            }
            if new.is_empty() {
                return Ok(());
            }
            let append = new.iter().fold(Append::new(), |append, (draft, of)| {
                append.event(draft.stream.clone(), self.event_of(draft, *of))
            });
            match self.store.append(append).await {
                Ok(appended) => {
                    let corrections = new.iter().filter(|(_, of)| of.is_some()).count();
                    self.tally.corrected += if appended.repeated { 0 } else { corrections as u64 };
                    new.iter().for_each(|(draft, _)| self.warn_of(draft, appended.repeated));
                    self.count(appended, new.len());
                    return Ok(());
                }
                Err(AppendError::Failure(failure)) => return Err(failure.into()),
                // Another ingest was faster.
                Err(AppendError::Overlap(_)) if attempt < MAX_ATTEMPTS => {
                    drafts = new.into_iter().map(|(draft, _)| draft).collect();
                }
                Err(_) => {
                    for (draft, of) in new {
                        self.append_one(draft, of).await?;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn end_groups_before<'e>(
        &mut self,
        ends: &'e [(usize, GroupEnd)],
        before: usize,
    ) -> Result<&'e [(usize, GroupEnd)], AppendError> {
        let count = ends.iter().take_while(|(at, _)| *at <= before).count();
        let (ended, rest) = ends.split_at(count);
        self.end_groups(ended).await?;
        Ok(rest)
    }

    async fn end_groups(&mut self, ends: &[(usize, GroupEnd)]) -> Result<(), AppendError> {
        for (_, end) in ends {
            self.end_group(*end).await?;
        }
        Ok(())
    }

    /// Decides the records that wait for the end of their statement.
    async fn end_group(&mut self, end: GroupEnd) -> Result<(), AppendError> {
        if let (Some(kinds), false) = (self.kinds, self.group.waiting.is_empty()) {
            self.decide_waiting(kinds, Some(end)).await?;
        }
        self.group = Group::default();
        let broken = std::mem::take(&mut self.has_refused) && end.balance_holds == Some(true);
        self.tally.balances_broken += u64::from(broken);
        Ok(())
    }

    /// Decides the records that wait, at the end of their statement or because too many do.
    async fn decide_waiting(
        &mut self,
        kinds: &Kinds,
        end: Option<GroupEnd>,
    ) -> Result<(), AppendError> {
        let waiting = std::mem::take(&mut self.group.waiting);
        let stored = lookup(self.store, &waiting, self.cursor.clone()).await?;
        let accepted = match end {
            Some(end) => self.group.accept(&waiting, &stored, end),
            None => self.group.accept_known(&waiting, &stored).into_iter().collect(),
        };
        let (accepted, doubts): (Vec<_>, Vec<_>) = accepted.into_iter().unzip();
        let doubts: Vec<_> = doubts.into_iter().flatten().collect();
        self.tally.warnings += doubts.len() as u64;
        self.news.warnings.extend(doubts);
        self.append_paired(kinds, waiting, Some(&accepted)).await
    }

    /// Appends one record, because the store refused its batch.
    async fn append_one(
        &mut self,
        draft: Draft,
        mut correction: Option<Correction>,
    ) -> Result<(), AppendError> {
        for attempt in 1.. {
            let event = self.event_of(&draft, correction);
            let append = Append::new().event(draft.stream.clone(), event);
            let error = match self.store.append(append).await {
                Ok(appended) => {
                    self.tally.corrected += u64::from(correction.is_some() && !appended.repeated);
                    self.warn_of(&draft, appended.repeated);
                    self.count(appended, 1);
                    return Ok(());
                }
                Err(AppendError::Failure(failure)) => return Err(failure.into()),
                Err(error) => error,
            };
            let AppendError::Overlap(overlap) = &error else {
                self.refuse(reject(draft, Reason::Refused, error.to_string()));
                return Ok(());
            };
            let stored = match overlap {
                // Pairing has looked already.
                _ if draft.occurrence.is_some() => None,
                // Another ingest has corrected the record: look again.
                _ if correction.take().is_some() && attempt < MAX_ATTEMPTS => continue,
                Overlap::Content { version, .. } => {
                    lookup_key(self.store, &draft, *version, self.cursor.clone()).await?
                }
                _ => None,
            };
            let outcome = match stored {
                Some(stored) if stored.is_equal(&draft) => {
                    self.tally.repeated += 1;
                    return Ok(());
                }
                Some(stored) => stored.decide(self.changes, &draft),
                None => Outcome::Refused(format!("{error}; the record has {}", shown(&draft.data))),
            };
            match outcome {
                Outcome::Kept => self.keep(),
                Outcome::Corrected(made) if attempt < MAX_ATTEMPTS => {
                    correction = Some(made);
                    continue;
                }
                Outcome::Corrected(_) => {
                    self.refuse(reject(draft, Reason::IdReused, error.to_string()));
                }
                Outcome::Refused(message) => {
                    self.refuse(reject(draft, Reason::IdReused, message));
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// Counts a record that stays as an older version of the mapping made it.
    fn keep(&mut self) {
        self.tally.repeated += 1;
        self.tally.kept += 1;
    }

    fn count(&mut self, appended: Appended, records: usize) {
        match appended.repeated {
            true => self.tally.repeated += records as u64,
            false => self.tally.ingested += records as u64,
        }
        self.cursor = Some(appended.cursor);
    }

    fn refuse(&mut self, reject: Reject) {
        self.has_refused = true;
        self.report(reject);
    }

    fn report(&mut self, reject: Reject) {
        self.tally.rejected += 1;
        self.news.rejects.push(reject);
    }

    /// Reports what is in doubt about a record that was kept now.
    fn warn_of(&mut self, draft: &Draft, repeated: bool) {
        if !repeated {
            self.tally.warnings += draft.warnings.len() as u64;
            self.news.warnings.extend(draft.warnings.iter().cloned());
        }
    }

    fn append_of<'d>(&self, drafts: impl Iterator<Item = &'d Draft>) -> Append {
        drafts.fold(Append::new(), |append, draft| {
            append.event(draft.stream.clone(), self.event_of(draft, None))
        })
    }

    /// Makes the event of a record, or that of a correction of another event.
    fn event_of(&self, draft: &Draft, correction: Option<Correction>) -> NewEvent {
        let mut event = NewEvent::json(draft.event_type.clone(), draft.data.clone())
            .id(draft.id)
            .event_time(Timestamp(draft.event_time_micros));
        event.tags.clone_from(&draft.tags);
        event.correlation.clone_from(&draft.correlation);
        let kind = draft.occurrence.as_ref().map(|occurrence| occurrence.kind);
        if let Some(kind) = kind.or(correction.map(|correction| correction.of)) {
            event.tags.push((TAG.to_owned(), tag_of(kind)));
        }
        event.metadata = self.metadata(draft, correction).into();
        if let Some(Correction { of, id }) = correction {
            event.id = Some(id);
            if let Some(corrected) = &self.changes.corrected {
                event.event_type.clone_from(corrected);
            }
            event.causation = Some(of.to_string());
        }
        event
    }

    /// Writes where a record came from, and which version of the mapping made its event, as JSON. A record with
    /// a key of its own, of the first version, has no metadata.
    fn metadata(&self, draft: &Draft, correction: Option<Correction>) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(occurrence) = &draft.occurrence {
            self.write_occurrence(draft, occurrence, &mut out);
        }
        // Writing to a Vec cannot fail.
        if self.changes.version != FIRST_VERSION {
            _ = write!(out, ",\"mapping_version\":{}", self.changes.version);
        }
        if let Some(Correction { of, .. }) = correction {
            _ = write!(out, ",\"corrects\":\"{of}\"");
        }
        if let Some(comma) = out.first_mut() {
            *comma = b'{';
            out.push(b'}');
        }
        out
    }

    /// Writes where a record came from, each name after a comma.
    fn write_occurrence(&self, draft: &Draft, occurrence: &Occurrence, out: &mut Vec<u8>) {
        let Occurrence { ordinal, index, origin, metadata, .. } = occurrence;
        out.reserve(256);
        out.extend_from_slice(b",\"file\":");
        json::string(self.file, out);
        // Writing to a Vec cannot fail.
        let line = draft.line;
        _ = write!(out, ",\"line\":{line},\"index\":{index},\"number\":{ordinal}");
        for (name, value) in metadata {
            out.push(b',');
            json::string(name, out);
            out.push(b':');
            json::string(value, out);
        }
        let mut written = self.origin.borrow_mut();
        if !Arc::ptr_eq(&written.0, origin) {
            let text = match **origin == Origin::default() {
                true => String::new(),
                false => serde_json::to_string(&**origin).unwrap_or_default(),
            };
            *written = (origin.clone(), text);
        }
        if !written.1.is_empty() {
            out.extend_from_slice(b",\"statement\":");
            out.extend_from_slice(written.1.as_bytes());
        }
        for (at, warning) in draft.warnings.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b",\"warnings\":[" } else { b"," });
            json::string(warning.doubt.code(), out);
        }
        out.extend_from_slice(if draft.warnings.is_empty() { b"" } else { b"]" });
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

/// Returns the warning that two equal records may be one.
pub(crate) fn ambiguous(draft: &Draft, other: &Origin) -> Warning {
    let from = other.statement.as_deref().unwrap_or("another file");
    let message = format!(
        "An equal record is known from {from}, and nothing tells whether the two are one; this one was kept."
    );
    Warning { line: draft.line, doubt: Doubt::AmbiguousRepeat, message }
}
