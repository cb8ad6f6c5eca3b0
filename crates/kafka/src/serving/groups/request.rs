//! A join whose form has been checked.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::protocol::StrBytes;

use super::{Caller, GroupLimits};

/// The longest id of a group or an instance.
pub(super) const MAX_ID_BYTES: usize = 1 << 10;
/// The longest part of a client id that is kept.
const MAX_CLIENT_ID_BYTES: usize = 128;
/// The most protocols of a member: consumers send one or two.
const MAX_PROTOCOLS: usize = 64;
/// What a member and a protocol cost beside their bytes, roughly.
const OVERHEAD_BYTES: usize = 64;

/// The first version whose dynamic members must join again with the id that they get.
const REQUIRES_MEMBER_ID: i16 = 4;
/// The first version whose answer can tell a leader to skip the assignment.
const SKIPS_ASSIGNMENT: i16 = 9;

/// A strategy of assignment that a member supports, with what it tells the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) name: StrBytes,
    pub(super) metadata: Bytes,
}

/// A request to join whose form is right. It holds copies, so that it keeps no received frame in memory.
pub(super) struct Join {
    pub(super) member_id: StrBytes,
    pub(super) instance: Option<StrBytes>,
    pub(super) client_id: StrBytes,
    pub(super) host: StrBytes,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    pub(super) protocol_type: StrBytes,
    pub(super) protocols: Vec<Protocol>,
    pub(super) requires_member_id: bool,
    pub(super) skips_assignment: bool,
}

impl Join {
    /// Checks what needs no group.
    pub(super) fn read(
        request: &JoinGroupRequest,
        version: i16,
        caller: &Caller<'_>,
        limits: &GroupLimits,
    ) -> Result<Self, ResponseError> {
        check_group(&request.group_id)?;
        let session = millis(request.session_timeout_ms);
        if request.session_timeout_ms < 0 || !limits.session_timeout.contains(&session) {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let instance = request.group_instance_id.as_ref();
        let ids = [Some(&request.member_id), instance, Some(&request.protocol_type)];
        let is_long = ids.into_iter().flatten().any(|id| id.len() > MAX_ID_BYTES);
        if is_long || request.protocols.len() > MAX_PROTOCOLS {
            return Err(ResponseError::InvalidRequest);
        }
        // Version 0 has one timeout for both.
        let rebalance = if version == 0 { session } else { millis(request.rebalance_timeout_ms) };
        Ok(Join {
            member_id: copy(&request.member_id),
            instance: instance.map(|id| copy(id)),
            client_id: copy(cut(caller.client_id)),
            host: copy(cut(caller.host)),
            session,
            rebalance,
            protocol_type: copy(&request.protocol_type),
            protocols: copy_protocols(&request.protocols),
            requires_member_id: version >= REQUIRES_MEMBER_ID && instance.is_none(),
            skips_assignment: version >= SKIPS_ASSIGNMENT,
        })
    }

    /// Returns the memory that a member with this join takes.
    pub(super) fn bytes(&self) -> usize {
        let protocol = |one: &Protocol| one.name.len() + one.metadata.len() + OVERHEAD_BYTES;
        let instance = self.instance.as_ref().map_or(0, |id| id.len());
        let names = self.client_id.len() + self.host.len() + instance + OVERHEAD_BYTES;
        names + self.protocols.iter().map(protocol).sum::<usize>()
    }

    /// Returns a member id that is not in use.
    pub(super) fn create_member_id(&self) -> Result<StrBytes, ResponseError> {
        let mut random = [0; 16];
        // Without randomness no id is unique: the client tries again later.
        getrandom::fill(&mut random).map_err(|_| ResponseError::CoordinatorNotAvailable)?;
        let id = uuid::Builder::from_random_bytes(random).into_uuid();
        let name = self.instance.as_ref().unwrap_or(&self.client_id);
        Ok(StrBytes::from_string(format!("{name}-{id}")))
    }
}

/// Checks the id of a group whose members the server coordinates.
pub(super) fn check_group(id: &str) -> Result<(), ResponseError> {
    let is_valid = (1..=MAX_ID_BYTES).contains(&id.len());
    if is_valid { Ok(()) } else { Err(ResponseError::InvalidGroupId) }
}

/// Copies a text, which would otherwise keep the frame that it came with.
pub(super) fn copy(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn copy_protocols(protocols: &[JoinGroupRequestProtocol]) -> Vec<Protocol> {
    let mut copies: Vec<Protocol> = Vec::with_capacity(protocols.len());
    for one in protocols {
        // A name that comes twice must not count as two supporters.
        if copies.iter().all(|other| other.name != one.name) {
            let metadata = Bytes::copy_from_slice(&one.metadata);
            copies.push(Protocol { name: copy(&one.name), metadata });
        }
    }
    copies
}

fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_CLIENT_ID_BYTES);
    text.get(..end).unwrap_or_default()
}

fn millis(number: i32) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or_default())
}
