//! The writer thread's half of an append: checks what came after the caller's check, in memory only.
//!
//! This half either writes a draft or returns it; it never returns a conflict. Its state includes
//! events that are not synced, and an answer may rest on durable events only. So a draft whose answer
//! may have changed goes back to its caller, who waits until those events are durable and checks again.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use leftfold_index::{ActivePart, Key, Part, PostingWriter};
use leftfold_log::format::{EXTENSION_BARRIER, EXTENSION_CHECKPOINTS};
use leftfold_log::{Admit, FrameBuilder, Head, SegmentInfo, Slot};
use smallvec::SmallVec;

use super::core::Core;
use super::draft::{Draft, DraftEvent, DraftStream, Guard};
use super::indexes::{IndexList, NamedIndex};
use super::rebuild::encode_moves;
use super::recent::{ConditionCheck, RecentAppend, RecentEvent, RecentEvents};
use super::replica::CommittedDraft;
use super::retention::StoreChange;
use super::wait_list::WakeSignal;
use crate::keys::EventPostings;
use leftfold_api::record::set_version;
use leftfold_api::{Appended, Cursor, Expected, Recorded, Timestamp, Versions};

/// The number of recent events that a condition may check on the writer thread at the first attempt.
/// Each further attempt may check four times as many, so that an append succeeds in the end.
const FIRST_BUDGET: usize = 1_024;

/// The index counts positions from the first of its segment in 32 bits.
const MAX_SPAN: u64 = u32::MAX as u64 - (1 << 24);

/// What the writer is asked to do, in the order of its queue.
pub(crate) enum Task {
    /// To write an append of a caller, or of the store itself.
    Append(Box<Draft>),
    /// To write an append that the owner has committed.
    Apply(CommittedDraft),
    /// To pass over the positions up to this one.
    PassOver(u64),
    /// To write a frame that holds nothing.
    Barrier,
    /// To refuse appends of callers from now on, or not; and whom to tell.
    SetReplica(bool, oneshot::Sender<()>),
}

/// What became of a task.
pub(crate) enum Receipt {
    Appended(WriteReceipt),
    Done,
}

/// Why a task was not done.
pub(crate) enum Refusal {
    Stale(StaleDraft),
    /// Another node owns the store.
    NotOwner,
    /// The copy differs from what the owner has committed.
    Diverged(String),
}

/// A draft that goes back to its caller, because newer events may change its answer.
pub(crate) struct StaleDraft {
    pub(crate) draft: Box<Draft>,
    /// The ticket of the last frame that the caller did not see. It checks again once that is durable.
    pub(crate) last_ticket: u64,
}

/// The answer to an append, with its used draft: the thread that allocated a draft frees it faster.
pub(crate) struct WriteReceipt {
    pub(crate) appended: Appended,
    pub(crate) draft: Box<Draft>,
}

/// The store's part of the writer thread.
pub(crate) struct Admitter {
    core: Arc<Core>,
    active: Arc<ActivePart>,
    /// How many positions an append without events takes.
    positions_of_empty: u64,
    recent_events: RecentEvents,
    /// Checkpoints, durable or not.
    checkpoints: BTreeMap<String, Cursor>,
    /// Checkpoint moves and deletions (`None`) that are not durable yet.
    moved: ByTicket<(String, Option<Cursor>)>,
    /// Named indexes, durable or not.
    indexes: Arc<IndexList>,
    /// Changes that are not durable yet, with the named index if one is defined.
    changed: ByTicket<(StoreChange, Option<Arc<NamedIndex>>)>,
    /// Changes of named indexes that are durable but not published yet.
    index_jobs: Vec<IndexJob>,
    /// Whether any change is durable but not published yet.
    has_changed: bool,
    /// Streams that got a tombstone since the open segment began.
    tombstoned: HashSet<Key>,
    /// The signals of subscriptions that wait for events that are not durable yet.
    signals: ByTicket<Arc<WakeSignal>>,
}

/// The maintenance that a change of a named index needs.
struct IndexJob {
    defined: Option<Arc<NamedIndex>>,
    removed: Option<Arc<NamedIndex>>,
}

/// Items of batches that are not durable yet, each with the ticket of its frame. Several batches may
/// be in flight, and each publishes only its own items.
struct ByTicket<T>(VecDeque<(u64, T)>);

