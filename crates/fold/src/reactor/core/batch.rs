use std::collections::{BTreeSet, VecDeque};

use leftfold_api::{Append, CheckpointMove, Cursor, Expected, NewEvent};
use serde::Serialize;
use uuid::Uuid;

use super::Core;
use crate::reactor::cause::{Cause, derived};
use crate::reactor::journal::{Head, JOURNAL, MOVED, Moved, PARKED, stream_of};
use crate::reactor::results::Results;

/// After so many facts of the journal, or as many as there are held lanes, one tells all: so telling
/// all costs no more than the facts themselves.
const WHOLE_EVERY: u64 = 256;
/// Results that are written at a time, unless one event has more: well below the store's limits.
const MAX_EVENTS: usize = 4_000;
const MAX_BYTES: usize = 16 << 20;

/// What is to be written with the next append.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) done: VecDeque<Done>,
    /// Lanes whose effect is to begin once that is durable.
    pub(super) begun: Vec<String>,
    /// Lanes whose state is another now.
    pub(super) lanes: BTreeSet<String>,
    /// What was parked, and in which lane.
    pub(super) parked: Vec<(String, Head)>,
    /// What was skipped: positions.
    pub(super) skipped: Vec<u64>,
    pub(super) control: Option<Cursor>,
}

/// A finished event.
pub(crate) struct Done {
    pub(crate) lane: String,
    pub(crate) results: Results,
    /// Whether it is to be written by itself, so that it fails by itself.
    pub(crate) alone: bool,
    pub(crate) cause: Cause,
}

/// An append of the reactor, and what it says.
pub(crate) struct Batch {
    pub(crate) done: Vec<Done>,
    pub(super) begun: Vec<String>,
    pub(super) lanes: BTreeSet<String>,
    pub(super) parked: Vec<(String, Head)>,
    pub(super) skipped: Vec<u64>,
    pub(super) control: Option<Cursor>,
    pub(super) moved: Vec<Moved>,
}

/// What is told of an event that was parked.
#[derive(Serialize)]
struct Parked<'a> {
    reactor: &'a str,
    lane: &'a str,
    #[serde(flatten)]
    head: &'a Head,
}

impl Batch {
    /// Whether it tells all that was done.
    pub(crate) fn is_whole(&self) -> bool {
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

    /// As many finished events as one append may hold.
    fn take_done(&mut self, most: usize) -> Vec<Done> {
        let (mut taken, mut events, mut bytes) = (Vec::<Done>::new(), 0, 0);
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
    /// All that is to be written now, if there is anything.
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
        let moved = self.moved(&mut batch);
        batch.moved = self.perhaps_whole(moved);
        Some(batch)
    }

    /// What the batch changes.
    fn moved(&self, batch: &mut Batch) -> Moved {
        let low = self.window.low();
        let front = |lane: &str| self.lanes.get(lane)?.queue.front();
        let done = batch.done.iter().filter_map(|done| front(&done.lane));
        let done = done.map(|item| item.event.position()).chain(batch.skipped.iter().copied());
        let done = done.filter(|position| *position > low.position).collect();
        // A lane that was held up, or whose effect had begun, is further now.
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
                true => lane.and_then(|lane| lane.fact_when_done()),
                false => lane.and_then(|lane| lane.fact(self.now)),
            };
            (key.clone(), held)
        };
        let lanes = batch.lanes.iter().map(fact).collect();
        let (run, control) = (self.setup.run, batch.control.clone());
        Moved { run, low, done, lanes, control, whole: None }
    }

    /// The change, or once in a while all of it.
    fn perhaps_whole(&self, moved: Moved) -> Vec<Moved> {
        let since = self.journal.next_version() - self.journal.whole_since;
        let every = WHOLE_EVERY.max(self.journal.lanes.len() as u64);
        if since < every && self.journal.version.is_some() {
            return vec![moved];
        }
        let mut after = self.journal.clone();
        after.apply(&moved);
        after.whole(self.setup.run)
    }

    /// The facts with which a run begins: from here on no other counts.
    pub(crate) fn takes_over(&mut self) -> Batch {
        let moved = self.journal.whole(self.setup.run);
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

    /// The append of a batch: the results and the progress, all or nothing.
    pub(crate) fn append_of(&self, batch: &Batch, checkpoint: Option<Cursor>) -> Append {
        let mut append = Append::new();
        for done in &batch.done {
            append = done.results.add_to(append);
        }
        let reactor = &self.setup.reactor;
        let journal = stream_of(JOURNAL, reactor);
        let first = self.journal.next_version();
        for (number, (lane, head)) in (0..).zip(&batch.parked) {
            let data = serde_json::to_vec(&Parked { reactor, lane, head }).unwrap_or_default();
            let event = NewEvent::json("leftfold.Parked", data).tag("reactor", reactor);
            let id = derived(fact_id(self.setup.run, first), number);
            append = append.event(stream_of(PARKED, reactor), event.id(id));
        }
        for (version, moved) in (first..).zip(&batch.moved) {
            let data = serde_json::to_vec(moved).unwrap_or_default();
            let id = fact_id(self.setup.run, version);
            append = append.event(&journal, NewEvent::json(MOVED, data).id(id));
        }
        let expected = self.journal.version.map_or(Expected::NoStream, Expected::Exactly);
        let to =
            batch.moved.last().map_or(self.journal.low.clone(), |moved| moved.low.clone()).cursor;
        let name = checkpoint_of(reactor);
        append.expect(journal, expected).checkpoint(CheckpointMove {
            name,
            expected: checkpoint,
            to,
        })
    }
}

/// The id of a journal's fact: the same when its append is repeated, another for another run.
fn fact_id(run: Uuid, version: u64) -> Uuid {
    let (low, high) = (version as u32, (version >> 32) as u32);
    derived(derived(run, high), low)
}

/// The name of a reactor's checkpoint.
pub(crate) fn checkpoint_of(reactor: &str) -> String {
    format!("reactor/{reactor}")
}
