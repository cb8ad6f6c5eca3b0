use leftfold_api::Cursor;

use super::batch::FinishedEvent;
use super::{Batch, Core};
use crate::react::cause::Cause;
use crate::react::handler_error::{HandlerError, NextStep};
use crate::react::journal::HoldState;
use crate::react::options::Guarantee;
use crate::react::reaction::Reaction;

/// The most bytes of a reason that are stored.
const MAX_REASON: usize = 2_000;

impl Core {
    /// Handles the result of a handler.
    pub(crate) fn finish_handler(
        &mut self,
        key: &str,
        cause: Cause,
        ended: Result<Reaction, HandlerError>,
    ) {
        self.running -= 1;
        match ended {
            Ok(results) => {
                let results = results.caused_by(&cause);
                let alone = results.is_conditional();
                let lane = key.to_owned();
                self.pending.done.push_back(FinishedEvent { lane, results, alone, cause });
            }
            Err(HandlerError { reason, then: NextStep::Again }) => self.decide_again(key, &reason),
            Err(setback) => self.apply_setback(key, setback),
        }
    }

    /// Calls a lane's handler again, because a condition of its results does not hold.
    fn decide_again(&mut self, key: &str, reason: &str) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.conflicts += 1;
        let may_repeat = self.setup.guarantee == Guarantee::AtLeastOnce;
        if may_repeat && lane.conflicts <= self.setup.limits.conflicts {
            self.ready.push_back(key.to_owned());
        } else {
            lane.conflicts = 0;
            self.apply_setback(key, HandlerError::retry(reason));
        }
    }

    fn apply_setback(&mut self, key: &str, setback: HandlerError) {
        let reason = truncate_reason(setback.reason);
        let state = match setback.then {
            NextStep::Wait { query, after, until } => {
                let after =
                    after.or_else(|| self.lanes.get(key)?.woken.clone()).unwrap_or(Cursor::START);
                let (query, until) = (query.to_string(), until.map(|time| time.micros()));
                HoldState::Waiting { query, after, until }
            }
            NextStep::Later(when) => HoldState::Retry { due: when.micros() },
            NextStep::RetryAt(when) => match self.count_failure(key, false) {
                HoldState::Retry { .. } => HoldState::Retry { due: when.micros() },
                state => state,
            },
            then => self.count_failure(key, then == NextStep::Park),
        };
        self.hold(key, state, reason);
    }

    /// Counts a failed attempt; returns the state that follows.
    fn count_failure(&mut self, key: &str, park: bool) -> HoldState {
        self.counts.failed += 1;
        let Some(lane) = self.lanes.get_mut(key) else { return HoldState::Parked };
        lane.attempts += 1;
        let used_up = lane.attempts >= self.setup.retry.attempts.max(1);
        if park || used_up || self.setup.guarantee == Guarantee::AtMostOnce {
            return HoldState::Parked;
        }
        let wait = self.setup.retry.wait_micros(lane.attempts, &*self.setup.random);
        HoldState::Retry { due: self.now.micros().saturating_add(wait) }
    }

    /// Handles a batch that is durable.
    pub(crate) fn finish_batch(&mut self, batch: Batch) {
        batch.moved.iter().for_each(|moved| self.journal.apply(moved));
        self.window.drop_upto(self.journal.low.clone());
        for done in &batch.done {
            self.counts.handled += 1;
            self.advance(&done.lane);
        }
        self.ready.extend(batch.begun);
    }

    /// Finishes a lane's first event and starts the next, if there is one.
    fn advance(&mut self, key: &str) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(item) = lane.pop() {
            self.queued -= 1;
            self.queued_bytes -= item.bytes();
        }
        if !lane.queue.is_empty() {
            self.make_ready(key.to_owned());
        } else if lane.hold.is_some() {
            self.page_requests.push_back(key.to_owned());
        } else {
            lane.busy = false;
            if lane.is_idle() {
                self.lanes.remove(key);
            }
        }
    }

    /// Handles results whose conditions did not hold: the handler reads and decides again.
    pub(crate) fn retry_conflict(&mut self, batch: Batch, reason: &str) {
        for done in self.restore_pending(batch) {
            self.decide_again(&done.lane, reason);
        }
    }

    /// Parks results that the store will never accept.
    pub(crate) fn park_refused(&mut self, batch: Batch, reason: &str) {
        for done in self.restore_pending(batch) {
            self.apply_setback(&done.lane, HandlerError::park(reason));
        }
    }

    /// Handles results that are already in the store: only the progress is left to write.
    pub(crate) fn drop_results(&mut self, batch: Batch) {
        for done in self.restore_pending(batch) {
            self.counts.recognised += 1;
            self.pending.done.push_front(FinishedEvent { results: Reaction::none(), ..done });
        }
    }

    /// Splits a batch that failed: each result gets an append of its own.
    pub(crate) fn split_batch(&mut self, batch: Batch) {
        for done in self.restore_pending(batch).into_iter().rev() {
            self.pending.done.push_front(FinishedEvent { alone: true, ..done });
        }
    }

    /// Returns the content of a batch that was not written to the pending state; returns its
    /// results.
    fn restore_pending(&mut self, batch: Batch) -> Vec<FinishedEvent> {
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

fn truncate_reason(mut reason: String) -> String {
    let end = (0..=MAX_REASON.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at));
    reason.truncate(end.unwrap_or_default());
    reason
}
