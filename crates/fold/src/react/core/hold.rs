use std::cmp::Reverse;

use leftfold_api::{Cursor, Query, Recorded, Timestamp};

use super::{Core, Wait};
use crate::react::control::OperatorRequest;
use crate::react::journal::{HeadEvent, HoldState, LaneState, LowMark};
use crate::react::lane::{Hold, Item, Lane};

/// The reason of events that were being handled when their reactor was interrupted.
const INTERRUPTED: &str =
    "the reactor was interrupted during the effect, so its outcome is unknown";

impl Core {
    /// Restores the lanes that were held up before the restart.
    pub(super) fn restore_held_lanes(&mut self) {
        let held: Vec<_> =
            self.journal.lanes.iter().map(|(key, held)| (key.clone(), held.clone())).collect();
        for (key, mut held) in held {
            if held.state == HoldState::Begun {
                held.state = HoldState::Parked;
                if let Some(head) = &mut held.head {
                    head.reason = INTERRUPTED.to_owned();
                    self.counts.parked += 1;
                    self.pending.parked.push((key.clone(), head.clone()));
                }
                self.pending.lanes.insert(key.clone());
            }
            let hold_id = self.next_hold_id();
            let lane = self.lanes.entry(key.clone()).or_default();
            lane.hold = Some(Hold { held, upto: self.last.clone(), hold_id });
            self.held += 1;
            self.schedule(&key);
        }
    }

    /// Schedules when a lane continues.
    fn schedule(&mut self, key: &str) {
        let Some(Hold { held, hold_id, .. }) =
            self.lanes.get(key).and_then(|lane| lane.hold.clone())
        else {
            return;
        };
        match held.state {
            HoldState::Behind | HoldState::Begun => self.resume(key, hold_id),
            HoldState::Retry { due } => self.due.push(Reverse((due, hold_id, key.to_owned()))),
            HoldState::Waiting { query, after, until } => {
                self.start_wait(key, hold_id, &query, after, until)
            }
            HoldState::Parked => {}
        }
    }

    fn start_wait(
        &mut self,
        key: &str,
        hold_id: u64,
        query: &str,
        after: Cursor,
        until: Option<i64>,
    ) {
        if let Some(until) = until {
            self.due.push(Reverse((until, hold_id, key.to_owned())));
        }
        match query.parse::<Query>() {
            Ok(query) => self.waits.push(Wait { lane: key.to_owned(), hold_id, query, after }),
            Err(error) => self.park_hold(key, &format!("it can't wait for {query}: {error}")),
        }
    }

    /// Holds up a lane, because its first event can't be handled now. From here the lane tracks its
    /// own progress; its events in memory are dropped and read again when it continues.
    pub(super) fn hold(&mut self, key: &str, state: HoldState, reason: String) {
        let (hold_id, now, last) = (self.next_hold_id(), self.now, self.last.clone());
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(front) = lane.queue.front() else { return };
        let since = *lane.since.get_or_insert(now);
        let head = HeadEvent { reason, since: since.micros(), ..lane.head(front, now) };
        let (after, newly) = match &lane.hold {
            Some(hold) => (hold.held.after.clone(), false),
            None => (front.before.clone(), true),
        };
        let held = LaneState { after, head: Some(head.clone()), state };
        // All arrived events of the lane are at or before the last event that has arrived at all.
        let upto = lane.hold.as_ref().map_or(last, |hold| hold.upto.clone());
        lane.hold = Some(Hold { held, upto, hold_id });
        (lane.busy, lane.begun) = (false, false);
        let queue = std::mem::take(&mut lane.queue);
        queue.into_iter().for_each(|item| self.drop_item(item));
        self.held += usize::from(newly);
        self.pending.lanes.insert(key.to_owned());
        if matches!(self.state(key), Some(HoldState::Parked)) {
            self.announce_parking(key, head);
        }
        self.schedule(key);
    }

    /// Drops an event from memory whose lane tracks its own progress.
    fn drop_item(&mut self, item: Item) {
        self.queued -= 1;
        self.queued_bytes -= item.bytes();
        if let Some(number) = item.number {
            self.window.settle(number, true);
        }
    }

    fn announce_parking(&mut self, key: &str, head: HeadEvent) {
        self.counts.parked += 1;
        self.pending.parked.push((key.to_owned(), head));
    }

    fn state(&self, key: &str) -> Option<&HoldState> {
        self.lanes.get(key)?.hold.as_ref().map(|hold| &hold.held.state)
    }

    /// Parks the event that holds up a lane.
    fn park_hold(&mut self, key: &str, reason: &str) {
        let hold_id = self.next_hold_id();
        let Some(hold) = self.lanes.get_mut(key).and_then(|lane| lane.hold.as_mut()) else {
            return;
        };
        hold.hold_id = hold_id;
        hold.held.state = HoldState::Parked;
        let head = hold.held.head.as_mut().map(|head| {
            head.reason = reason.to_owned();
            head.clone()
        });
        self.pending.lanes.insert(key.to_owned());
        if let Some(head) = head {
            self.announce_parking(key, head);
        }
    }

