//! The group of a cluster, at Kafka's group coordinator.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_kafka::{
    Client, Group, GroupGeneration, GroupJoin, GroupMember, KafkaError, ResponseError,
};
use parking_lot::Mutex;

use crate::group::{
    Coordinator, JoinAnswer, JoinRequest, Joined, JoinedMember, PROTOCOL, PROTOCOL_TYPE, Session,
    SyncRequest,
};

/// The group of a cluster, as a node with a name sees it.
#[derive(Debug)]
pub struct KafkaCoordinator {
    group: Group,
    /// What the node has last joined with.
    joined: Mutex<Option<GroupJoin>>,
}

impl KafkaCoordinator {
    /// Returns the group of this name. It connects on demand.
    pub fn new(client: Arc<Client>, group: &str, node: &str) -> Self {
        KafkaCoordinator { group: Group::new(client, group, node), joined: Mutex::default() }
    }
}

fn generation(session: &Session) -> GroupGeneration {
    GroupGeneration {
        generation: session.generation,
        member_id: session.member_id.clone(),
        leader: String::new(),
        members: Vec::new(),
        keeps_assignments: false,
    }
}

fn member(member: GroupMember) -> JoinedMember {
    let GroupMember { member_id, instance_id, metadata } = member;
    let name = instance_id.unwrap_or_else(|| member_id.clone());
    JoinedMember { member_id, name, metadata }
}

/// Returns what a node joins with.
fn join(request: JoinRequest) -> GroupJoin {
    GroupJoin {
        member_id: request.member_id,
        protocol_type: PROTOCOL_TYPE.to_owned(),
        protocol: PROTOCOL.to_owned(),
        metadata: request.metadata,
        session_timeout: request.session_timeout,
        rebalance_timeout: request.rebalance_timeout,
    }
}

fn not_joined() -> KafkaError {
    KafkaError::Refused {
        request: "SyncGroupRequest",
        code: ResponseError::UnknownMemberId,
        message: "the node has not joined yet".to_owned(),
    }
}

impl Coordinator for KafkaCoordinator {
    fn join(&self, request: JoinRequest) -> BoxFuture<'_, Result<JoinAnswer, KafkaError>> {
        Box::pin(async move {
            let join = join(request);
            *self.joined.lock() = Some(join.clone());
            let joined = self.group.join(&join).await?;
            let assigns = joined.is_leader() && !joined.keeps_assignments;
            let members = joined.members.into_iter().map(member).collect();
            Ok(JoinAnswer::Joined(Joined {
                member_id: joined.member_id,
                generation: joined.generation,
                members: assigns.then_some(members),
            }))
        })
    }

    fn sync(&self, request: SyncRequest) -> BoxFuture<'_, Result<Bytes, KafkaError>> {
        Box::pin(async move {
            let SyncRequest { session, assignments } = request;
            let joined = self.joined.lock().clone();
            let joined = joined.ok_or_else(not_joined)?;
            self.group.sync(&joined, &generation(&session), assignments).await
        })
    }

    fn heartbeat(&self, session: Session) -> BoxFuture<'_, Result<(), KafkaError>> {
        Box::pin(async move { self.group.heartbeat(&generation(&session)).await })
    }

    fn leave(&self, _name: String, member_id: String) -> BoxFuture<'_, Result<(), KafkaError>> {
        Box::pin(async move {
            let session = Session { name: String::new(), member_id, generation: -1 };
            self.group.leave(&generation(&session)).await
        })
    }
}
