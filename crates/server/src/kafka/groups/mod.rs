//! Consumer groups: their members are coordinated in memory, their offsets are events.

pub(super) mod committed;
mod describe;
pub(super) mod offsets;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use leftfold_kafka::ResponseError;
use leftfold_kafka::serving::groups::Caller;

pub(super) use self::committed::CommittedOffsets;
use super::broker::NODE;
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

    pub(super) async fn find_coordinator(
        self,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let coordinator = |key: &str| match request.key_type {
            OF_GROUPS => {
                let (host, port) = self.address();
                Coordinator::default()
                    .with_key(text(key))
                    .with_node_id(BrokerId(NODE))
                    .with_host(text(host))
                    .with_port(port)
            }
            kind => {
                let (code, why) = match kind {
                    // At any other code librdkafka asks again until its time is over.
                    OF_TRANSACTIONS => {
                        (ResponseError::TransactionalIdAuthorizationFailed, NO_TRANSACTIONS)
                    }
                    _ => (ResponseError::InvalidRequest, "there are no share groups here"),
                };
                Coordinator::default()
                    .with_key(text(key))
                    .with_node_id(BrokerId(-1))
                    .with_port(-1)
                    .with_error_code(code.code())
                    .with_error_message(Some(text(why)))
            }
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
        if let Err(error) = self.may_use(&request.group_id) {
            let answer = JoinGroupResponse::default().with_member_id(request.member_id);
            let answer = answer.with_error_code(error.code()).with_generation_id(-1);
            return if self.version < 7 {
                answer.with_protocol_name(Some(text("")))
            } else {
                answer
            };
        }
        let host = format!("/{}", self.peer.address.ip());
        let caller = Caller { client_id: &self.client_id, host: &host };
        let joined = self.broker.groups.join(request, self.version, caller);
        tokio::select! {
            joined = joined => joined,
            () = self.broker.state.closed() => {
                let code = ResponseError::CoordinatorNotAvailable.code();
                let answer = JoinGroupResponse::default().with_error_code(code).with_generation_id(-1);
                if self.version < 7 { answer.with_protocol_name(Some(text(""))) } else { answer }
            }
        }
    }

    pub(super) async fn sync_group(self, request: SyncGroupRequest) -> SyncGroupResponse {
        if let Err(error) = self.may_use(&request.group_id) {
            return SyncGroupResponse::default().with_error_code(error.code());
        }
        let synced = self.broker.groups.sync(request, self.version);
        tokio::select! {
            synced = synced => synced,
            () = self.broker.state.closed() => {
                SyncGroupResponse::default().with_error_code(ResponseError::CoordinatorNotAvailable.code())
            }
        }
    }

    pub(super) async fn heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse {
        match self.may_use(&request.group_id) {
            Ok(()) => self.broker.groups.heartbeat(&request),
            Err(error) => HeartbeatResponse::default().with_error_code(error.code()),
        }
    }

    pub(super) async fn leave_group(self, request: LeaveGroupRequest) -> LeaveGroupResponse {
        match self.may_use(&request.group_id) {
            Ok(()) => self.broker.groups.leave(request, self.version),
            Err(error) => LeaveGroupResponse::default().with_error_code(error.code()),
        }
    }
}
