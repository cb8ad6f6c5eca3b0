//! What a reactor decides, without any waiting: events, answers and the time come in, what is to be
//! done comes out. The engine around it does the waiting.

mod batch;
mod finish;
mod hold;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use leftfold_api::{Cursor, Query, Recorded, Timestamp};
use leftfold_io::Random;
use uuid::Uuid;

pub(crate) use batch::{Batch, checkpoint_of};
pub(crate) use hold::Page;

use super::cause::Cause;
use super::journal::{Held, Journal, Low, State};
use super::lane::{Hold, Item, Lane};
use super::options::{Guarantee, Lanes, ReactorLimits, Retry};
use super::window::Window;
use batch::Pending;

/// What does not change while a reactor runs.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) reactor: String,
    /// What it reacts to, without its own bookkeeping.
    pub(crate) query: Query,
    pub(crate) run: Uuid,
    pub(crate) guarantee: Guarantee,
    pub(crate) lanes: Lanes,
    pub(crate) retry: Retry,
    pub(crate) limits: ReactorLimits,
    pub(crate) random: Arc<dyn Random>,
}

pub(crate) struct Core {
    setup: Setup,
    now: Timestamp,
    /// What is durable.
    journal: Journal,
    window: Window,
    lanes: HashMap<String, Lane>,
    /// Lanes whose first event may be handled.
    ready: VecDeque<String>,
    /// Lanes whose next events are to be read.
    fetches: VecDeque<String>,
    /// Lanes that begin to wait for something.
    waits: Vec<Wait>,
    /// When a lane's time comes, and which of its turns that was for.
    due: BinaryHeap<Reverse<(i64, u64, String)>>,
    pending: Pending,
    /// After the last event that came, and its position.
    last: Low,
    turns: u64,
    at_work: usize,
    fetching: usize,
    queued: usize,
    queued_bytes: usize,
    held: usize,
    counts: Counts,
}

/// What a reactor has done since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Events whose handler has ended well, and whose results and progress are durable.
    pub handled: u64,
    /// Calls of the handler that failed.
    pub failed: u64,
    /// Events that were parked.
    pub parked: u64,
    /// Events that had been handled before, and were not handled again.
    pub recognised: u64,
}

/// A call of the handler.
pub(crate) struct Job {
    pub(crate) lane: String,
    pub(crate) cause: Cause,
}

/// A page of a lane.
pub(crate) struct Fetch {
    pub(crate) lane: String,
    pub(crate) after: Cursor,
    pub(crate) upto: Low,
}

/// A lane that waits for something.
pub(crate) struct Wait {
    pub(crate) lane: String,
    pub(crate) turn: u64,
    pub(crate) query: Query,
    pub(crate) after: Cursor,
}

impl Core {
    pub(crate) fn new(setup: Setup, journal: Journal, now: Timestamp) -> Self {
        let setup = Setup { limits: setup.limits.workable(), ..setup };
        let mut core = Core {
            setup,
            now,
            window: Window::at(journal.low.clone()),
            last: journal.low.clone(),
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            fetches: VecDeque::new(),
            waits: Vec::new(),
            due: BinaryHeap::new(),
            pending: Pending::default(),
            journal,
            turns: 0,
            at_work: 0,
            fetching: 0,
            queued: 0,
            queued_bytes: 0,
            held: 0,
            counts: Counts::default(),
        };
        core.take_up_held_lanes();
        core
    }

    pub(crate) fn reactor(&self) -> &str {
        &self.setup.reactor
    }

    /// What yields the events of a lane that are the reactor's.
    pub(crate) fn query_of(&self, lane: &str) -> Query {
        self.setup.query.clone().and(self.setup.lanes.query(lane))
    }

    /// Events of a lane that are read at a time.
    pub(crate) fn page_len(&self) -> usize {
        self.setup.limits.queued_per_lane.max(1)
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Whether the next event of the query may come.
    pub(crate) fn wants_more(&self) -> bool {
        let limits = &self.setup.limits;
        self.queued < limits.queued
            && self.queued_bytes <= limits.queued_bytes
            && self.window.len() < limits.window
            && self.held < limits.held_lanes
    }

    /// Whether nothing is at work or on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.at_work == 0
            && self.fetching == 0
            && self.ready.is_empty()
            && self.fetches.is_empty()
            && self.queued == 0
            && self.pending.is_empty()
    }

    /// Returns the query whose events the reactor handles.
    pub(crate) fn query(&self) -> &Query {
        &self.setup.query
    }

