use std::collections::{BTreeSet, VecDeque};

use leftfold_api::{Append, CheckpointMove, Cursor, Expected, NewEvent, Query};
use serde::Serialize;
use uuid::Uuid;

use super::Core;
use crate::react::cause::Cause;
use crate::react::journal::{FACT_TYPE, HeadEvent, JOURNAL, JournalFact, PARKED, stream_of};
use crate::react::reaction::Reaction;

/// The number of journal facts, or of held lanes if that is more, after which a full state is
/// written. So full states cost no more than the facts themselves.
const FULL_STATE_EVERY: u64 = 256;
/// The most results in one append, unless one event has more: well below the store's limits.
const MAX_EVENTS: usize = 4_000;
const MAX_BYTES: usize = 16 << 20;

/// What the next append will contain.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) done: VecDeque<FinishedEvent>,
    /// Lanes whose effect begins once its start is durable.
    pub(super) begun: Vec<String>,
    /// Lanes whose state has changed.
    pub(super) lanes: BTreeSet<String>,
    /// Parked events and their lanes.
    pub(super) parked: Vec<(String, HeadEvent)>,
    /// The positions of skipped events.
    pub(super) skipped: Vec<u64>,
    pub(super) control: Option<Cursor>,
}

/// A finished event.
pub(crate) struct FinishedEvent {
    pub(crate) lane: String,
    pub(crate) results: Reaction,
    /// Whether it needs an append of its own, so that it fails alone.
    pub(crate) alone: bool,
    pub(crate) cause: Cause,
}

/// An append of the reactor and its contents.
pub(crate) struct Batch {
    pub(crate) done: Vec<FinishedEvent>,
    pub(super) begun: Vec<String>,
    pub(super) lanes: BTreeSet<String>,
    pub(super) parked: Vec<(String, HeadEvent)>,
    pub(super) skipped: Vec<u64>,
    pub(super) control: Option<Cursor>,
    pub(super) moved: Vec<JournalFact>,
}

/// The data of the event for a parking.
#[derive(Serialize)]
struct ParkedData<'a> {
    reactor: &'a str,
    lane: &'a str,
    #[serde(flatten)]
    head: &'a HeadEvent,
}

impl Batch {
    /// Returns whether it contains a full state.
    pub(crate) fn has_full_state(&self) -> bool {
        self.moved.iter().any(|moved| moved.whole.is_some())
    }
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
            && self.begun.is_empty()
            && self.lanes.is_empty()
            && self.parked.is_empty()
            && self.skipped.is_empty()
            && self.control.is_none()
    }

    /// Takes as many finished events as one append may contain.
    fn take_done(&mut self, most: usize) -> Vec<FinishedEvent> {
        let (mut taken, mut events, mut bytes) = (Vec::<FinishedEvent>::new(), 0, 0);
        while let Some(next) = self.done.front() {
            events += next.results.events.len();
            bytes += next.results.events.iter().map(|(_, event)| size(event)).sum::<usize>();
            let fits = events <= MAX_EVENTS && bytes <= MAX_BYTES && taken.len() < most;
            let joins = fits && !next.alone && taken.iter().all(|done| !done.alone);
            if !taken.is_empty() && !joins {
                break;
            }
            taken.extend(self.done.pop_front());
        }
        taken
    }
}

fn size(event: &NewEvent) -> usize {
    event.data.len() + event.metadata.len() + event.event_type.len()
}

