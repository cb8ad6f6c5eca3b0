//! The writer's half of an append: what came after its caller's check, from memory alone.
//!
//! Nothing is answered here but "written" and "look again". Whatever this half finds may rest on
//! events that are not synced, so a draft whose answer might have changed goes back to its caller,
//! who waits until those events are durable and checks again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold_index::{ActivePart, Key, Part, PostingWriter};
use leftfold_log::format::EXTENSION_CHECKPOINTS;
use leftfold_log::{Admit, FrameBuilder, Head, SegmentInfo, Slot};
use smallvec::SmallVec;

use super::core::{Core, cursor_of};
use super::draft::{Draft, DraftEvent, DraftStream, Guard};
use super::indexes::Named;
use super::rebuild::encode_moves;
use super::recent::{Answer, Recent, RecentAppend, Recents};
use super::retention::StoreChange;
use super::wakes::Bell;
use crate::append::{Appended, Expected, Versions};
use crate::codec::set_version;
use crate::cursor::Cursor;
use crate::keys::Keys;
use crate::names::category_of;

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
    _draft: Box<Draft>,
}

/// The store's side of the log's writer.
pub(crate) struct Admitter {
    core: Arc<Core>,
    active: Arc<ActivePart>,
    recents: Recents,
    /// Checkpoints, durable or not.
    checkpoints: BTreeMap<String, Cursor>,
    /// Checkpoint moves that are not durable yet.
    moved: Vec<(String, Cursor)>,
    /// Named indexes, durable or not.
    named: Vec<Arc<Named>>,
    /// Changes that are not durable yet; of named indexes with what they define.
    changed: Vec<(StoreChange, Option<Arc<Named>>)>,
    /// Streams that were closed with a tombstone since the open segment began.
    tombstoned: HashSet<Key>,
    /// Who waits for what is not durable yet.
    awaited: Vec<Arc<Bell>>,
    known: Arc<AtomicU64>,
}

impl Admitter {
    pub(crate) fn new(core: Arc<Core>, active: Arc<ActivePart>) -> Self {
        let checkpoints = core.checkpoints.read().clone();
        let named = core.named.read().values().cloned().collect();
        Admitter {
            recents: Recents::since(core.log.head().position),
            checkpoints,
            moved: Vec::new(),
            named,
            changed: Vec::new(),
            tombstoned: HashSet::new(),
            awaited: Vec::new(),
            known: core.known.clone(),
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
                || draft.streams.iter().all(|stream| !self.tombstoned.contains(&stream.key)))
            && draft
                .checkpoints
                .iter()
                .all(|to| self.checkpoints.get(&to.name).copied() == to.expected)
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
        for (position, event) in (slot.position..).zip(&draft.events) {
            let version = next[event.stream];
            next[event.stream] += 1;
            let micros = event.time.unwrap_or(slot.commit_time);
            let encoded = &draft.encoded[event.encoded.clone()];
            frame.record_with(micros, encoded, |record| set_version(record, version));
            index(&self.core.keys, adding, &draft, event, [position, version]);
            self.index_by_name(adding, &draft, event, position, micros);
            recent.events.push((event.described.start, micros));
        }
        self.recents.push(recent);
        let streams = draft.streams.iter().filter(|stream| stream.events > 0);
        let streams = streams.flat_map(|stream| [stream.key, stream.category]);
        self.core.wakes.find(streams.chain(draft.keys.iter().copied()), &mut self.awaited);
        for to in draft.checkpoints.drain(..) {
            self.checkpoints.insert(to.name.clone(), to.to);
            self.moved.push((to.name, to.to));
        }
        if let Some(change) = draft.change.take() {
            self.change(change, slot.position);
        }
        let last = slot.position + count - 1;
        self.known.fetch_max(last, Ordering::AcqRel);
        self.core.admitted.store(slot.ticket, Ordering::Release);
        let appended = Appended {
            cursor: cursor_of(self.core.log.header().store_id, last),
            positions: (count > 0).then_some((slot.position, last)),
            streams: versions(std::mem::take(&mut draft.streams), &firsts),
            repeated: false,
        };
        Written { appended, _draft: draft }
    }

