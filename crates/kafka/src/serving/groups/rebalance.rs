//! Rebalances: how a group gets to its next generation, and what its deadlines do.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::answers;
use super::state::{Phase, State, after};

/// The shortest time between two attempts to complete a rebalance that no member joined.
const MIN_RETRY: Duration = Duration::from_secs(1);

/// The time in which the members of a group must join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    ends: Instant,
    /// By how much it can still be extended, if it is the first of an empty group. Such a window never ends
    /// early.
    extension: Option<Duration>,
    /// A member arrived since it was opened or extended.
    has_newcomer: bool,
}

impl Window {
    pub(super) fn note_newcomer(&mut self) {
        self.has_newcomer = true;
    }
}

impl State {
    /// Asks all members to join again. Members that wait for an assignment get an error.
    pub(super) fn prepare_rebalance(&mut self, now: Instant) {
        if self.phase == Phase::Completing {
            self.fail_syncs(ResponseError::RebalanceInProgress, now);
        }
        self.sync_by = None;
        let timeout = self.rebalance_timeout();
        if self.phase == Phase::Empty {
            let delay = self.limits.initial_delay;
            self.open_window(after(now, delay), Some(timeout.saturating_sub(delay)));
            if delay.is_zero() {
                self.complete_join(now);
            }
        } else {
            self.open_window(after(now, timeout), None);
            self.try_complete_join(now);
        }
    }

    /// As [`prepare_rebalance`](Self::prepare_rebalance), unless the group has no generation or is preparing
    /// already.
    pub(super) fn prepare_if_settled(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Completing | Phase::Stable) {
            self.prepare_rebalance(now);
        }
    }

    /// Completes the rebalance if all members have joined, and none is about to.
    pub(super) fn try_complete_join(&mut self, now: Instant) {
        let Phase::Preparing(Window { extension: None, .. }) = self.phase else { return };
        let all_joined = self.members.values().all(|member| member.has_joined());
        if all_joined && self.pending.is_empty() {
            self.complete_join(now);
        }
    }

    fn open_window(&mut self, ends: Instant, extension: Option<Duration>) {
        self.phase = Phase::Preparing(Window { ends, extension, has_newcomer: false });
        self.schedule(ends);
    }

    fn close_window(&mut self, window: Window, now: Instant) {
        match window.extension {
            Some(left) if window.has_newcomer && !left.is_zero() => {
                let delay = left.min(self.limits.initial_delay);
                self.open_window(after(now, delay), Some(left - delay));
            }
            _ => self.complete_join(now),
        }
    }

    /// Begins a generation with the members that joined.
    fn complete_join(&mut self, now: Instant) {
        self.remove_where(|member| !member.has_joined() && member.instance.is_none());
        if !self.elect_leader() && !self.members.is_empty() {
            // Only static members are left, and none has joined: they have their session timeouts.
            let wait = self.rebalance_timeout().max(MIN_RETRY);
            self.open_window(after(now, wait), None);
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            self.protocol = None;
            return;
        }
        self.protocol = self.select_protocol();
        self.phase = Phase::Completing;
        self.answer_joins(now);
        let sync_by = after(now, self.rebalance_timeout());
        self.sync_by = Some(sync_by);
        self.schedule(sync_by);
    }

    /// Keeps the leader if it has joined, else takes a member that has. Returns whether there is one.
    fn elect_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(|member| member.has_joined()) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.has_joined());
        match joined {
            Some((id, _)) => {
                self.leader = Some(id.clone());
                true
            }
            None => false,
        }
    }

    fn answer_joins(&mut self, now: Instant) {
        let ids: Vec<StrBytes> = self.members.keys().cloned().collect();
        for id in ids {
            let mut answer = self.describe_generation(&id);
            if self.is_leader(&id) {
                answer.members = self.list_members();
            }
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
                member.owes_sync = true;
                // The last generation's share must not count while this one's is checked against the limit.
                member.assignment.clear();
                if let Some(waiter) = member.joining.take() {
                    waiter.answer(answer);
                }
            }
            self.renew(&id, now);
        }
    }

    /// Fails the syncs that wait.
    pub(super) fn fail_syncs(&mut self, error: ResponseError, now: Instant) {
        self.answer_syncs(|_| answers::refuse_sync(error), now);
    }

    /// Returns the longest rebalance timeout of the members.
    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance).max().unwrap_or_default()
    }

    /// Removes a member that left or expired; the others rebalance.
    pub(super) fn remove_and_rebalance(&mut self, id: &StrBytes, now: Instant) {
        self.remove(id);
        self.prepare_if_settled(now);
        self.try_complete_join(now);
    }

    /// Applies the deadlines that have passed. Returns the next one.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        self.pending.retain(|_, expires| *expires > now);
        self.try_complete_join(now);
        for id in self.find(|member| !member.is_exempt() && member.expires <= now) {
            // The removal of one may have answered another, which gave it a new session.
            if self.members.get(&id).is_some_and(|m| !m.is_exempt() && m.expires <= now) {
                self.remove_and_rebalance(&id, now);
            }
        }
        if let Phase::Preparing(window) = self.phase
            && window.ends <= now
        {
            self.close_window(window, now);
        }
        if self.sync_by.is_some_and(|deadline| deadline <= now) {
            self.expire_syncs(now);
        }
        let next = self.find_deadline();
        self.set_alarm(next);
        next
    }

    /// Drops the members of the generation that sent no sync.
    fn expire_syncs(&mut self, now: Instant) {
        self.sync_by = None;
        let before = self.members.len();
        self.remove_where(|member| member.owes_sync);
        if self.members.len() < before {
            self.prepare_if_settled(now);
        }
    }

    fn find_deadline(&self) -> Option<Instant> {
        let window = match self.phase {
            Phase::Preparing(window) => Some(window.ends),
            _ => None,
        };
        let members = self.members.values().filter(|member| !member.is_exempt());
        let members = members.map(|member| member.expires);
        members.chain(self.pending.values().copied()).chain(window).chain(self.sync_by).min()
    }
}
