//! Answers that say no more than an error.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;

pub(super) fn refuse_join(member: StrBytes, error: ResponseError) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_member_id(member)
        .with_protocol_name(None)
}

pub(super) fn refuse_sync(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(error.code())
        .with_protocol_type(None)
        .with_protocol_name(None)
}

/// Returns the code of an outcome: 0 for success.
pub(super) fn code(outcome: Result<(), ResponseError>) -> i16 {
    outcome.map_or_else(|error| error.code(), |()| 0)
}
