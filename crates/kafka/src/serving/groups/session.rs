//! What members do between rebalances: heartbeats, commits of offsets, and their departure.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use tokio::time::Instant;

use super::state::{Phase, State};

impl State {
    /// Renews the session of a member. A rebalance is announced as an error.
    pub(super) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let id = &request.member_id;
        self.check_member(id, request.group_instance_id.as_deref())?;
        self.check_generation(request.generation_id)?;
        self.renew(id, now);
        match self.phase {
            Phase::Completing | Phase::Stable => Ok(()),
            Phase::Preparing(_) => Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::Dead => Err(ResponseError::UnknownMemberId),
        }
    }

    /// Returns whether the caller may commit offsets of the group. A member of the generation may, also while
    /// the group prepares a rebalance; others may if the group has no members.
    pub(super) fn check_commit(
        &mut self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        self.check_member(id, instance)?;
        self.check_generation(generation)?;
        match self.phase {
            Phase::Stable | Phase::Preparing(_) => {
                self.renew(id, now);
                Ok(())
            }
            // It knows its generation, but its assignment is still to come.
            Phase::Completing => Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::Dead => Err(ResponseError::UnknownMemberId),
        }
    }

    fn check_generation(&self, generation: i32) -> Result<(), ResponseError> {
        let is_current = generation == self.generation;
        if is_current { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
    }

    /// Lets a member go. An administrator names a static member by its instance alone.
    pub(super) fn leave(
        &mut self,
        leaver: &MemberIdentity,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let instance = leaver.group_instance_id.as_ref();
        let id = if leaver.member_id.is_empty() {
            let current = instance.and_then(|instance| self.instances.get(instance));
            current.ok_or(ResponseError::UnknownMemberId)?.clone()
        } else {
            leaver.member_id.clone()
        };
        if !self.pending.contains_key(&id) {
            self.check_member(&id, instance.map(|one| one.as_str()))?;
        } else if instance.is_some() {
            return Err(ResponseError::UnknownMemberId);
        }
        let is_member = self.members.contains_key(&id);
        self.remove(&id);
        if is_member {
            self.prepare_if_settled(now);
        }
        self.try_complete_join(now);
        Ok(())
    }
}