    /// Parks the event of a lane whose wait is not possible.
    pub(crate) fn reject_wait(&mut self, key: &str, hold_id: u64) {
        if self.is_waiting(key, hold_id) {
            self.park_hold(key, "a wait can't name an index: use the index's query instead");
        }
    }

    /// Lets a lane continue, if it is still in the hold of that number.
    fn resume(&mut self, key: &str, hold_id: u64) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(hold) = lane.hold.as_mut().filter(|hold| hold.hold_id == hold_id) else { return };
        if let Some(head) = &hold.held.head {
            lane.attempts = head.attempts;
            lane.since = Some(Timestamp(head.since));
        }
        if !std::mem::replace(&mut lane.busy, true) {
            self.page_requests.push_back(key.to_owned());
        }
    }

    /// Handles an event that a lane waits for.
    pub(crate) fn wake(&mut self, key: &str, hold_id: u64, at: Cursor) {
        if let Some(lane) = self.lanes.get_mut(key)
            && lane.hold.as_ref().is_some_and(|hold| hold.hold_id == hold_id)
        {
            lane.woken = Some(at);
            self.resume(key, hold_id);
        }
    }

    /// Returns when the next lane is due.
    pub(crate) fn next_due(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((due, hold_id, key))) = self.due.peek() {
            let lane = self.lanes.get(key);
            let hold = lane.filter(|lane| !lane.busy).and_then(|lane| lane.hold.as_ref());
            if hold.is_some_and(|hold| hold.hold_id == *hold_id) {
                return Some(Timestamp(*due));
            }
            self.due.pop();
        }
        None
    }

    /// Lets all lanes continue that are due.
    pub(crate) fn wake_due(&mut self) {
        while self.next_due().is_some_and(|due| due <= self.now) {
            let Some(Reverse((_, hold_id, key))) = self.due.pop() else { return };
            match self.state(&key) {
                Some(HoldState::Waiting { query, until: Some(until), .. }) => {
                    let until = Timestamp(*until);
                    let reason = format!("waited for {query} until {until}");
                    self.park_hold(&key, &reason);
                }
                _ => self.resume(&key, hold_id),
            }
        }
    }

    /// Handles a page of a lane: its events up to the time of the request. Later events are
    /// delivered by the subscription.
    pub(crate) fn add_page(&mut self, key: &str, page: Page, upto: LowMark) {
        self.fetching -= 1;
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(hold) = &mut lane.hold else { return };
        let mut before = hold.held.after.clone();
        for (event, at) in page.events {
            if self.setup.lanes.of(&event) == key {
                let item = Item { event, before, at: at.clone(), number: None };
                before = at;
                self.queued += 1;
                self.queued_bytes += item.bytes();
                lane.queue.push_back(item);
            }
        }
        if !lane.queue.is_empty() {
            return self.make_ready(key.to_owned());
        }
        // The lane has no events before this cursor.
        hold.held.after = page.cursor;
        if page.reached && hold.upto == upto {
            self.end_hold(key);
        } else {
            self.page_requests.push_back(key.to_owned());
        }
    }

    /// Puts a lane in step again.
    fn end_hold(&mut self, key: &str) {
        self.lanes.remove(key);
        self.held -= 1;
        self.pending.lanes.insert(key.to_owned());
    }

    /// Retries or skips a parked event at an operator's request. Returns whether it was parked.
    pub(crate) fn resolve(&mut self, request: &OperatorRequest) -> bool {
        let is_it =
            |head: &HeadEvent| head.stream == request.stream && head.version == request.version;
        let is_parked = |lane: &Lane| {
            let held = lane.hold.as_ref().map(|hold| &hold.held);
            held.is_some_and(|held| {
                held.state == HoldState::Parked && held.head.as_ref().is_some_and(is_it)
            })
        };
        let key = match &request.lane {
            Some(key) => self.lanes.get(key).filter(|lane| is_parked(lane)).map(|_| key.clone()),
            None => self.lanes.iter().find(|(_, lane)| is_parked(lane)).map(|it| it.0.clone()),
        };
        let Some(key) = key else { return false };
        let hold_id = self.next_hold_id();
        let Some(lane) = self.lanes.get_mut(&key) else { return false };
        let Some(hold) = &mut lane.hold else { return false };
        let head = hold.held.head.take();
        hold.held.state = HoldState::Behind;
        hold.hold_id = hold_id;
        if let Some(head) = head.filter(|_| request.skip) {
            hold.held.after = head.at;
            self.pending.skipped.push(head.position);
            if head.position > self.last.position {
                self.skipped.insert(head.position);
            }
        }
        (lane.attempts, lane.since, lane.woken) = (0, None, None);
        self.pending.lanes.insert(key.clone());
        self.resume(&key, hold_id);
        true
    }

    /// Records up to where the operators' requests were read.
    pub(crate) fn record_requests(&mut self, control: Cursor) {
        self.pending.control = Some(control);
    }
}

/// A page of a lane's events, each with the cursor after it.
pub(crate) struct Page {
    pub(crate) events: Vec<(Recorded, Cursor)>,
    /// The cursor after the last event that was read.
    pub(crate) cursor: Cursor,
    /// Whether all was read that was asked for.
    pub(crate) reached: bool,
}