    /// The next event of the query, and the cursor after it.
    pub(crate) fn admit(&mut self, event: Recorded, at: Cursor) {
        let position = event.position();
        let before = std::mem::replace(&mut self.last, Low { cursor: at.clone(), position }).cursor;
        let number = self.window.admit(position, at.clone());
        if self.journal.done.contains(&position) {
            self.counts.recognised += 1;
            return self.window.settle(number, true);
        }
        let key = self.setup.lanes.of(&event);
        let per_lane = self.setup.limits.queued_per_lane;
        let item = Item { event, before, at, number: Some(number) };
        let lane = self.lanes.entry(key.clone()).or_default();
        if let Some(hold) = &mut lane.hold {
            hold.upto = self.last.clone();
            return self.window.settle(number, true);
        }
        if lane.queue.len() >= per_lane {
            self.window.settle(number, true);
            return self.fall_behind(&key);
        }
        self.queued += 1;
        self.queued_bytes += item.bytes();
        lane.queue.push_back(item);
        if !std::mem::replace(&mut lane.busy, true) {
            self.make_ready(key);
        }
    }

    /// A lane has so much in memory that the rest is read later: from now on it answers for itself.
    fn fall_behind(&mut self, key: &str) {
        let (turn, upto) = (self.next_turn(), self.last.clone());
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(front) = lane.queue.front() else { return };
        let held = Held { after: front.before.clone(), head: None, state: State::Behind };
        lane.hold = Some(Hold { held, upto, turn });
        for item in &mut lane.queue {
            if let Some(number) = item.number.take() {
                self.window.settle(number, true);
            }
        }
        self.held += 1;
        self.pending.lanes.insert(key.to_owned());
    }

    /// Lets a lane's first event be handled; one that may happen once is noted before.
    fn make_ready(&mut self, key: String) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.busy = true;
        if self.setup.guarantee == Guarantee::AtMostOnce && !lane.begun {
            lane.begun = true;
            self.pending.lanes.insert(key.clone());
            self.pending.begun.push(key);
        } else {
            self.ready.push_back(key);
        }
    }

    /// The next call of the handler, if it may begin.
    pub(crate) fn next_job(&mut self) -> Option<Job> {
        if self.at_work >= self.setup.limits.in_flight {
            return None;
        }
        let key = self.ready.pop_front()?;
        let lane = self.lanes.get(&key)?;
        let event = lane.queue.front()?.event.clone();
        let cause = Cause::new(&self.setup.reactor, event, lane.attempts + 1, self.now);
        self.at_work += 1;
        Some(Job { lane: key, cause })
    }

    /// The next page of a lane to be read.
    pub(crate) fn next_fetch(&mut self) -> Option<Fetch> {
        if self.fetching >= self.setup.limits.in_flight || !self.wants_fetched() {
            return None;
        }
        let key = self.fetches.pop_front()?;
        let hold = self.lanes.get(&key)?.hold.as_ref()?;
        self.fetching += 1;
        Some(Fetch { after: hold.held.after.clone(), upto: hold.upto.clone(), lane: key })
    }

    /// Whether there is room for what lanes read. What is there for them must not wait for what
    /// comes new, or both would wait for each other.
    fn wants_fetched(&self) -> bool {
        self.queued_bytes <= 2 * self.setup.limits.queued_bytes
            && self.queued < 2 * self.setup.limits.queued
    }

    pub(crate) fn take_waits(&mut self) -> Vec<Wait> {
        std::mem::take(&mut self.waits)
    }

    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Whether a lane still waits for the reason of that turn.
    pub(crate) fn is_waiting(&self, key: &str, turn: u64) -> bool {
        let lane = self.lanes.get(key).filter(|lane| !lane.busy);
        lane.and_then(|lane| lane.hold.as_ref()).is_some_and(|hold| hold.turn == turn)
    }

    /// Nothing is begun any more. What may happen once and was not begun has not happened.
    pub(crate) fn wind_down(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        let begun = std::mem::take(&mut self.pending.begun);
        self.fetches.clear();
        for key in ready.into_iter().chain(begun) {
            let lane = self.lanes.get_mut(&key);
            if lane.is_some_and(|lane| std::mem::take(&mut lane.begun)) {
                self.pending.lanes.insert(key);
            }
        }
    }

    /// Whether nothing is at work, and all that is finished is written.
    pub(crate) fn is_wound_down(&self) -> bool {
        self.at_work == 0 && self.pending.is_empty()
    }
}
