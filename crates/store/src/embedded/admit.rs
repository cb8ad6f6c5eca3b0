//! The writer's half of an append: what came after its caller's check, from memory alone.
//!
//! Nothing is answered here but "written" and "look again". Whatever this half finds may rest on
//! events that are not synced, so a draft whose answer might have changed goes back to its caller,
//! who waits until those events are durable and checks again.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use leftfold_index::{ActivePart, Key, Part, PostingWriter};
use leftfold_log::format::EXTENSION_CHECKPOINTS;
use leftfold_log::{Admit, FrameBuilder, Head, SegmentInfo, Slot};
use smallvec::SmallVec;

use super::core::Core;
use super::draft::{Draft, DraftEvent, DraftStream, Guard};
use super::indexes::{IndexList, Named};
use super::rebuild::encode_moves;
use super::recent::{Answer, Recent, RecentAppend, Recents};
use super::retention::StoreChange;
use super::wakes::Bell;
use crate::keys::EventPostings;
use leftfold_api::record::set_version;
use leftfold_api::{Appended, Cursor, Expected, Recorded, Timestamp, Versions};

/// So many recent events a condition may look at on the writer's thread at the first attempt;
/// four times as many at each further one, so that it gets through in the end.
const FIRST_BUDGET: usize = 1_024;

/// A draft that goes back to its caller.
pub(crate) struct Bounce {
    pub(crate) draft: Box<Draft>,
    /// Look again when so many frames are durable.
    pub(crate) until: u64,
}

/// What was written, with what is left of its draft: that goes back to the thread that it was made
/// on, where it is cheaper to free.
pub(crate) struct Written {
    pub(crate) appended: Appended,
    pub(crate) draft: Box<Draft>,
}

/// The store's side of the log's writer.
pub(crate) struct Admitter {
    core: Arc<Core>,
    active: Arc<ActivePart>,
    recents: Recents,
    /// Checkpoints, durable or not.
    checkpoints: BTreeMap<String, Cursor>,
    /// Checkpoint moves that are not durable yet.
    moved: ByTicket<(String, Cursor)>,
    /// Named indexes, durable or not.
    indexes: Arc<IndexList>,
    /// Changes that are not durable yet; of named indexes with what they define.
    changed: ByTicket<(StoreChange, Option<Arc<Named>>)>,
    /// What changed of named indexes up to a head that is not published yet.
    index_jobs: Vec<IndexJob>,
    /// Whether anything changed up to a head that is not published yet.
    has_changed: bool,
    /// Streams that were closed with a tombstone since the open segment began.
    tombstoned: HashSet<Key>,
    /// Subscriptions that wait for what is not durable yet.
    awaited: ByTicket<Arc<Bell>>,
}

/// What the background has to do once a named index was defined or removed, or both.
struct IndexJob {
    defined: Option<Arc<Named>>,
    gone: Option<Arc<Named>>,
}

/// Facts of batches that are not durable yet, each with the ticket of its frame. Several batches may
/// be in flight, and each publishes its own facts only.
struct ByTicket<T>(VecDeque<(u64, T)>);

impl<T> Default for ByTicket<T> {
    fn default() -> Self {
        ByTicket(VecDeque::new())
    }
}

impl<T> ByTicket<T> {
    /// Adds a fact; tickets never fall.
    fn push(&mut self, ticket: u64, fact: T) {
        self.0.push_back((ticket, fact));
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes the facts up to a ticket, in order.
    fn upto(&mut self, ticket: u64) -> impl Iterator<Item = T> {
        let count = self.0.partition_point(|(of, _)| *of <= ticket);
        self.0.drain(..count).map(|(_, fact)| fact)
    }
}

impl Admitter {
    pub(crate) fn new(core: Arc<Core>, active: Arc<ActivePart>) -> Self {
        let checkpoints = core.definitions.checkpoints.read().clone();
        let indexes = core.definitions.indexes.admitted();
        Admitter {
            recents: Recents::since(core.log.head().position),
            checkpoints,
            moved: ByTicket::default(),
            indexes,
            changed: ByTicket::default(),
            index_jobs: Vec::new(),
            has_changed: false,
            tombstoned: HashSet::new(),
            awaited: ByTicket::default(),
            core,
            active,
        }
    }

