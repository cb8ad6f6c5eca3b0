use std::cmp::Reverse;

use leftfold_api::{Cursor, Query, Recorded, Timestamp};

use super::{Core, Wait};
use crate::reactor::journal::{Head, Held, Low, State};
use crate::reactor::lane::{Hold, Item};

/// Why a parked event was parked that was at work when its reactor was cut short.
const INTERRUPTED: &str =
    "the reactor was cut short while the effect was at work: nobody knows whether it happened";

impl Core {
    /// What was held up before the restart goes on being held up.
    pub(super) fn take_up_held_lanes(&mut self) {
        let held: Vec<_> =
            self.journal.lanes.iter().map(|(key, held)| (key.clone(), held.clone())).collect();
        for (key, mut held) in held {
            if held.state == State::Begun {
                held.state = State::Parked;
                if let Some(head) = &mut held.head {
                    head.reason = INTERRUPTED.to_owned();
                    self.counts.parked += 1;
                    self.pending.parked.push((key.clone(), head.clone()));
                }
                self.pending.lanes.insert(key.clone());
            }
            let turn = self.next_turn();
            let lane = self.lanes.entry(key.clone()).or_default();
            lane.hold = Some(Hold { held, upto: self.last.clone(), turn });
            self.held += 1;
            self.schedule(&key);
        }
    }

    /// Sees to it that a lane goes on when it can.
    fn schedule(&mut self, key: &str) {
        let Some(Hold { held, turn, .. }) = self.lanes.get(key).and_then(|lane| lane.hold.clone())
        else {
            return;
        };
        match held.state {
            State::Behind | State::Begun => self.release(key, turn),
            State::Retry { due } => self.due.push(Reverse((due, turn, key.to_owned()))),
            State::Waiting { query, after, until } => self.wait(key, turn, &query, after, until),
            State::Parked => {}
        }
    }

    fn wait(&mut self, key: &str, turn: u64, query: &str, after: Cursor, until: Option<i64>) {
        if let Some(until) = until {
            self.due.push(Reverse((until, turn, key.to_owned())));
        }
        match query.parse::<Query>() {
            Ok(query) => self.waits.push(Wait { lane: key.to_owned(), turn, query, after }),
            Err(error) => self.park_held(key, &format!("it can't wait for {query}: {error}")),
        }
    }

    /// A lane's first event can't be handled now: the lane answers for itself from here, and what
    /// it had in memory is read again when it goes on.
    pub(super) fn hold(&mut self, key: &str, state: State, reason: String) {
        let (turn, now, last) = (self.next_turn(), self.now, self.last.clone());
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(front) = lane.queue.front() else { return };
        let since = *lane.since.get_or_insert(now);
        let head = Head { reason, since: since.micros(), ..lane.head(front, now) };
        let (after, newly) = match &lane.hold {
            Some(hold) => (hold.held.after.clone(), false),
            None => (front.before.clone(), true),
        };
        let held = Held { after, head: Some(head.clone()), state };
        // All of the lane that has come lies at or before what has come at all.
        let upto = lane.hold.as_ref().map_or(last, |hold| hold.upto.clone());
        lane.hold = Some(Hold { held, upto, turn });
        (lane.busy, lane.begun) = (false, false);
        let queue = std::mem::take(&mut lane.queue);
        queue.into_iter().for_each(|item| self.forget(item));
        self.held += usize::from(newly);
        self.pending.lanes.insert(key.to_owned());
        if matches!(self.state(key), Some(State::Parked)) {
            self.announce(key, head);
        }
        self.schedule(key);
    }

    /// An event leaves memory because its lane answers for it.
    fn forget(&mut self, item: Item) {
        self.queued -= 1;
        self.queued_bytes -= item.bytes();
        if let Some(number) = item.number {
            self.window.settle(number, true);
        }
    }

    fn announce(&mut self, key: &str, head: Head) {
        self.counts.parked += 1;
        self.pending.parked.push((key.to_owned(), head));
    }

    fn state(&self, key: &str) -> Option<&State> {
        self.lanes.get(key)?.hold.as_ref().map(|hold| &hold.held.state)
    }

    /// Parks what a lane is held up at.
    fn park_held(&mut self, key: &str, reason: &str) {
        let turn = self.next_turn();
        let Some(hold) = self.lanes.get_mut(key).and_then(|lane| lane.hold.as_mut()) else {
            return;
        };
        hold.turn = turn;
        hold.held.state = State::Parked;
        let head = hold.held.head.as_mut().map(|head| {
            head.reason = reason.to_owned();
            head.clone()
        });
        self.pending.lanes.insert(key.to_owned());
        if let Some(head) = head {
            self.announce(key, head);
        }
    }

