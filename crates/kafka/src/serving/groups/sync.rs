//! How assignments get from the leader to the members.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::answers::refuse_sync;
use super::member::Member;
use super::request::copy;
use super::state::{Phase, State};
use super::wait::Answer;

type SyncAnswer = Answer<SyncGroupResponse>;

impl State {
    /// Takes a sync: that of the leader has the assignments, those of the others wait for it.
    pub(super) fn sync(&mut self, request: SyncGroupRequest, now: Instant) -> SyncAnswer {
        if let Err(error) = self.check_sync(&request) {
            return Answer::Ready(refuse_sync(error));
        }
        // A copy: an id that waits would keep the frame of its request in memory.
        let id = &copy(&request.member_id);
        match self.phase {
            Phase::Preparing(_) => Answer::Ready(refuse_sync(ResponseError::RebalanceInProgress)),
            Phase::Completing => {
                let answer = self.wait_for_assignment(id);
                if self.is_leader(id) {
                    self.assign(request.assignments, now);
                }
                answer
            }
            Phase::Stable => {
                let answer = match self.members.get_mut(id) {
                    Some(member) => {
                        member.owes_sync = false;
                        member.assignment.clone()
                    }
                    None => return Answer::Ready(refuse_sync(ResponseError::UnknownMemberId)),
                };
                self.renew(id, now);
                Answer::Ready(self.answer_sync(answer))
            }
            Phase::Empty | Phase::Dead => {
                Answer::Ready(refuse_sync(ResponseError::UnknownMemberId))
            }
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ResponseError> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |said: &Option<StrBytes>, is: &Option<StrBytes>| said.is_some() && said != is;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn wait_for_assignment(&mut self, id: &StrBytes) -> SyncAnswer {
        let (waiter, promise) = self.promise(id);
        if let Some(member) = self.members.get_mut(id) {
            member.owes_sync = false;
            if let Some(older) = member.syncing.replace(waiter) {
                older.answer(refuse_sync(ResponseError::RebalanceInProgress));
            }
        }
        Answer::Later(promise)
    }

    /// Gives each member what the leader assigned to it; nothing to those that the leader left out.
    fn assign(&mut self, assignments: Vec<SyncGroupRequestAssignment>, now: Instant) {
        let pair = |one: SyncGroupRequestAssignment| (one.member_id, one.assignment);
        let mut assigned: BTreeMap<StrBytes, Bytes> = assignments.into_iter().map(pair).collect();
        assigned.retain(|id, _| self.members.contains_key(id));
        let size: usize = assigned.values().map(Bytes::len).sum();
        if self.bytes().saturating_add(size) > self.limits.metadata_bytes {
            self.fail_syncs(ResponseError::UnknownServerError, now);
            self.prepare_rebalance(now);
            return;
        }
        for (id, member) in &mut self.members {
            // A copy, so that the group does not keep the leader's whole request.
            let assignment = assigned.remove(id).unwrap_or_default();
            member.assignment = Bytes::copy_from_slice(&assignment);
        }
        self.phase = Phase::Stable;
        let template = self.answer_sync(Bytes::new());
        let answer = |member: &Member| template.clone().with_assignment(member.assignment.clone());
        self.answer_syncs(answer, now);
    }

    fn answer_sync(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol.clone())
            .with_assignment(assignment)
    }

    /// Answers the syncs that wait. No time has passed for those members, so their sessions begin now.
    pub(super) fn answer_syncs(
        &mut self,
        answer: impl Fn(&Member) -> SyncGroupResponse,
        now: Instant,
    ) {
        let ids: Vec<StrBytes> = self.find(|member| member.syncing.is_some());
        for id in ids {
            if let Some(member) = self.members.get_mut(&id)
                && let Some(waiter) = member.syncing.take()
            {
                waiter.answer(answer(member));
                self.renew(&id, now);
            }
        }
    }
}