    /// Whether the caller's check still says all there is to say.
    fn still_holds(&self, draft: &Draft, adding: &PostingWriter<'_>) -> bool {
        // What the caller did not see must be in memory here, all of it.
        draft.checked.position + 1 >= self.active.first()
            && draft.streams.iter().all(|stream| stream_holds(stream, adding))
            && draft.events.iter().all(|event| !became_known(draft, event, adding))
            && (self.tombstoned.is_empty()
                || draft
                    .streams
                    .iter()
                    .all(|stream| !self.tombstoned.contains(&stream.keys.stream)))
            && draft
                .checkpoints
                .iter()
                .all(|to| self.checkpoints.get(&to.name) == to.expected.as_ref())
            && draft.guards.iter().all(|guard| self.guard_holds(draft, guard, adding))
    }

    /// Nearly always the newest postings tell that nothing has come; else the events themselves do.
    fn guard_holds(&self, draft: &Draft, guard: &Guard, adding: &PostingWriter<'_>) -> bool {
        let since = guard.holds_upto;
        let may =
            guard.plan.postings.as_ref().is_none_or(|expr| adding.may_match_after(expr, since));
        let budget = FIRST_BUDGET.saturating_mul(1 << (2 * draft.attempt.min(16)));
        !may || self.recents.none_after(guard.wanted(), since, budget) == Answer::Holds
    }

    fn write(
        &mut self,
        mut draft: Box<Draft>,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
        adding: &mut PostingWriter<'_>,
    ) -> Written {
        frame.append_id(draft.append_id);
        if !draft.checkpoints.is_empty() {
            frame.extension(EXTENSION_CHECKPOINTS, &encode_moves(&draft.checkpoints));
        }
        let mut next: SmallVec<[u64; 1]> =
            draft.streams.iter().map(|stream| next_version(stream, adding)).collect();
        let firsts = next.clone();
        let mut recent = RecentAppend {
            first: slot.position,
            described: draft.described.clone(),
            events: SmallVec::new(),
        };
        let count = draft.events.len() as u64;
        let listed = Listed::new(&draft, &self.indexes);
        let awaited_before = self.awaited.len();
        for (position, event) in (slot.position..).zip(&draft.events) {
            let version = next[event.stream];
            next[event.stream] += 1;
            let micros = event.time.unwrap_or(slot.commit_time);
            let encoded = &draft.encoded[event.encoded.clone()];
            frame.record_with(micros, encoded, |record| set_version(record, version));
            let stream = &draft.streams[event.stream];
            let listed = listed.keys_of(&draft, event, micros);
            let postings = EventPostings {
                position,
                version,
                stream: &stream.name,
                stream_keys: stream.keys,
                facts: &draft.keys[event.keys.clone()],
                indexes: &listed,
                id: event.id_key,
            };
            postings.add_to(&self.core.keys, adding);
            let keys = listed.iter().copied();
            self.core.wakes.find(keys, |bell| self.awaited.push(slot.ticket, bell));
            recent.events.push((event.described.start, micros));
        }
        self.recents.push(recent);
        let streams = draft.streams.iter().filter(|stream| stream.events > 0);
        let streams = streams.flat_map(|stream| [stream.keys.stream, stream.keys.category]);
        let keys = streams.chain(draft.keys.iter().copied());
        self.core.wakes.find(keys, |bell| self.awaited.push(slot.ticket, bell));
        if self.awaited.len() > awaited_before {
            self.cache_events(&draft, slot, &firsts);
        }
        for to in draft.checkpoints.drain(..) {
            self.checkpoints.insert(to.name.clone(), to.to.clone());
            self.moved.push(slot.ticket, (to.name, to.to));
        }
        if let Some(change) = draft.change.take() {
            self.change(change, slot);
        }
        let last = slot.position + count - 1;
        self.core.progress.known.fetch_max(last, Ordering::AcqRel);
        self.core.progress.admitted.store(slot.ticket, Ordering::Release);
        let appended = Appended {
            cursor: self.core.cursor(last),
            positions: (count > 0).then_some((slot.position, last)),
            streams: versions(std::mem::take(&mut draft.streams), &firsts),
            repeated: false,
            ordinals: Vec::new(),
        };
        Written { appended, draft }
    }

    /// Keeps events in memory that a subscription waits for: it takes them from there once they are
    /// durable, on its own thread, without reading them from the disk again.
    fn cache_events(&self, draft: &Draft, slot: Slot, firsts: &[u64]) {
        let mut next: SmallVec<[u64; 1]> = firsts.into();
        let cache = self.core.events.now();
        for (position, event) in (slot.position..).zip(&draft.events) {
            let mut record = draft.encoded[event.encoded.clone()].to_vec();
            set_version(&mut record, next[event.stream]);
            next[event.stream] += 1;
            let commit_time = Timestamp(slot.commit_time);
            let event_time = event.time.map_or(commit_time, Timestamp);
            // The store has laid it out itself: it is an event.
            if let Ok(event) =
                Recorded::from_record(position, event_time, commit_time, record.into())
            {
                cache.keep(&event);
            }
        }
    }

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
            StoreChange::Rule(..) | StoreChange::Stream => {}
        }
        self.changed.push(slot.ticket, (change, defined));
    }
}