    /// What a lane waits for can't be waited for.
    pub(crate) fn can_not_wait(&mut self, key: &str, turn: u64) {
        if self.is_waiting(key, turn) {
            self.park_held(key, "it can't wait for what a named index holds: name what it holds");
        }
    }

    /// A lane goes on, if it is still held up for the reason of that turn.
    fn release(&mut self, key: &str, turn: u64) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(hold) = lane.hold.as_mut().filter(|hold| hold.turn == turn) else { return };
        if let Some(head) = &hold.held.head {
            lane.attempts = head.attempts;
            lane.since = Some(Timestamp(head.since));
        }
        if !std::mem::replace(&mut lane.busy, true) {
            self.fetches.push_back(key.to_owned());
        }
    }

    /// Something came that a lane waits for.
    pub(crate) fn woken(&mut self, key: &str, turn: u64, at: Cursor) {
        if let Some(lane) = self.lanes.get_mut(key)
            && lane.hold.as_ref().is_some_and(|hold| hold.turn == turn)
        {
            lane.woken = Some(at);
            self.release(key, turn);
        }
    }

    /// When the next lane's time comes.
    pub(crate) fn next_due(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((due, turn, key))) = self.due.peek() {
            let lane = self.lanes.get(key);
            let hold = lane.filter(|lane| !lane.busy).and_then(|lane| lane.hold.as_ref());
            if hold.is_some_and(|hold| hold.turn == *turn) {
                return Some(Timestamp(*due));
            }
            self.due.pop();
        }
        None
    }

    /// Lets all go on whose time has come.
    pub(crate) fn wake_due(&mut self) {
        while self.next_due().is_some_and(|due| due <= self.now) {
            let Some(Reverse((_, turn, key))) = self.due.pop() else { return };
            match self.state(&key) {
                Some(State::Waiting { query, until: Some(until), .. }) => {
                    let until = Timestamp(*until);
                    let reason = format!("waited for {query} until {until}");
                    self.park_held(&key, &reason);
                }
                _ => self.release(&key, turn),
            }
        }
    }

    /// A page of a lane was read: events that had come when it was asked for. What comes later
    /// comes by itself.
    pub(crate) fn fetched(&mut self, key: &str, page: Page, upto: Low) {
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
        // Nothing of the lane lies before this.
        hold.held.after = page.cursor;
        if page.reached && hold.upto == upto {
            self.free(key);
        } else {
            self.fetches.push_back(key.to_owned());
        }
    }

    /// A lane is in step again.
    fn free(&mut self, key: &str) {
        self.lanes.remove(key);
        self.held -= 1;
        self.pending.lanes.insert(key.to_owned());
    }

    /// Somebody wants a parked event to be tried again, or skipped. Says whether it was parked.
    pub(crate) fn resolve(&mut self, stream: &str, version: u64, skip: bool) -> bool {
        let is_it = |head: &Head| head.stream == stream && head.version == version;
        let key = self.lanes.iter().find_map(|(key, lane)| {
            let held = &lane.hold.as_ref()?.held;
            let parked = held.state == State::Parked && held.head.as_ref().is_some_and(is_it);
            parked.then(|| key.clone())
        });
        let Some(key) = key else { return false };
        let turn = self.next_turn();
        let Some(lane) = self.lanes.get_mut(&key) else { return false };
        let Some(hold) = &mut lane.hold else { return false };
        let head = hold.held.head.take();
        hold.held.state = State::Behind;
        hold.turn = turn;
        if let Some(head) = head.filter(|_| skip) {
            hold.held.after = head.at;
            self.pending.skipped.push(head.position);
        }
        (lane.attempts, lane.since, lane.woken) = (0, None, None);
        self.pending.lanes.insert(key.clone());
        self.release(&key, turn);
        true
    }

    /// Requests of people were heard up to here.
    pub(crate) fn heard(&mut self, control: Cursor) {
        self.pending.control = Some(control);
    }
}

/// Events of a lane, each with the cursor after it.
pub(crate) struct Page {
    pub(crate) events: Vec<(Recorded, Cursor)>,
    /// After all that was looked at.
    pub(crate) cursor: Cursor,
    /// Whether all was looked at that was asked for.
    pub(crate) reached: bool,
}
