//! The decisions of a reactor, without any waiting: events, results and the time go in, and work to
//! be done comes out. The engine around it does the waiting.

mod batch;
mod finish;
mod hold;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{Cursor, Query, Recorded, Timestamp};
use leftfold_io::Random;
use uuid::Uuid;

pub(crate) use batch::{Batch, checkpoint_of};
pub(crate) use hold::Page;

use super::cause::Cause;
use super::journal::{HoldState, Journal, LaneState, LowMark};
use super::lane::{Hold, Item, Lane};
use super::options::{Guarantee, Lanes, ReactorLimits, Retry};
use super::place::Place;
use super::status::Gauges;
use super::window::Window;
use batch::Pending;

/// The settings of a run.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) reactor: String,
    /// The partition that this run serves; `None` in a store of one log.
    pub(crate) place: Option<Place>,
    /// Its query without its own streams.
    pub(crate) query: Query,
    pub(crate) run: Uuid,
    pub(crate) guarantee: Guarantee,
    pub(crate) lanes: Lanes,
    pub(crate) retry: Retry,
    pub(crate) limits: ReactorLimits,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) random: Arc<dyn Random>,
}

impl Setup {
    /// Returns the name of the journal, of the requests of operators, and of the checkpoint.
    pub(crate) fn journal_name(&self) -> String {
        self.place.map_or_else(|| self.reactor.clone(), |place| place.name_of(&self.reactor))
    }
}

pub(crate) struct Core {
    setup: Setup,
    now: Timestamp,
    /// The durable state.
    journal: Journal,
    window: Window,
    lanes: HashMap<String, Lane>,
    /// Lanes whose first event may be handled.
    ready: VecDeque<String>,
    /// Lanes whose next events are to be read.
    page_requests: VecDeque<String>,
    /// Lanes that start to wait for a dependency.
    waits: Vec<Wait>,
    /// When lanes are due, each with the number of its hold.
    due: BinaryHeap<Reverse<(i64, u64, String)>>,
    pending: Pending,
    /// The positions of skipped events that have not arrived: their lane may be in step again before.
    skipped: BTreeSet<u64>,
    /// The cursor after the last event that has arrived, and its position.
    last: LowMark,
    last_hold_id: u64,
    running: usize,
    fetching: usize,
    queued: usize,
    queued_bytes: usize,
    held: usize,
    counts: Counts,
}

/// What a reactor has done since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Events whose handler has succeeded, and whose results and progress are durable.
    pub handled: u64,
    /// Calls of the handler that failed.
    pub failed: u64,
    /// Events that were parked.
    pub parked: u64,
    /// Events that had been handled before and were not handled again.
    pub recognised: u64,
}

impl Counts {
    /// Adds what another run has done.
    pub(crate) fn add(&mut self, other: Counts) {
        self.handled += other.handled;
        self.failed += other.failed;
        self.parked += other.parked;
        self.recognised += other.recognised;
    }
}

/// A call of the handler to make.
pub(crate) struct Job {
    pub(crate) lane: String,
    pub(crate) cause: Cause,
}

/// A page of a lane to read.
pub(crate) struct PageRequest {
    pub(crate) lane: String,
    pub(crate) after: Cursor,
    pub(crate) upto: LowMark,
}

