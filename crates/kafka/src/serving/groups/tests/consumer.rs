//! A consumer as the tests need it: one request and its answer at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::task::JoinHandle;

use super::*;

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Returns the metadata of a consumer of these topics.
pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_i32(topics.len() as i32);
    for topic in topics {
        bytes.put_i16(topic.len() as i16);
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.freeze()
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) groups: Arc<Groups>,
    pub(super) group: StrBytes,
    pub(super) id: StrBytes,
    pub(super) instance: Option<StrBytes>,
    pub(super) generation: i32,
    pub(super) version: i16,
    pub(super) protocol_type: StrBytes,
    pub(super) protocols: Vec<(&'static str, Bytes)>,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    /// The last answer to a join.
    pub(super) joined: JoinGroupResponse,
}

impl Consumer {
    pub(super) fn new(groups: &Arc<Groups>) -> Self {
        Consumer {
            groups: Arc::clone(groups),
            group: text(GROUP),
            id: StrBytes::default(),
            instance: None,
            generation: -1,
            version: 9,
            protocol_type: text("consumer"),
            protocols: vec![("range", subscription(&["topic"]))],
            session: SESSION,
            rebalance: REBALANCE,
            joined: JoinGroupResponse::default(),
        }
    }

    pub(super) fn with_instance(mut self, instance: &str) -> Self {
        self.instance = Some(text(instance));
        self
    }

    pub(super) fn with_version(mut self, version: i16) -> Self {
        self.version = version;
        self
    }

    pub(super) fn with_protocols(mut self, names: &[&'static str]) -> Self {
        self.protocols = names.iter().map(|name| (*name, subscription(&["topic"]))).collect();
        self
    }

    pub(super) fn with_topics(mut self, topics: &[&str]) -> Self {
        self.protocols = vec![("range", subscription(topics))];
        self
    }

    pub(super) fn request(&self) -> JoinGroupRequest {
        let protocol = |(name, metadata): &(&'static str, Bytes)| {
            JoinGroupRequestProtocol::default()
                .with_name(text(name))
                .with_metadata(metadata.clone())
        };
        JoinGroupRequest::default()
            .with_group_id(GroupId(self.group.clone()))
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone())
            .with_protocol_type(self.protocol_type.clone())
            .with_protocols(self.protocols.iter().map(protocol).collect())
            .with_session_timeout_ms(self.session.as_millis() as i32)
            .with_rebalance_timeout_ms(self.rebalance.as_millis() as i32)
    }

    /// Sends one join and takes over what the answer says.
    pub(super) async fn join_once(&mut self) -> JoinGroupResponse {
        let caller = Caller { client_id: "client", host: "/127.0.0.1" };
        let answer = self.groups.join(self.request(), self.version, caller).await;
        if answer.error_code == 0 || answer.error_code == error(MemberIdRequired) {
            self.id = answer.member_id.clone();
            self.generation = answer.generation_id;
        }
        self.joined = answer.clone();
        answer
    }

    /// Joins as a client does: again if it gets an id to join with.
    pub(super) async fn join(&mut self) -> JoinGroupResponse {
        let answer = self.join_once().await;
        if answer.error_code == error(MemberIdRequired) {
            return self.join_once().await;
        }
        answer
    }

    /// Joins in a task.
    pub(super) fn spawn_join(mut self) -> Joining {
        Joining(tokio::spawn(async move {
            self.join().await;
            self
        }))
    }

    pub(super) fn sync_request(&self, shares: &[(StrBytes, String)]) -> SyncGroupRequest {
        let assign = |(member, share): &(StrBytes, String)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member.clone())
                .with_assignment(Bytes::from(share.clone()))
        };
        SyncGroupRequest::default()
            .with_group_id(GroupId(self.group.clone()))
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone())
            .with_generation_id(self.generation)
            .with_protocol_type(self.joined.protocol_type.clone())
            .with_protocol_name(self.joined.protocol_name.clone())
            .with_assignments(shares.iter().map(assign).collect())
    }

    pub(super) async fn sync(&self, shares: &[(StrBytes, String)]) -> SyncGroupResponse {
        self.groups.sync(self.sync_request(shares), 5).await
    }

    pub(super) fn spawn_sync(&self) -> JoinHandle<SyncGroupResponse> {
        let (groups, request) = (Arc::clone(&self.groups), self.sync_request(&[]));
        tokio::spawn(async move { groups.sync(request, 5).await })
    }

    /// Returns the error code of a heartbeat.
    pub(super) fn heartbeat(&self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(self.group.clone()))
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone())
            .with_generation_id(self.generation);
        self.groups.heartbeat(&request).error_code
    }

    /// Lets time pass, with heartbeats that keep the session.
    pub(super) async fn stay(&self, time: Duration) {
        let step = SESSION / 4;
        let mut left = time;
        while !left.is_zero() {
            pass(step.min(left)).await;
            self.heartbeat();
            left = left.saturating_sub(step);
        }
    }

    pub(super) fn leave(&self) -> i16 {
        let member = MemberIdentity::default()
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone());
        let request = LeaveGroupRequest::default()
            .with_group_id(GroupId(self.group.clone()))
            .with_members(vec![member]);
        self.groups.leave(request, 5).members[0].error_code
    }

    pub(super) fn is_leader(&self) -> bool {
        self.joined.leader == self.id
    }

    pub(super) fn may_commit(&self) -> Result<(), ResponseError> {
        let instance = self.instance.as_deref();
        self.groups.may_commit(&self.group, &self.id, instance, self.generation)
    }
}

/// A join that waits in a task.
pub(super) struct Joining(JoinHandle<Consumer>);

impl Joining {
    pub(super) fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    /// Returns the consumer with its answer.
    pub(super) async fn done(self) -> Consumer {
        self.0.await.unwrap()
    }

    /// Drops the future of the join, as a connection does whose client is gone.
    pub(super) async fn drop_connection(self) {
        self.0.abort();
        assert!(self.0.await.unwrap_err().is_cancelled());
    }
}
