//! Membership of a consumer group by the classic protocol, as a static member.
//!
//! Each method is one request and its answer; the caller owns the loop. A member joins and gets a generation; the leader
//! of the generation sends the assignments of all members with its sync, the others send none; then each sends
//! heartbeats. [`ResponseError::RebalanceInProgress`](crate::ResponseError) asks the member to join again;
//! [`ResponseError::FencedInstanceId`](crate::ResponseError) says that another process has the same instance id.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};
use parking_lot::Mutex;

use crate::client::Client;
use crate::connection::Connection;
use crate::error::KafkaError;

/// A consumer group, as one static member sees it.
#[derive(Debug)]
pub struct Group {
    client: Arc<Client>,
    group_id: StrBytes,
    instance_id: StrBytes,
    /// The connection to the coordinator. It is not shared, because a join waits for the other members.
    coordinator: Mutex<Option<Connection>>,
}

/// A request to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupJoin {
    /// The id from the last answer, or empty for the first join.
    pub member_id: String,
    /// The kind of the group, the same for all members.
    pub protocol_type: String,
    /// The name of the assignment strategy, the same for all members.
    pub protocol: String,
    /// What the member tells the leader of the generation.
    pub metadata: Bytes,
    /// The time without a heartbeat after which the coordinator drops the member.
    pub session_timeout: Duration,
    /// The time that the coordinator waits for the members to join again.
    pub rebalance_timeout: Duration,
}

/// A member's place in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupGeneration {
    /// The generation.
    pub generation: i32,
    /// The id of this member.
    pub member_id: String,
    /// The id of the member that assigns.
    pub leader: String,
    /// For the leader: all members. For the others: none.
    pub members: Vec<GroupMember>,
    /// Whether the leader must not assign: the group's assignments stay, because a known member came back.
    pub keeps_assignments: bool,
}

/// A member as the leader of a generation sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The id.
    pub member_id: String,
    /// The name that survives restarts; `None` for a dynamic member.
    pub instance_id: Option<String>,
    /// What the member told the leader.
    pub metadata: Bytes,
}

impl GroupGeneration {
    /// Returns whether this member assigns.
    pub fn is_leader(&self) -> bool {
        self.leader == self.member_id
    }
}

impl Group {
    /// Creates a view of the group. It connects on demand.
    pub fn new(client: Arc<Client>, group_id: &str, instance_id: &str) -> Self {
        let (group_id, instance_id) = (text(group_id), text(instance_id));
        Group { client, group_id, instance_id, coordinator: Mutex::default() }
    }