impl Core {
    /// Returns the next append, if there is anything to write.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        if self.pending.is_empty() {
            return None;
        }
        let done = self.pending.take_done(self.setup.limits.batch.max(1));
        for done in &done {
            let front = self.lanes.get(&done.lane).and_then(|lane| lane.queue.front());
            if let Some(number) = front.and_then(|front| front.number) {
                self.window.settle(number, true);
            }
        }
        let mut batch = Batch {
            done,
            begun: std::mem::take(&mut self.pending.begun),
            lanes: std::mem::take(&mut self.pending.lanes),
            parked: std::mem::take(&mut self.pending.parked),
            skipped: std::mem::take(&mut self.pending.skipped),
            control: self.pending.control.take(),
            moved: Vec::new(),
        };
        let moved = self.journal_change(&mut batch);
        batch.moved = self.with_full_state(moved);
        Some(batch)
    }

    /// Returns the change of the journal that the batch makes.
    fn journal_change(&self, batch: &mut Batch) -> JournalFact {
        let low = self.window.low();
        let front = |lane: &str| self.lanes.get(lane)?.queue.front();
        let done = batch.done.iter().filter_map(|done| front(&done.lane));
        let done = done.map(|item| item.event.position()).chain(batch.skipped.iter().copied());
        let done = done.filter(|position| *position > low.position).collect();
        // A finished event changes the state of a lane that was held up or whose effect had begun.
        for done in &batch.done {
            let was_noted = self.journal.lanes.contains_key(&done.lane);
            let is_held = self.lanes.get(&done.lane).is_some_and(|lane| lane.hold.is_some());
            if was_noted || is_held {
                batch.lanes.insert(done.lane.clone());
            }
        }
        let finished: BTreeSet<&str> = batch.done.iter().map(|done| done.lane.as_str()).collect();
        let fact = |key: &String| {
            let lane = self.lanes.get(key);
            let held = match finished.contains(key.as_str()) {
                true => lane.and_then(|lane| lane.fact_when_finished()),
                false => lane.and_then(|lane| lane.fact(self.now)),
            };
            (key.clone(), held)
        };
        let lanes = batch.lanes.iter().map(fact).collect();
        let (run, control) = (self.setup.run, batch.control.clone());
        JournalFact { run, low, done, lanes, control, whole: None }
    }

    /// Returns the change, or now and then the full state.
    fn with_full_state(&self, moved: JournalFact) -> Vec<JournalFact> {
        let since = self.journal.next_version() - self.journal.full_state_version;
        let every = FULL_STATE_EVERY.max(self.journal.lanes.len() as u64);
        if since < every && self.journal.version.is_some() {
            return vec![moved];
        }
        let mut after = self.journal.clone();
        after.apply(&moved);
        after.full_state(self.setup.run)
    }

    /// Returns the first facts of a run, which end all other runs of the reactor.
    pub(crate) fn takeover_batch(&mut self) -> Batch {
        let moved = self.journal.full_state(self.setup.run);
        Batch {
            done: Vec::new(),
            begun: Vec::new(),
            lanes: BTreeSet::new(),
            parked: Vec::new(),
            skipped: Vec::new(),
            control: None,
            moved,
        }
    }

    /// Builds the append of a batch: the results and the progress, all or nothing.
    pub(crate) fn build_append(&self, batch: &Batch, checkpoint: Option<Cursor>) -> Append {
        let mut append = Append::new();
        for done in &batch.done {
            append = done.results.add_to(append);
        }
        let (reactor, name) = (&self.setup.reactor, self.setup.journal_name());
        let journal = stream_of(JOURNAL, &name);
        let first = self.journal.next_version();
        for (number, (lane, head)) in (0..).zip(&batch.parked) {
            let data = serde_json::to_vec(&ParkedData { reactor, lane, head }).unwrap_or_default();
            let event = NewEvent::json("leftfold.Parked", data).tag("reactor", reactor);
            let id = hashed(fact_id(self.setup.run, first), number);
            append = append.event(stream_of(PARKED, &name), event.id(id));
        }
        for (version, moved) in (first..).zip(&batch.moved) {
            let data = serde_json::to_vec(moved).unwrap_or_default();
            let id = fact_id(self.setup.run, version);
            append = append.event(&journal, NewEvent::json(FACT_TYPE, data).id(id));
        }
        let expected = self.journal.version.map_or(Expected::NoStream, Expected::Exactly);
        let to =
            batch.moved.last().map_or(self.journal.low.clone(), |moved| moved.low.clone()).cursor;
        if let Some(cursor) = &self.journal.unread_after {
            append = append.none_after(Query::stream(&journal), cursor.clone());
        }
        let name = checkpoint_of(&name);
        append.expect(journal, expected).checkpoint(CheckpointMove {
            name,
            expected: checkpoint,
            to,
        })
    }
}

/// Returns the id of a journal fact: the same if its append is repeated, another for another run.
fn fact_id(run: Uuid, version: u64) -> Uuid {
    let (low, high) = (version as u32, (version >> 32) as u32);
    hashed(hashed(run, high), low)
}

/// Returns the n-th id that is hashed from another.
fn hashed(id: Uuid, number: u32) -> Uuid {
    Uuid::new_v5(&id, &number.to_le_bytes())
}

/// Returns the name of a reactor's checkpoint.
pub(crate) fn checkpoint_of(reactor: &str) -> String {
    format!("reactor/{reactor}")
}