impl Admit for Admitter {
    type Draft = Box<Draft>;
    type Receipt = Written;
    type Refusal = Bounce;

    fn admit(
        &mut self,
        draft: Box<Draft>,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<Written, Bounce> {
        let active = self.active.clone();
        let mut adding = active.writer();
        if self.still_holds(&draft, &adding) {
            Ok(self.write(draft, slot, frame, &mut adding))
        } else {
            Err(Bounce { draft, until: slot.ticket - 1 })
        }
    }

    /// What a reader of this head must know: a caller whose definition is durable looks for its index
    /// at once, and a reader who sees that a stream was closed must not show its events.
    fn confirmed(&mut self, head: Head) {
        let mut moved = self.moved.upto(head.ticket).peekable();
        if moved.peek().is_some() {
            self.core.definitions.checkpoints.write().extend(moved);
        }
        for (change, defined) in self.changed.upto(head.ticket) {
            self.has_changed = true;
            match change {
                StoreChange::Index(change) => {
                    let gone = self.core.named_changed(&change, defined.clone());
                    self.index_jobs.push(IndexJob { defined, gone });
                }
                StoreChange::Rule(name, rule) => self.core.definitions.change_rule(&name, rule),
                StoreChange::Tombstone(_) | StoreChange::Stream => {
                    self.core.definitions.limit_streams()
                }
            }
        }
    }

    /// What reads up to the head. Filling an index reads up to its definition: begun earlier, it would
    /// not see the events that are durable with it, and the index would lack them for ever. A
    /// subscription that was woken earlier would find nothing and wait again.
    fn published(&mut self, head: Head) {
        for IndexJob { defined, gone } in self.index_jobs.drain(..) {
            self.core.maintenance.named(defined, gone);
        }
        self.awaited.upto(head.ticket).for_each(|bell| bell.ring());
        if std::mem::take(&mut self.has_changed) {
            // A named index may be another one now.
            self.core.wakes.ring_all();
        }
    }

    fn rolled(&mut self, opened: SegmentInfo) {
        // What was checked before this segment is checked again anyway.
        self.tombstoned.clear();
        let closed = std::mem::replace(&mut self.active, Arc::new(ActivePart::new(opened.first)));
        let active = self.active.clone();
        self.core.index.set.rcu(|index| index.with_part(Part::Active(active.clone())));
        self.core.maintenance.closed(opened, closed, &self.checkpoints);
    }

    fn before_roll(&mut self) {
        self.core.maintenance.wait_for_room();
    }
}

/// The writer has ended: subscriptions that wait must learn of it.
impl Drop for Admitter {
    fn drop(&mut self) {
        self.awaited.upto(u64::MAX).for_each(|bell| bell.ring());
        self.core.wakes.close();
    }
}

/// Whether the expectation of a stream holds now as it did for the caller.
fn stream_holds(stream: &DraftStream, adding: &PostingWriter<'_>) -> bool {
    let now = adding.last(&stream.keys.stream).map(|(version, _)| version).or(stream.version);
    now == stream.version || stream.expected.holds(now)
}

/// Whether an id that the caller did not find is there now.
fn became_known(draft: &Draft, event: &DraftEvent, adding: &PostingWriter<'_>) -> bool {
    let anywhere = matches!(draft.streams[event.stream].expected, Expected::Any | Expected::Exists);
    anywhere && event.id_given && adding.position_of_single(&event.id_key).is_some()
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

/// The named indexes that list a draft's events, as the writer knows them.
struct Listed<'a> {
    indexes: &'a IndexList,
    /// Whether the caller knew the same indexes.
    is_current: bool,
}

impl<'a> Listed<'a> {
    fn new(draft: &Draft, indexes: &'a Arc<IndexList>) -> Self {
        Listed { indexes, is_current: Arc::ptr_eq(&draft.indexes, indexes) }
    }

    /// The keys of an event. Nearly always its caller has found them; what is left for the writer's
    /// thread are indexes that were defined or removed since, and those that ask for the time of an
    /// event whose time is its commit time.
    fn keys_of(&self, draft: &Draft, event: &DraftEvent, micros: i64) -> SmallVec<[Key; 4]> {
        let recent = || Recent::of(&draft.described[event.described.clone()], micros);
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