    /// Joins the group. It waits until all members have joined, at most the rebalance timeout and the client's patience.
    ///
    /// # Errors
    /// The coordinator is not known or refuses the member, or no answer came in time.
    pub async fn join(&self, join: &GroupJoin) -> Result<GroupGeneration, KafkaError> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text(&join.protocol))
            .with_metadata(join.metadata.clone());
        let request = JoinGroupRequest::default()
            .with_group_id(self.group())
            .with_group_instance_id(Some(self.instance_id.clone()))
            .with_member_id(text(&join.member_id))
            .with_protocol_type(text(&join.protocol_type))
            .with_protocols(vec![protocol])
            .with_session_timeout_ms(millis(join.session_timeout))
            .with_rebalance_timeout_ms(millis(join.rebalance_timeout));
        let within = join.rebalance_timeout.saturating_add(self.client.patience());
        let answer = self.ask(&request, within).await?;
        self.check("JoinGroupRequest", answer.error_code)?;
        let member = |one: JoinGroupResponseMember| {
            let instance_id = one.group_instance_id.map(|id| id.to_string());
            GroupMember {
                member_id: one.member_id.to_string(),
                instance_id,
                metadata: one.metadata,
            }
        };
        Ok(GroupGeneration {
            generation: answer.generation_id,
            member_id: answer.member_id.to_string(),
            leader: answer.leader.to_string(),
            members: answer.members.into_iter().map(member).collect(),
            keeps_assignments: answer.skip_assignment,
        })
    }

    /// Returns this member's assignment; waits until the leader has assigned. The leader passes the assignment of each
    /// member id, the others none.
    ///
    /// # Errors
    /// As [`join`](Self::join). The coordinator refuses another generation than the current one.
    pub async fn sync(
        &self,
        join: &GroupJoin,
        generation: &GroupGeneration,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<Bytes, KafkaError> {
        let assign = |(member, assignment): (String, Bytes)| {
            let member = StrBytes::from_string(member);
            SyncGroupRequestAssignment::default().with_member_id(member).with_assignment(assignment)
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group())
            .with_group_instance_id(Some(self.instance_id.clone()))
            .with_member_id(text(&generation.member_id))
            .with_generation_id(generation.generation)
            .with_protocol_type(Some(text(&join.protocol_type)))
            .with_protocol_name(Some(text(&join.protocol)))
            .with_assignments(assignments.into_iter().map(assign).collect());
        let within = join.rebalance_timeout.saturating_add(self.client.patience());
        let answer = self.ask(&request, within).await?;
        self.check("SyncGroupRequest", answer.error_code)?;
        Ok(answer.assignment)
    }

    /// Tells the coordinator that this member is alive.
    ///
    /// # Errors
    /// The group rebalances, the member is not in this generation, or no answer came in time.
    pub async fn heartbeat(&self, generation: &GroupGeneration) -> Result<(), KafkaError> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group())
            .with_group_instance_id(Some(self.instance_id.clone()))
            .with_member_id(text(&generation.member_id))
            .with_generation_id(generation.generation);
        let answer = self.ask(&request, self.client.patience()).await?;
        self.check("HeartbeatRequest", answer.error_code)
    }

    /// Leaves the group, so that the others rebalance at once instead of after the session timeout.
    ///
    /// # Errors
    /// The coordinator does not know the member, or no answer came in time.
    pub async fn leave(&self, generation: &GroupGeneration) -> Result<(), KafkaError> {
        let member = MemberIdentity::default()
            .with_member_id(text(&generation.member_id))
            .with_group_instance_id(Some(self.instance_id.clone()));
        let request =
            LeaveGroupRequest::default().with_group_id(self.group()).with_members(vec![member]);
        let answer = self.ask(&request, self.client.patience()).await?;
        self.check("LeaveGroupRequest", answer.error_code)?;
        let mut members = answer.members.iter();
        members.try_for_each(|one| self.check("LeaveGroupRequest", one.error_code))
    }

    /// Sends a request to the coordinator, and forgets it if no answer comes, or the caller stops waiting: a broker
    /// answers nothing else on a connection on which a join waits.
    async fn ask<R: Request>(
        &self,
        request: &R,
        within: Duration,
    ) -> Result<R::Response, KafkaError> {
        let connection = self.coordinator().await?;
        let mut unanswered = Unanswered(Some(self));
        let answer = connection.send(request)?.wait_for(within).await;
        if answer.is_ok() {
            unanswered.0 = None;
        }
        answer
    }

    async fn coordinator(&self) -> Result<Connection, KafkaError> {
        let known = self.coordinator.lock().clone();
        if let Some(open) = known.filter(Connection::is_open) {
            return Ok(open);
        }
        let address = self.client.locate_group_coordinator(&self.group_id).await?;
        let connection = self.client.open(&address).await?;
        *self.coordinator.lock() = Some(connection.clone());
        Ok(connection)
    }

    /// Makes the next request find the coordinator again.
    fn forget(&self) {
        if let Some(connection) = self.coordinator.lock().take() {
            connection.close();
        }
    }

    fn check(&self, request: &'static str, code: i16) -> Result<(), KafkaError> {
        let checked = KafkaError::check(request, code, None);
        if checked.as_ref().is_err_and(KafkaError::is_retriable) {
            self.forget();
        }
        checked
    }

    fn group(&self) -> GroupId {
        GroupId(self.group_id.clone())
    }
}

/// A request without an answer. When it is dropped, its connection is closed.
struct Unanswered<'a>(Option<&'a Group>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.forget();
        }
    }
}

fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
