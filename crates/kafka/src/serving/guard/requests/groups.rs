//! Requests about consumer groups and their offsets.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest,
};

use crate::serving::guard::layout::layouts;

layouts! {
    OffsetCommitRequest {
        [0+] group_id: string;
        [1+] generation_id_or_member_epoch: int32;
        [1+] member_id: string;
        [7+] group_instance_id: string or null;
        [2-4] retention_time_ms: int64;
        [0+] topics: [OffsetCommitRequestTopic];
    }
    OffsetCommitRequestTopic {
        [0-9] name: string;
        [10+] topic_id: uuid;
        [0+] partitions: [OffsetCommitRequestPartition];
    }
    OffsetCommitRequestPartition {
        [0+] partition_index: int32;
        [0+] committed_offset: int64;
        [6+] committed_leader_epoch: int32;
        [0+] committed_metadata: string or null;
    }

    OffsetFetchRequest {
        [0-7] group_id: string;
        [0-7] topics: [OffsetFetchRequestTopic] or null;
        [8+] groups: [OffsetFetchRequestGroup];
        [7+] require_stable: bool;
    }
    OffsetFetchRequestTopic {
        [0-7] name: string;
        [0-7] partition_indexes: [int32];
    }
    OffsetFetchRequestGroup {
        [8+] group_id: string;
        [9+] member_id: string or null;
        [9+] member_epoch: int32;
        [8+] topics: [OffsetFetchRequestTopics] or null;
    }
    OffsetFetchRequestTopics {
        [8-9] name: string;
        [10+] topic_id: uuid;
        [8+] partition_indexes: [int32];
    }

    FindCoordinatorRequest {
        [0-3] key: string;
        [1+] key_type: int8;
        [4+] coordinator_keys: [string];
    }

    JoinGroupRequest {
        [0+] group_id: string;
        [0+] session_timeout_ms: int32;
        [1+] rebalance_timeout_ms: int32;
        [0+] member_id: string;
        [5+] group_instance_id: string or null;
        [0+] protocol_type: string;
        [0+] protocols: [JoinGroupRequestProtocol];
        [8+] reason: string or null;
    }
    JoinGroupRequestProtocol {
        [0+] name: string;
        [0+] metadata: bytes;
    }

    HeartbeatRequest {
        [0+] group_id: string;
        [0+] generation_id: int32;
        [0+] member_id: string;
        [3+] group_instance_id: string or null;
    }

    LeaveGroupRequest {
        [0+] group_id: string;
        [0-2] member_id: string;
        [3+] members: [MemberIdentity];
    }
    MemberIdentity {
        [3+] member_id: string;
        [3+] group_instance_id: string or null;
        [5+] reason: string or null;
    }

    SyncGroupRequest {
        [0+] group_id: string;
        [0+] generation_id: int32;
        [0+] member_id: string;
        [3+] group_instance_id: string or null;
        [5+] protocol_type: string or null;
        [5+] protocol_name: string or null;
        [0+] assignments: [SyncGroupRequestAssignment];
    }
    SyncGroupRequestAssignment {
        [0+] member_id: string;
        [0+] assignment: bytes;
    }

    DescribeGroupsRequest {
        [0+] groups: [string];
        [3+] include_authorized_operations: bool;
    }

    ListGroupsRequest {
        [4+] states_filter: [string];
        [5+] types_filter: [string];
    }

    DeleteGroupsRequest {
        [0+] groups_names: [string];
    }

    OffsetDeleteRequest {
        [0+] group_id: string;
        [0+] topics: [OffsetDeleteRequestTopic];
    }
    OffsetDeleteRequestTopic {
        [0+] name: string;
        [0+] partitions: [OffsetDeleteRequestPartition];
    }
    OffsetDeleteRequestPartition {
        [0+] partition_index: int32;
    }
}
