use leftfold_api::Cursor;

use super::batch::Done;
use super::{Batch, Core};
use crate::reactor::cause::Cause;
use crate::reactor::journal::State;
use crate::reactor::options::Guarantee;
use crate::reactor::results::Results;
use crate::reactor::setback::{Setback, Then};

/// Bytes that are kept of a reason.
const MAX_REASON: usize = 2_000;

impl Core {
    /// A handler has ended.
    pub(crate) fn finished(&mut self, key: &str, cause: Cause, ended: Result<Results, Setback>) {
        self.at_work -= 1;
        match ended {
            Ok(results) => {
                let results = results.caused_by(&cause);
                let alone = results.is_conditional();
                let lane = key.to_owned();
                self.pending.done.push_back(Done { lane, results, alone, cause });
            }
            Err(setback) => self.set_back(key, setback),
        }
    }

    fn set_back(&mut self, key: &str, setback: Setback) {
        let reason = shortened(setback.reason);
        let state = match setback.then {
            Then::Wait { query, after, until } => {
                let after =
                    after.or_else(|| self.lanes.get(key)?.woken.clone()).unwrap_or(Cursor::START);
                let (query, until) = (query.to_string(), until.map(|time| time.micros()));
                State::Waiting { query, after, until }
            }
            Then::Later(when) => State::Retry { due: when.micros() },
            then => self.failed(key, then == Then::Park),
        };
        self.hold(key, state, reason);
    }

    /// Counts a failed attempt; says what follows.
    fn failed(&mut self, key: &str, park: bool) -> State {
        self.counts.failed += 1;
        let Some(lane) = self.lanes.get_mut(key) else { return State::Parked };
        lane.attempts += 1;
        let used_up = lane.attempts >= self.setup.retry.attempts.max(1);
        if park || used_up || self.setup.guarantee == Guarantee::AtMostOnce {
            return State::Parked;
        }
        let wait = self.setup.retry.wait_micros(lane.attempts, &*self.setup.random);
        State::Retry { due: self.now.micros().saturating_add(wait) }
    }

    /// An append of the reactor is durable.
    pub(crate) fn committed(&mut self, batch: Batch) {
        batch.moved.iter().for_each(|moved| self.journal.apply(moved));
        self.window.drop_upto(self.journal.low.clone());
        for done in &batch.done {
            self.counts.handled += 1;
            self.go_on(&done.lane);
        }
        self.ready.extend(batch.begun);
    }

    /// A lane's first event is finished: the next, if there is one.
    fn go_on(&mut self, key: &str) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(item) = lane.pop() {
            self.queued -= 1;
            self.queued_bytes -= item.bytes();
        }
        if !lane.queue.is_empty() {
            self.make_ready(key.to_owned());
        } else if lane.hold.is_some() {
            self.fetches.push_back(key.to_owned());
        } else {
            lane.busy = false;
            if lane.is_idle() {
                self.lanes.remove(key);
            }
        }
    }

    /// Results did not find what they rest on: the handler is to read again and decide again.
    pub(crate) fn conflicted(&mut self, batch: Batch, reason: &str) {
        for done in self.take_back(batch) {
            let Some(lane) = self.lanes.get_mut(&done.lane) else { continue };
            lane.conflicts += 1;
            let may_repeat = self.setup.guarantee == Guarantee::AtLeastOnce;
            if may_repeat && lane.conflicts <= self.setup.limits.conflicts {
                self.ready.push_back(done.lane);
            } else {
                lane.conflicts = 0;
                self.set_back(&done.lane, Setback::retry(reason));
            }
        }
    }

    /// Results that the store will never take: no attempt can help.
    pub(crate) fn refused(&mut self, batch: Batch, reason: &str) {
        for done in self.take_back(batch) {
            self.set_back(&done.lane, Setback::park(reason));
        }
    }

    /// The results are in the store already: only the progress is to be written.
    pub(crate) fn recognised(&mut self, batch: Batch) {
        for done in self.take_back(batch) {
            self.counts.recognised += 1;
            self.pending.done.push_front(Done { results: Results::none(), ..done });
        }
    }

    /// One of several was not taken: each is to be written by itself.
    pub(crate) fn split(&mut self, batch: Batch) {
        for done in self.take_back(batch).into_iter().rev() {
            self.pending.done.push_front(Done { alone: true, ..done });
        }
    }

    /// What was not written is to be written later; gives what was done.
    fn take_back(&mut self, batch: Batch) -> Vec<Done> {
        for done in &batch.done {
            let lane = self.lanes.get(&done.lane);
            if let Some(number) = lane.and_then(|lane| lane.queue.front()?.number) {
                self.window.settle(number, false);
            }
        }
        self.pending.begun.extend(batch.begun);
        self.pending.lanes.extend(batch.lanes);
        self.pending.parked.extend(batch.parked);
        self.pending.skipped.extend(batch.skipped);
        self.pending.control = self.pending.control.clone().or(batch.control);
        batch.done
    }
}

fn shortened(mut reason: String) -> String {
    let end = (0..=MAX_REASON.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at));
    reason.truncate(end.unwrap_or_default());
    reason
}
