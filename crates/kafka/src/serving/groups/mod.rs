//! The coordinator of consumer groups by the classic protocol: requests in, answers out. It knows no socket,
//! no store and no offsets.
//!
//! A member joins and waits until the others have joined too; that is a generation. The leader of the
//! generation assigns, and each member gets its share as the answer to its sync. From then on it sends
//! heartbeats, until one of them says that the group prepares the next generation. A member that sends none
//! for its session timeout is dropped.
//!
//! A group exists while it has members, or members about to join; each has a task that watches its deadlines.
//! Nothing is durable: after a restart, members learn that they are unknown, and join again.

mod answers;
mod describe;
mod group;
mod join;
mod limits;
mod member;
mod rebalance;
mod registry;
mod request;
mod session;
mod state;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod wait;

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

pub use limits::GroupLimits;

use group::Group;
use registry::Registry;
use request::{Join, check_group};
use state::Phase;
use wait::Answer;

/// The first version of JoinGroup whose answer may have no protocol.
const JOIN_WITHOUT_PROTOCOL: i16 = 7;
/// The first version of SyncGroup that must name the protocol.
const SYNC_WITH_PROTOCOL: i16 = 5;
/// The first version of LeaveGroup for several members.
const LEAVE_TOGETHER: i16 = 3;
/// What a member that waits is told if its group ends without an answer: it tries again.
const STOPPED: ResponseError = ResponseError::CoordinatorNotAvailable;

/// The consumer groups of a server. Joins need a Tokio runtime with timers.
pub struct Groups {
    registry: Arc<Registry>,
}

/// The client that sends a request to join, for descriptions of the group.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The client id of the request; a long one is cut.
    pub client_id: &'a str,
    /// The host of the connection; a long one is cut.
    pub host: &'a str,
}

impl Groups {
    /// Creates a coordinator without groups.
    pub fn new(limits: GroupLimits) -> Self {
        Groups { registry: Arc::new(Registry::new(limits)) }
    }

    /// Lets a member join a group, and waits until the group has a generation with it. If the caller drops
    /// the future, the member has one session timeout to come back.
    pub async fn join(
        &self,
        request: JoinGroupRequest,
        version: i16,
        caller: Caller<'_>,
    ) -> JoinGroupResponse {
        let begun = Join::read(&request, version, &caller, &self.registry.limits)
            .and_then(|join| self.registry.join(&request.group_id, join));
        let mut answer = match begun {
            Ok((_, Answer::Ready(answer))) => answer,
            Ok((group, Answer::Later(promise))) => {
                // The wait is long; the request would keep its frame in memory.
                drop(request);
                let answer = promise.receive(&group).await;
                answer.unwrap_or_else(|| answers::refuse_join(StrBytes::default(), STOPPED))
            }
            Err(error) => answers::refuse_join(request.member_id, error),
        };
        if version < JOIN_WITHOUT_PROTOCOL {
            answer.protocol_name.get_or_insert_default();
        }
        answer
    }

    /// Returns the member's assignment. It waits until the leader of the generation has assigned.
    pub async fn sync(&self, request: SyncGroupRequest, version: i16) -> SyncGroupResponse {
        match self.begin_sync(request, version) {
            Ok((_, Answer::Ready(answer))) => answer,
            Ok((group, Answer::Later(promise))) => {
                let answer = promise.receive(&group).await;
                answer.unwrap_or_else(|| answers::refuse_sync(STOPPED))
            }
            Err(error) => answers::refuse_sync(error),
        }
    }