    fn index_by_name(
        &mut self,
        adding: &mut PostingWriter<'_>,
        draft: &Draft,
        event: &DraftEvent,
        position: u64,
        micros: i64,
    ) {
        if self.named.is_empty() {
            return;
        }
        let recent = Recent::of(&draft.described[event.described.clone()], micros);
        for named in self.named.iter().filter(|named| named.query.matches(&recent)) {
            adding.add_posting(named.key, position);
            self.core.wakes.find(std::iter::once(named.key), &mut self.awaited);
        }
    }

    fn change(&mut self, change: StoreChange, position: u64) {
        let mut defined = None;
        match &change {
            StoreChange::Index(change) => {
                defined = change.defined_at(position, &self.core.keys);
                self.named.retain(|named| named.name != change.name());
                self.named.extend(defined.clone());
            }
            StoreChange::Tombstone(stream) => _ = self.tombstoned.insert(*stream),
            StoreChange::Rule(..) | StoreChange::Stream => {}
        }
        self.changed.push((change, defined));
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

    fn synced(&mut self, _head: Head) {
        self.awaited.drain(..).for_each(|bell| bell.ring());
        if !self.moved.is_empty() {
            self.core.checkpoints.write().extend(self.moved.drain(..));
        }
        let has_changed = !self.changed.is_empty();
        for (change, defined) in self.changed.drain(..) {
            match change {
                StoreChange::Index(change) => self.core.named_changed(&change, defined),
                StoreChange::Rule(name, rule) => self.core.rule_changed(&name, rule),
                StoreChange::Tombstone(_) | StoreChange::Stream => self.core.streams_are_limited(),
            }
        }
        if has_changed {
            // A named index may be another one now.
            self.core.wakes.ring_all();
        }
    }

    fn rolled(&mut self, opened: SegmentInfo) {
        // What was checked before this segment is checked again anyway.
        self.tombstoned.clear();
        let closed = std::mem::replace(&mut self.active, Arc::new(ActivePart::new(opened.first)));
        let active = self.active.clone();
        self.core.index.rcu(|index| index.with_part(Part::Active(active.clone())));
        self.core.upkeep.closed(opened, closed, &self.checkpoints);
    }

    fn before_roll(&mut self) {
        self.core.upkeep.wait_for_room();
    }
}

/// The writer has ended: whoever waits is to find that out.
impl Drop for Admitter {
    fn drop(&mut self) {
        self.awaited.drain(..).for_each(|bell| bell.ring());
        self.core.wakes.close();
    }
}

/// Whether the expectation of a stream holds now as it did for the caller.
fn stream_holds(stream: &DraftStream, adding: &PostingWriter<'_>) -> bool {
    let now = adding.last(&stream.key).map(|(version, _)| version).or(stream.version);
    now == stream.version || stream.expected.holds(now)
}

/// Whether an id that the caller did not find is there now.
fn became_known(draft: &Draft, event: &DraftEvent, adding: &PostingWriter<'_>) -> bool {
    let anywhere = matches!(draft.streams[event.stream].expected, Expected::Any | Expected::Exists);
    anywhere && event.id_given && adding.position_of_single(&event.id_key).is_some()
}

fn next_version(stream: &DraftStream, adding: &PostingWriter<'_>) -> u64 {
    let last = adding.last(&stream.key).map(|(version, _)| version).or(stream.version);
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

fn index(
    keys: &Keys,
    adding: &mut PostingWriter<'_>,
    draft: &Draft,
    event: &DraftEvent,
    [position, version]: [u64; 2],
) {
    let stream = &draft.streams[event.stream];
    adding.add_numbered(stream.key, position, version);
    adding.add_posting(stream.category, position);
    if version == 0 {
        adding.add_posting(keys.starts(), position);
        adding.add_posting(keys.starts_in(category_of(&stream.name)), position);
    }
    draft.keys[event.keys.clone()].iter().for_each(|key| adding.add_posting(*key, position));
    adding.add_single(event.id_key, position);
}