/// A lane that waits for a dependency.
pub(crate) struct Wait {
    pub(crate) lane: String,
    pub(crate) hold_id: u64,
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
            page_requests: VecDeque::new(),
            waits: Vec::new(),
            due: BinaryHeap::new(),
            pending: Pending::default(),
            skipped: BTreeSet::new(),
            journal,
            last_hold_id: 0,
            running: 0,
            fetching: 0,
            queued: 0,
            queued_bytes: 0,
            held: 0,
            counts: Counts::default(),
        };
        core.restore_held_lanes();
        core
    }

    pub(crate) fn reactor(&self) -> &str {
        &self.setup.reactor
    }

    /// Returns the name of the journal.
    pub(crate) fn journal_name(&self) -> String {
        self.setup.journal_name()
    }

    /// Returns the partition that the run serves.
    pub(crate) fn place(&self) -> Option<Place> {
        self.setup.place
    }

    /// Returns the query of a lane's events, without those that the reactor excludes.
    pub(crate) fn query_of(&self, lane: &str) -> Query {
        self.setup.query.clone().and(self.setup.lanes.query(lane))
    }

    /// Returns the maximum number of events in a page of a lane.
    pub(crate) fn page_len(&self) -> usize {
        self.setup.limits.queued_per_lane.max(1)
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns the values that a status shows.
    pub(crate) fn gauges(&self, caught_up: bool) -> Gauges {
        Gauges {
            counts: self.counts,
            cursor: self.journal.low.cursor.clone(),
            running: self.running,
            queued: self.queued,
            held_lanes: self.held,
            oldest: self.window.oldest(),
            caught_up,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Returns whether there is room for the next event of the query.
    pub(crate) fn has_room(&self) -> bool {
        let limits = &self.setup.limits;
        self.queued < limits.queued
            && self.queued_bytes <= limits.queued_bytes
            && self.window.len() < limits.window
            && self.held < limits.held_lanes
    }

    /// Returns whether no work is running or pending.
    pub(crate) fn is_idle(&self) -> bool {
        self.running == 0
            && self.fetching == 0
            && self.ready.is_empty()
            && self.page_requests.is_empty()
            && self.queued == 0
            && self.pending.is_empty()
    }

    /// Returns how long a call of the handler may take.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        self.setup.time_limit
    }

    /// Returns the query whose events the reactor handles.
    pub(crate) fn query(&self) -> &Query {
        &self.setup.query
    }

    /// Accepts the next event of the query and the cursor after it.
    pub(crate) fn admit(&mut self, event: Recorded, at: Cursor) {
        let position = event.position();
        let before =
            std::mem::replace(&mut self.last, LowMark { cursor: at.clone(), position }).cursor;
        let number = self.window.admit(position, at.clone(), event.commit_time());
        if self.skipped.remove(&position) || self.journal.done.contains(&position) {
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
            return self.track_alone(&key);
        }
        self.queued += 1;
        self.queued_bytes += item.bytes();
        lane.queue.push_back(item);
        if !std::mem::replace(&mut lane.busy, true) {
            self.make_ready(key);
        }
    }

    /// Makes a lane track its own progress, because its queue is full and later events are read
    /// again.
    fn track_alone(&mut self, key: &str) {
        let (hold_id, upto) = (self.next_hold_id(), self.last.clone());
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(front) = lane.queue.front() else { return };
        let held = LaneState { after: front.before.clone(), head: None, state: HoldState::Behind };
        lane.hold = Some(Hold { held, upto, hold_id });
        for item in &mut lane.queue {
            if let Some(number) = item.number.take() {
                self.window.settle(number, true);
            }
        }
        self.held += 1;
        self.pending.lanes.insert(key.to_owned());
    }

    /// Makes a lane's first event ready to be handled; in at-most-once mode its start is recorded
    /// first.
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

    /// Returns the next call of the handler, if it may start.
    pub(crate) fn next_job(&mut self) -> Option<Job> {
        if self.running >= self.setup.limits.in_flight {
            return None;
        }
        let key = self.ready.pop_front()?;
        let lane = self.lanes.get(&key)?;
        let event = lane.queue.front()?.event.clone();
        let cause = Cause::new(&self.setup.reactor, event, lane.attempts + 1, self.now);
        let cause = Cause { place: self.setup.place, ..cause };
        self.running += 1;
        Some(Job { lane: key, cause })
    }

    /// Returns the next page of a lane to read.
    pub(crate) fn next_page_request(&mut self) -> Option<PageRequest> {
        if self.fetching >= self.setup.limits.in_flight || !self.has_room_for_pages() {
            return None;
        }
        let key = self.page_requests.pop_front()?;
        let hold = self.lanes.get(&key)?.hold.as_ref()?;
        self.fetching += 1;
        Some(PageRequest { after: hold.held.after.clone(), upto: hold.upto.clone(), lane: key })
    }

    /// Returns whether there is room for pages of lanes. The limits are twice those for new events:
    /// otherwise lanes and new events could wait for each other.
    fn has_room_for_pages(&self) -> bool {
        self.queued_bytes <= 2 * self.setup.limits.queued_bytes
            && self.queued < 2 * self.setup.limits.queued
    }

    pub(crate) fn take_waits(&mut self) -> Vec<Wait> {
        std::mem::take(&mut self.waits)
    }

    fn next_hold_id(&mut self) -> u64 {
        self.last_hold_id += 1;
        self.last_hold_id
    }

    /// Returns whether a lane is still in the hold of that number.
    pub(crate) fn is_waiting(&self, key: &str, hold_id: u64) -> bool {
        let lane = self.lanes.get(key).filter(|lane| !lane.busy);
        lane.and_then(|lane| lane.hold.as_ref()).is_some_and(|hold| hold.hold_id == hold_id)
    }

    /// Starts no more work. An at-most-once effect that has not begun is recorded as not begun.
    pub(crate) fn stop(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        let begun = std::mem::take(&mut self.pending.begun);
        self.page_requests.clear();
        for key in ready.into_iter().chain(begun) {
            let lane = self.lanes.get_mut(&key);
            if lane.is_some_and(|lane| std::mem::take(&mut lane.begun)) {
                self.pending.lanes.insert(key);
            }
        }
    }

    /// Returns whether no handler runs and all that is finished is written.
    pub(crate) fn is_stopped(&self) -> bool {
        self.running == 0 && self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use leftfold_api::{NewEvent, Origin};
    use leftfold_io::OsRandom;

    use super::*;
    use crate::react::control::OperatorRequest;
    use crate::react::journal::HeadEvent;

    const ORIGIN: Origin = Origin { store: [1; 4], incarnation: [1; 4] };

    fn event(position: u64) -> (Recorded, Cursor) {
        let new = NewEvent::new("Placed", "");
        let event = Recorded::from_parts("o-1", position - 1, position, Timestamp(0), &new);
        (event.unwrap(), Cursor::at(ORIGIN, position))
    }

    fn parked_at(position: u64) -> Journal {
        let (event, at) = event(position);
        let head = Some(HeadEvent::of(&event, at, Timestamp(0)));
        let held = LaneState { after: Cursor::START, head, state: HoldState::Parked };
        let mut journal =
            Journal { lanes: BTreeMap::from([("o-1".to_owned(), held)]), ..Journal::default() };
        journal.version = Some(0);
        journal
    }

    /// The request is read before the subscription of the events delivers the skipped one: by then
    /// its lane is in step again.
    #[test]
    fn a_skipped_event_that_arrives_late_is_not_handled() {
        let setup = Setup {
            reactor: "r".to_owned(),
            place: None,
            query: Query::All,
            run: Uuid::nil(),
            guarantee: Guarantee::AtLeastOnce,
            lanes: Lanes::default(),
            retry: Retry::default(),
            limits: ReactorLimits::default(),
            time_limit: None,
            random: Arc::new(OsRandom),
        };
        let mut core = Core::new(setup, parked_at(1), Timestamp(0));
        let (lane, stream) = (None, "o-1".to_owned());
        assert!(core.resolve(&OperatorRequest { lane, stream, version: 0, skip: true }));
        let request = core.next_page_request().unwrap();
        let page = Page { events: Vec::new(), cursor: request.after, reached: true };
        core.add_page("o-1", page, request.upto);
        assert_eq!(core.held(), 0);
        for position in [1, 2] {
            let (event, at) = event(position);
            core.admit(event, at);
        }
        let job = core.next_job().unwrap();
        assert_eq!(job.cause.event.position(), 2);
        assert!(core.next_job().is_none());
        // Until the skip is durable, it belongs to each change of the journal.
        let batch = core.next_batch().unwrap();
        assert_eq!(batch.moved.last().map(|moved| moved.low.position), Some(1));
    }
}