    fn begin_sync(
        &self,
        request: SyncGroupRequest,
        version: i16,
    ) -> Result<(Arc<Group>, Answer<SyncGroupResponse>), ResponseError> {
        check_group(&request.group_id)?;
        let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
        if version >= SYNC_WITH_PROTOCOL && !names_protocol {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let group = self.registry.find(&request.group_id).ok_or(ResponseError::UnknownMemberId)?;
        let answer = group.act(|state, now| state.sync(request, now)).answer;
        Ok((group, answer.ok_or(ResponseError::UnknownMemberId)?))
    }

    /// Renews the session of a member. An error tells it to join again.
    pub fn heartbeat(&self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let outcome = check_group(&request.group_id).and_then(|()| {
            let visit =
                self.registry.visit(&request.group_id, |group, now| group.heartbeat(request, now));
            visit.unwrap_or(Err(ResponseError::UnknownMemberId))
        });
        HeartbeatResponse::default().with_error_code(answers::code(outcome))
    }

    /// Lets members go; the others rebalance.
    pub fn leave(&self, request: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
        let answer = LeaveGroupResponse::default();
        if let Err(error) = check_group(&request.group_id) {
            return answer.with_error_code(error.code());
        }
        let leavers = if version < LEAVE_TOGETHER {
            vec![MemberIdentity::default().with_member_id(request.member_id)]
        } else {
            request.members
        };
        let members: Vec<_> =
            leavers.into_iter().map(|leaver| self.leave_one(&request.group_id, leaver)).collect();
        if version < LEAVE_TOGETHER {
            let code = members.first().map_or(0, |member| member.error_code);
            return answer.with_error_code(code);
        }
        answer.with_members(members)
    }

    fn leave_one(&self, group: &str, leaver: MemberIdentity) -> MemberResponse {
        let visit = self.registry.visit(group, |group, now| group.leave(&leaver, now));
        let outcome = visit.unwrap_or(Err(ResponseError::UnknownMemberId));
        MemberResponse::default()
            .with_member_id(leaver.member_id)
            .with_group_instance_id(leaver.group_instance_id)
            .with_error_code(answers::code(outcome))
    }

    /// Checks whether a caller may commit offsets of a group, and renews the session of a member. A caller
    /// that is no member passes no member id and generation -1; it may commit while the group has no members.
    ///
    /// # Errors
    /// The error for the client.
    pub fn may_commit(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let visit = self
            .registry
            .visit(group, |state, now| state.check_commit(member, instance, generation, now));
        // The last member of a group that is gone was dropped. Only simple consumers need no group.
        let is_simple = generation < 0;
        visit.unwrap_or(if is_simple { Ok(()) } else { Err(ResponseError::UnknownMemberId) })
    }

    /// Describes a group; its state is `Dead` if it has no members and none are about to join.
    pub fn describe(&self, group: &str) -> DescribedGroup {
        let id = GroupId(request::copy(group));
        let visit = self.registry.visit(group, |state, _| state.describe(id.clone()));
        visit.unwrap_or_else(|| describe::describe_state(id, Phase::Dead))
    }

    /// Lists the groups that have members, or members about to join.
    pub fn list(&self) -> Vec<ListedGroup> {
        let list = |(id, group): (String, Arc<Group>)| {
            let id = GroupId(StrBytes::from_string(id));
            group.act(|state, _| state.list(id)).answer
        };
        self.registry.list().into_iter().filter_map(list).collect()
    }

    /// Removes a group. A group that does not exist is removed already.
    ///
    /// # Errors
    /// The group has members.
    pub fn remove(&self, group: &str) -> Result<(), ResponseError> {
        let visit = self.registry.visit(group, |state, _| {
            if state.phase != Phase::Empty {
                return Err(ResponseError::NonEmptyGroup);
            }
            state.end();
            Ok(())
        });
        visit.unwrap_or(Ok(()))
    }

    /// Returns whether a member of the group subscribes to a topic, so that its offsets must stay. It is
    /// `true` if the group has members and does not know their subscriptions.
    pub fn subscribes(&self, group: &str, topic: &str) -> bool {
        self.registry.visit(group, |state, _| state.subscribes(topic)).unwrap_or(false)
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups").finish_non_exhaustive()
    }
}
