//! Consumer groups: their members are coordinated in memory, their offsets are events.

pub(super) mod committed;
mod describe;
pub(super) mod offsets;

use std::sync::Arc;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use leftfold_kafka::ResponseError;
use leftfold_kafka::serving::groups::Caller;

pub(super) use self::committed::CommittedOffsets;
use super::cluster::Coordination;
use super::dispatch::Call;
use super::metadata::text;
use super::produce::NO_TRANSACTIONS;

/// The longest name of a group.
const MAX_NAME: usize = 255;
/// The kinds of coordinators: of consumer groups, and of transactions.
const OF_GROUPS: i8 = 0;
const OF_TRANSACTIONS: i8 = 1;
/// The first version that asks for several coordinators.
const SEVERAL: i16 = 4;

impl Call {
    /// Checks that the caller may be a member of a group.
    fn may_use(&self, group: &str) -> Result<(), ResponseError> {
        let has_name = (1..=MAX_NAME).contains(&group.len()) && !group.contains(char::is_control);
        if !has_name {
            return Err(ResponseError::InvalidGroupId);
        }
        self.caller.may_use_group(group).map_err(|_| ResponseError::GroupAuthorizationFailed)
    }

    /// Returns the groups, if the caller may be a member of this one, and this node coordinates it.
    fn coordination_of(&self, group: &str) -> Result<Arc<Coordination>, ResponseError> {
        self.may_use(group)?;
        self.broker.nodes.coordination()
    }

    /// Waits until members of these groups are to look for another coordinator; returns what they are told.
    async fn until_moved(&self, coordination: &Coordination) -> ResponseError {
        tokio::select! {
            () = self.broker.nodes.until_moved(coordination) => ResponseError::NotCoordinator,
            () = self.broker.state.closed() => ResponseError::CoordinatorNotAvailable,
        }
    }

    pub(super) async fn find_coordinator(
        self,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let brokers = self.broker.nodes.brokers();
        let none = |key: &str, code: ResponseError, why: &'static str| {
            Coordinator::default()
                .with_key(text(key))
                .with_node_id(BrokerId(-1))
                .with_port(-1)
                .with_error_code(code.code())
                .with_error_message(Some(text(why)))
        };
        let coordinator = |key: &str| {
            match request.key_type {
                OF_GROUPS => {}
                // At any other code librdkafka asks again until its time is over.
                OF_TRANSACTIONS => {
                    let code = ResponseError::TransactionalIdAuthorizationFailed;
                    return none(key, code, NO_TRANSACTIONS);
                }
                _ => {
                    let why = "there are no share groups here";
                    return none(key, ResponseError::InvalidRequest, why);
                }
            }
            let found = brokers.coordinator().and_then(|id| self.address_of(&brokers, id));
            let Some((id, host, port)) = found else {
                let why = "partition 0 of the store has no owner, or that node has no address for Kafka's clients";
                return none(key, ResponseError::CoordinatorNotAvailable, why);
            };
            Coordinator::default()
                .with_key(text(key))
                .with_node_id(id)
                .with_host(host)
                .with_port(port)
        };
        if self.version >= SEVERAL {
            let keys = request.coordinator_keys.iter();
            let coordinators = keys.map(|key| coordinator(key)).collect();
            return FindCoordinatorResponse::default().with_coordinators(coordinators);
        }
        let Coordinator { node_id, host, port, error_code, error_message, .. } =
            coordinator(&request.key);
        FindCoordinatorResponse::default()
            .with_node_id(node_id)
            .with_host(host)
            .with_port(port)
            .with_error_code(error_code)
            .with_error_message(error_message)
    }

    pub(super) async fn join_group(self, request: JoinGroupRequest) -> JoinGroupResponse {
        let refused = |error: ResponseError| {
            let answer = JoinGroupResponse::default().with_error_code(error.code());
            let answer = answer.with_generation_id(-1);
            if self.version < 7 { answer.with_protocol_name(Some(text(""))) } else { answer }
        };
        let coordination = match self.coordination_of(&request.group_id) {
            Ok(coordination) => coordination,
            Err(error) => return refused(error).with_member_id(request.member_id),
        };
        let host = format!("/{}", self.peer.address.ip());
        let caller = Caller { client_id: &self.client_id, host: &host };
        tokio::select! {
            joined = coordination.groups.join(request, self.version, caller) => joined,
            error = self.until_moved(&coordination) => refused(error),
        }
    }

    pub(super) async fn sync_group(self, request: SyncGroupRequest) -> SyncGroupResponse {
        let refused =
            |error: ResponseError| SyncGroupResponse::default().with_error_code(error.code());
        let coordination = match self.coordination_of(&request.group_id) {
            Ok(coordination) => coordination,
            Err(error) => return refused(error),
        };
        tokio::select! {
            synced = coordination.groups.sync(request, self.version) => synced,
            error = self.until_moved(&coordination) => refused(error),
        }
    }

    pub(super) async fn heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse {
        match self.coordination_of(&request.group_id) {
            Ok(coordination) => coordination.groups.heartbeat(&request),
            Err(error) => HeartbeatResponse::default().with_error_code(error.code()),
        }
    }

    pub(super) async fn leave_group(self, request: LeaveGroupRequest) -> LeaveGroupResponse {
        match self.coordination_of(&request.group_id) {
            Ok(coordination) => coordination.groups.leave(request, self.version),
            Err(error) => LeaveGroupResponse::default().with_error_code(error.code()),
        }
    }
}