impl<T> Default for ByTicket<T> {
    fn default() -> Self {
        ByTicket(VecDeque::new())
    }
}

impl<T> ByTicket<T> {
    /// Adds an item. Tickets never decrease.
    fn push(&mut self, ticket: u64, item: T) {
        self.0.push_back((ticket, item));
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes the items up to a ticket, in order.
    fn take_upto(&mut self, ticket: u64) -> impl Iterator<Item = T> {
        let count = self.0.partition_point(|(of, _)| *of <= ticket);
        self.0.drain(..count).map(|(_, item)| item)
    }
}

impl Admitter {
    pub(crate) fn new(core: Arc<Core>, active: Arc<ActivePart>, positions_of_empty: u64) -> Self {
        let checkpoints = core.definitions.checkpoints.read().clone();
        let indexes = core.definitions.indexes.admitted();
        Admitter {
            recent_events: RecentEvents::since(core.log.head().position),
            checkpoints,
            moved: ByTicket::default(),
            indexes,
            changed: ByTicket::default(),
            index_jobs: Vec::new(),
            has_changed: false,
            tombstoned: HashSet::new(),
            signals: ByTicket::default(),
            core,
            active,
            positions_of_empty,
        }
    }

    fn admit_append(
        &mut self,
        draft: Box<Draft>,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<Receipt, Refusal> {
        self.core.require_owner().map_err(|_| Refusal::NotOwner)?;
        let active = self.active.clone();
        let mut adding = active.writer();
        if self.still_holds(&draft, &adding) {
            Ok(Receipt::Appended(self.write_own(draft, slot, frame, &mut adding)))
        } else {
            Err(Refusal::Stale(StaleDraft { draft, last_ticket: slot.ticket - 1 }))
        }
    }

    /// Writes an append of the owner, if this copy is what the owner had before it.
    fn admit_committed(
        &mut self,
        mut committed: CommittedDraft,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<Receipt, Refusal> {
        let active = self.active.clone();
        let mut adding = active.writer();
        let checked = committed.check(self.core.require_owner().is_err(), slot, &adding);
        let checked = checked.and_then(|()| self.check_span(committed.last()));
        if let Err(message) = checked {
            committed.fail(&message);
            return Err(Refusal::Diverged(message));
        }
        let (first, commit_time) = (committed.first, committed.commit_time);
        frame.place(first, commit_time);
        let slot = Slot { position: first, commit_time, now: commit_time, ..slot };
        let firsts = committed.first_versions();
        self.write(&mut committed.draft, &firsts, slot, frame, &mut adding);
        committed.finish();
        Ok(Receipt::Done)
    }

    fn pass_over(&mut self, last: u64, frame: &mut FrameBuilder<'_>) -> Result<Receipt, Refusal> {
        self.check_span(last).map_err(Refusal::Diverged)?;
        self.core.progress.known.fetch_max(last, Ordering::AcqRel);
        frame.pass_over(last);
        Ok(Receipt::Done)
    }

    /// Refuses a position that is too far from the first of the open segment.
    fn check_span(&self, position: u64) -> Result<(), String> {
        let first = self.active.first();
        match position.saturating_sub(first) <= MAX_SPAN {
            true => Ok(()),
            false => Err(format!(
                "position {position} is further from position {first} than a segment can hold: delete this \
                 copy, so that the node makes it again"
            )),
        }
    }

    /// Whether the caller's check still holds.
    fn still_holds(&self, draft: &Draft, adding: &PostingWriter<'_>) -> bool {
        // All events that the caller did not see must be in memory here.
        draft.checked.position + 1 >= self.active.first()
            && draft.streams.iter().all(|stream| stream_holds(stream, adding))
            && draft.events.iter().all(|event| !is_repeated_since(draft, event, adding))
            && (draft.is_filler
                || self.tombstoned.is_empty()
                || draft
                    .streams
                    .iter()
                    .all(|stream| !self.tombstoned.contains(&stream.keys.stream)))
            && draft
                .checkpoints
                .iter()
                .all(|to| self.checkpoints.get(&to.name) == to.expected.as_ref())
            && self.has_room_for_checkpoints(draft)
            && draft.guards.iter().all(|guard| self.guard_holds(draft, guard, adding))
    }

    /// Whether there is room for the draft's new checkpoints besides those that its caller did not see. A share
    /// of a category is checked by callers alone.
    fn has_room_for_checkpoints(&self, draft: &Draft) -> bool {
        let new = draft.new_checkpoints().count();
        new == 0 || self.checkpoints.len() + new <= self.core.limits.checkpoints
    }

    /// Whether a condition still holds. Usually the newest postings prove it; otherwise the recent events
    /// are checked.
    fn guard_holds(&self, draft: &Draft, guard: &Guard, adding: &PostingWriter<'_>) -> bool {
        let since = guard.holds_upto;
        let may_match =
            guard.plan.postings.as_ref().is_none_or(|expr| adding.may_match_after(expr, since));
        let budget = FIRST_BUDGET.saturating_mul(1 << (2 * draft.attempt.min(16)));
        !may_match
            || self.recent_events.none_after(guard.wanted(), since, budget) == ConditionCheck::Holds
    }

    /// Writes a draft that was decided here.
    fn write_own(
        &mut self,
        mut draft: Box<Draft>,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
        adding: &mut PostingWriter<'_>,
    ) -> WriteReceipt {
        let firsts: SmallVec<[u64; 1]> =
            draft.streams.iter().map(|stream| next_version(stream, adding)).collect();
        let last = self.write(&mut draft, &firsts, slot, frame, adding);
        let events =
            draft.events.iter().map(|event| (event.described.start, event.micros(slot.now)));
        let (first, events) = (slot.position, events.collect());
        self.recent_events.push(RecentAppend { first, described: draft.described.clone(), events });
        let appended = Appended {
            cursor: self.core.cursor(last),
            positions: (!draft.events.is_empty()).then_some((slot.position, last)),
            streams: versions(std::mem::take(&mut draft.streams), &firsts),
            repeated: false,
            ordinals: Vec::new(),
        };
        WriteReceipt { appended, draft }
    }

    /// Adds a draft to the frame and its keys to the postings. Its streams go on with these versions. Returns the last
    /// position that it takes.
    fn write(
        &mut self,
        draft: &mut Draft,
        firsts: &[u64],
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
        adding: &mut PostingWriter<'_>,
    ) -> u64 {
        frame.append_id(draft.append_id);
        if !draft.checkpoints.is_empty() {
            frame.extension(EXTENSION_CHECKPOINTS, &encode_moves(&draft.checkpoints));
        }
        let mut next: SmallVec<[u64; 1]> = firsts.into();
        let count = draft.events.len() as u64;
        let index_keys = IndexKeys::new(draft, &self.indexes);
        let signals_before = self.signals.len();
        for (position, event) in (slot.position..).zip(&draft.events) {
            let version = next[event.stream];
            next[event.stream] += 1;
            let micros = event.micros(slot.now);
            let encoded = &draft.encoded[event.encoded.clone()];
            frame.record_with(micros, encoded, |record| set_version(record, version));
            let stream = &draft.streams[event.stream];
            let indexes = index_keys.of_event(draft, event, micros);
            let postings = EventPostings {
                position,
                version,
                stream: &stream.name,
                stream_keys: stream.keys,
                facts: &draft.keys[event.keys.clone()],
                indexes: &indexes,
                id: event.id_key,
            };
            postings.add_to(&self.core.keys, adding);
            let keys = indexes.iter().copied();
            self.core.wait_list.take(keys, |signal| self.signals.push(slot.ticket, signal));
        }
        let streams = draft.streams.iter().filter(|stream| stream.events > 0);
        let streams = streams.flat_map(|stream| [stream.keys.stream, stream.keys.category]);
        let keys = streams.chain(draft.keys.iter().copied());
        self.core.wait_list.take(keys, |signal| self.signals.push(slot.ticket, signal));
        if self.signals.len() > signals_before {
            self.cache_events(draft, slot, firsts);
        }
        for to in draft.checkpoints.drain(..) {
            self.checkpoints.insert(to.name.clone(), to.to.clone());
            self.moved.push(slot.ticket, (to.name, Some(to.to)));
        }
        if let Some(change) = draft.change.take() {
            self.change(change, slot);
        }
        let positions = if count == 0 { self.positions_of_empty } else { count };
        let last = slot.position + positions - 1;
        self.core.progress.known.fetch_max(last, Ordering::AcqRel);
        self.core.progress.admitted.store(slot.ticket, Ordering::Release);
        last
    }

    /// Adds events that a subscription waits for to the cache. Once they are durable, the subscription
    /// takes them from there, on its own thread and without a read of the disk.
    fn cache_events(&self, draft: &Draft, slot: Slot, firsts: &[u64]) {
        let mut next: SmallVec<[u64; 1]> = firsts.into();
        let cache = self.core.events.view();
        for (position, event) in (slot.position..).zip(&draft.events) {
            let mut record = draft.encoded[event.encoded.clone()].to_vec();
            set_version(&mut record, next[event.stream]);
            next[event.stream] += 1;
            let commit_time = Timestamp(slot.commit_time);
            let event_time = event.micros(slot.now);
            // The store has encoded this record itself, so it is an event.
            if let Ok(event) =
                Recorded::from_record(position, Timestamp(event_time), commit_time, record.into())
            {
                cache.insert(&event);
            }
        }
    }

    /// Applies a change of the store's own state, which is published once it is durable.
    fn change(&mut self, change: StoreChange, slot: Slot) {
        let mut defined = None;
        match &change {
            StoreChange::Index(change) => {
                let keys = &self.core.keys;
                defined = change.defined_at(slot.position, keys);
                self.indexes = Arc::new(self.indexes.with(change.name(), defined.clone(), keys));
                self.core.definitions.indexes.admit(self.indexes.clone());
            }
            StoreChange::Tombstone(stream) => _ = self.tombstoned.insert(*stream),
            StoreChange::Checkpoint(name) => {
                self.checkpoints.remove(name);
                return self.moved.push(slot.ticket, (name.clone(), None));
            }
            StoreChange::Rule(..) | StoreChange::Stream => {}
        }
        self.changed.push(slot.ticket, (change, defined));
    }
}

impl Admitter {
    /// Lays a frame that holds nothing, and is confirmed like any other.
    fn admit_barrier(&self, slot: Slot, frame: &mut FrameBuilder<'_>) -> Result<Receipt, Refusal> {
        self.core.require_owner().map_err(|_| Refusal::NotOwner)?;
        // It is no moment of the log: what comes next may have the time of what came before.
        frame.place(slot.position, slot.last_commit_time);
        frame.extension(EXTENSION_BARRIER, &[]);
        self.core.progress.admitted.store(slot.ticket, Ordering::Release);
        Ok(Receipt::Done)
    }
}

impl Admit for Admitter {
    type Draft = Task;
    type Receipt = Receipt;
    type Refusal = Refusal;

    fn admit(
        &mut self,
        task: Task,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<Receipt, Refusal> {
        match task {
            Task::Append(draft) => self.admit_append(draft, slot, frame),
            Task::Apply(committed) => self.admit_committed(committed, slot, frame),
            Task::PassOver(last) => self.pass_over(last, frame),
            Task::Barrier => self.admit_barrier(slot, frame),
            Task::SetReplica(is_replica, done) => {
                self.core.is_replica.store(is_replica, Ordering::Release);
                // What was applied is in no list of recent events.
                self.recent_events = RecentEvents::since(slot.position - 1);
                // There is nothing to write.
                frame.pass_over(slot.position - 1);
                // Who is not there any more need not know.
                _ = done.send(());
                Ok(Receipt::Done)
            }
        }
    }

    /// Publishes what a reader of this head must see: a caller looks for its index as soon as the
    /// definition is durable, and no reader may return events of a stream with a tombstone.
    fn confirmed(&mut self, head: Head) {
        let mut moved = self.moved.take_upto(head.ticket).peekable();
        if moved.peek().is_some() {
            self.core.definitions.move_checkpoints(moved);
        }
        for (change, defined) in self.changed.take_upto(head.ticket) {
            self.has_changed = true;
            match change {
                StoreChange::Index(change) => {
                    let removed = self.core.publish_index_change(&change, defined.clone());
                    self.index_jobs.push(IndexJob { defined, removed });
                }
                StoreChange::Rule(name, rule) => self.core.definitions.change_rule(&name, rule),
                StoreChange::Tombstone(_) | StoreChange::Stream => {
                    self.core.definitions.limit_streams()
                }
                StoreChange::Checkpoint(_) => {}
            }
        }
    }

    /// Starts what reads up to the published head. Filling an index reads up to its definition: if it
    /// began earlier, the index would lack the events of the same batch for ever. A subscription that is
    /// woken earlier would find nothing and wait again.
    fn published(&mut self, head: Head) {
        for IndexJob { defined, removed } in self.index_jobs.drain(..) {
            self.core.maintenance.queue_index_change(defined, removed);
        }
        self.signals.take_upto(head.ticket).for_each(|signal| signal.send());
        if std::mem::take(&mut self.has_changed) {
            // The name of an index may stand for another index now.
            self.core.wait_list.wake_all();
        }
    }

    fn rolled(&mut self, opened: SegmentInfo) {
        // Drafts that were checked before this segment are checked again in any case.
        self.tombstoned.clear();
        let closed = std::mem::replace(&mut self.active, Arc::new(ActivePart::new(opened.first)));
        let active = self.active.clone();
        self.core.index.set.rcu(|index| index.with_part(Part::Active(active.clone())));
        self.core.maintenance.queue_closed_segment(opened, closed, &self.checkpoints);
    }

    fn before_roll(&mut self) {
        self.core.maintenance.wait_for_room();
    }
}

/// Wakes all waiting subscriptions, because the writer has ended.
impl Drop for Admitter {
    fn drop(&mut self) {
        self.signals.take_upto(u64::MAX).for_each(|signal| signal.send());
        self.core.wait_list.close();
    }
}

/// Whether the expectation of a stream still holds.
fn stream_holds(stream: &DraftStream, adding: &PostingWriter<'_>) -> bool {
    let now = adding.last(&stream.keys.stream).map(|(version, _)| version).or(stream.version);
    now == stream.version || stream.expected.holds(now)
}

/// Whether an event id that the caller did not find has been written since.
fn is_repeated_since(draft: &Draft, event: &DraftEvent, adding: &PostingWriter<'_>) -> bool {
    // If a version is expected, another one since then returns the draft anyway.
    let anywhere = matches!(draft.streams[event.stream].expected, Expected::Any | Expected::Exists);
    anywhere && event.id_given && adding.position_of_id(&event.id_key).is_some()
}

fn next_version(stream: &DraftStream, adding: &PostingWriter<'_>) -> u64 {
    let last = adding.last(&stream.keys.stream).map(|(version, _)| version).or(stream.version);
    last.map_or(0, |version| version + 1)
}

fn versions(streams: SmallVec<[DraftStream; 1]>, firsts: &[u64]) -> Vec<Versions> {
    let streams = streams.into_iter().zip(firsts).filter(|(stream, _)| stream.events > 0);
    let versions = |(stream, first): (DraftStream, &u64)| Versions {
        stream: stream.name,
        first: *first,
        last: first + stream.events - 1,
    };
    streams.map(versions).collect()
}

/// Finds the keys of named indexes for a draft's events.
struct IndexKeys<'a> {
    indexes: &'a IndexList,
    /// Whether the caller used the same list of indexes.
    is_current: bool,
}

impl<'a> IndexKeys<'a> {
    fn new(draft: &Draft, indexes: &'a Arc<IndexList>) -> Self {
        IndexKeys { indexes, is_current: Arc::ptr_eq(&draft.indexes, indexes) }
    }

    /// Returns the keys of an event. Usually the caller has found them. The writer thread only adds what
    /// depends on later definitions, or on the commit time of an event without an event time.
    fn of_event(&self, draft: &Draft, event: &DraftEvent, micros: i64) -> SmallVec<[Key; 4]> {
        let recent = || RecentEvent::of(&draft.encoded[event.encoded.clone()], micros);
        if !self.is_current {
            let (mut keys, stream) = (SmallVec::new(), draft.streams[event.stream].keys);
            let facts = &draft.keys[event.keys.clone()];
            self.indexes.keys_of(&recent(), stream, facts, &mut keys);
            return keys;
        }
        let mut keys = SmallVec::from_slice(&draft.index_keys[event.index_keys.clone()]);
        if event.time.is_none() && !self.indexes.timed().is_empty() {
            let recent = recent();
            self.indexes.timed().iter().for_each(|named| named.keys_of(&recent, &mut keys));
        }
        keys
    }
}

#[cfg(test)]
mod tests;
