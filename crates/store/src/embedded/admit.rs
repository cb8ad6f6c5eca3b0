//! The writer's half of an append: what came after its caller's check, from memory alone.
//!
//! Nothing is answered here but "written" and "look again". Whatever this half finds may rest on
//! events that are not synced, so a draft whose answer might have changed goes back to its caller,
//! who waits until those events are durable and checks again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold_index::{Active, Adding, Key, Part};
use leftfold_log::format::EXTENSION_CHECKPOINTS;
use leftfold_log::{Admit, FrameBuilder, Head, SegmentInfo, Slot};

use super::core::{Core, cursor_of};
use super::draft::{Draft, DraftEvent, DraftStream};
use super::indexes::Named;
use super::rebuild::encode_moves;
use super::recent::{Answer, Recent, Recents};
use super::retention::StoreChange;
use crate::append::{Appended, Expected, Versions};
use crate::codec::set_version;
use crate::cursor::Cursor;

/// So many recent events a condition may look at on the writer's thread at the first attempt;
/// four times as many at each further one, so that it gets through in the end.
const FIRST_BUDGET: usize = 1_024;

/// A draft that goes back to its caller.
pub(crate) struct Bounce {
    pub(crate) draft: Draft,
    /// Look again when so many frames are durable.
    pub(crate) until: u64,
}

/// The store's side of the log's writer.
pub(crate) struct Admitter {
    core: Arc<Core>,
    active: Arc<Active>,
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
    known: Arc<AtomicU64>,
}

impl Admitter {
    pub(crate) fn new(core: Arc<Core>, active: Arc<Active>) -> Self {
        let checkpoints = core.checkpoints.read().clone();
        let named = core.named.read().values().cloned().collect();
        Admitter {
            recents: Recents::since(core.log.head().position),
            checkpoints,
            moved: Vec::new(),
            named,
            changed: Vec::new(),
            tombstoned: HashSet::new(),
            known: core.known.clone(),
            core,
            active,
        }
    }

    /// Whether the caller's check still says all there is to say.
    fn still_holds(&self, draft: &Draft, adding: &Adding<'_>) -> bool {
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
            && draft.guards.iter().all(|guard| {
                let budget = FIRST_BUDGET.saturating_mul(1 << (2 * draft.attempt.min(16)));
                let answer = self.recents.none_after(&guard.expanded, guard.holds_upto, budget);
                answer == Answer::Holds
            })
    }

    fn write(&mut self, draft: Draft, slot: Slot, frame: &mut FrameBuilder<'_>) -> Appended {
        frame.append_id(draft.append_id);
        if !draft.checkpoints.is_empty() {
            frame.extension(EXTENSION_CHECKPOINTS, &encode_moves(&draft.checkpoints));
        }
        let active = self.active.clone();
        let mut adding = active.add();
        let mut next: Vec<u64> =
            draft.streams.iter().map(|stream| next_version(stream, &adding)).collect();
        let versions = versions(&draft.streams, &next);
        let count = draft.events.len() as u64;
        for (position, mut event) in (slot.position..).zip(draft.events) {
            let version = next[event.stream];
            next[event.stream] += 1;
            set_version(&mut event.encoded, version);
            let micros = event.time.unwrap_or(slot.commit_time);
            frame.record(micros, &event.encoded);
            let stream = &draft.streams[event.stream];
            index(&self.core, &mut adding, stream, &event, position, version);
            let recent = Recent { position, micros, described: event.described };
            for named in self.named.iter().filter(|named| named.query.matches(&recent)) {
                adding.posting(named.key, position);
            }
            self.recents.push(recent);
        }
        drop(adding);
        for to in draft.checkpoints {
            self.checkpoints.insert(to.name.clone(), to.to);
            self.moved.push((to.name, to.to));
        }
        if let Some(change) = draft.change {
            self.change(change, slot.position);
        }
        let last = slot.position + count - 1;
        self.known.fetch_max(last, Ordering::AcqRel);
        self.core.admitted.store(slot.ticket, Ordering::Release);
        Appended {
            cursor: cursor_of(self.core.log.header().store_id, last),
            positions: (count > 0).then_some((slot.position, last)),
            streams: versions,
            repeated: false,
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
    type Draft = Draft;
    type Receipt = Appended;
    type Refusal = Bounce;

    fn admit(
        &mut self,
        draft: Draft,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<Appended, Bounce> {
        if self.still_holds(&draft, &self.active.add()) {
            Ok(self.write(draft, slot, frame))
        } else {
            Err(Bounce { draft, until: slot.ticket - 1 })
        }
    }

    fn synced(&mut self, _head: Head) {
        if !self.moved.is_empty() {
            self.core.checkpoints.write().extend(self.moved.drain(..));
        }
        for (change, defined) in self.changed.drain(..) {
            match change {
                StoreChange::Index(change) => self.core.named_changed(&change, defined),
                StoreChange::Rule(name, rule) => self.core.rule_changed(&name, rule),
                StoreChange::Tombstone(_) | StoreChange::Stream => self.core.streams_are_limited(),
            }
        }
    }

    fn rolled(&mut self, opened: SegmentInfo) {
        // What was checked before this segment is checked again anyway.
        self.tombstoned.clear();
        let closed = std::mem::replace(&mut self.active, Arc::new(Active::new(opened.first)));
        let active = self.active.clone();
        self.core.index.rcu(|index| index.with_part(Part::Active(active.clone())));
        self.core.upkeep.closed(opened, closed, &self.checkpoints);
    }

    fn before_roll(&mut self) {
        self.core.upkeep.wait_for_room();
    }
}

/// Whether the expectation of a stream holds now as it did for the caller.
fn stream_holds(stream: &DraftStream, adding: &Adding<'_>) -> bool {
    let now = adding.last(&stream.key).map(|(version, _)| version).or(stream.version);
    now == stream.version || stream.expected.holds(now)
}

/// Whether an id that the caller did not find is there now.
fn became_known(draft: &Draft, event: &DraftEvent, adding: &Adding<'_>) -> bool {
    let anywhere = matches!(draft.streams[event.stream].expected, Expected::Any | Expected::Exists);
    anywhere && event.id_given && adding.position_of_single(&event.id_key).is_some()
}

fn next_version(stream: &DraftStream, adding: &Adding<'_>) -> u64 {
    let last = adding.last(&stream.key).map(|(version, _)| version).or(stream.version);
    last.map_or(0, |version| version + 1)
}

fn versions(streams: &[DraftStream], next: &[u64]) -> Vec<Versions> {
    let streams = streams.iter().zip(next).filter(|(stream, _)| stream.events > 0);
    let versions = |(stream, first): (&DraftStream, &u64)| Versions {
        stream: stream.name.to_string(),
        first: *first,
        last: first + stream.events - 1,
    };
    streams.map(versions).collect()
}

fn index(
    core: &Core,
    adding: &mut Adding<'_>,
    stream: &DraftStream,
    event: &DraftEvent,
    position: u64,
    version: u64,
) {
    adding.numbered(stream.key, position, version);
    adding.posting(stream.category, position);
    if version == 0 {
        adding.posting(core.keys.starts(), position);
        adding.posting(stream.starts_in_category, position);
    }
    adding.posting(event.type_key, position);
    event.other_keys.iter().for_each(|key| adding.posting(*key, position));
    adding.single(event.id_key, position);
}
