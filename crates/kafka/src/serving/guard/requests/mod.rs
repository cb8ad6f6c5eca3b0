//! The layouts of the requests, to be read beside Kafka's message files.
//!
//! `[7-12]` are the versions with the field, `[7+]` are all from 7 on, `tag 0` is a tagged field.

mod cluster;
mod configs;
mod groups;
mod records;
mod topics;

use kafka_protocol::messages::{
    AlterConfigsRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    DescribeTopicPartitionsRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    ListGroupsRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest,
    SaslAuthenticateRequest, SaslHandshakeRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::Request;

use super::layout::{Layout, Shape};

macro_rules! requests {
    ($($request:ident)+) => {
        /// Returns the layout of a request.
        pub(super) fn shape(api_key: i16) -> Option<&'static Shape> {
            $(if api_key == <$request as Request>::KEY {
                return Some(<$request as Layout>::SHAPE);
            })+
            None
        }

        /// Calls a function with the type of a request.
        #[cfg(any(test, feature = "samples"))]
        pub(super) fn with_request<V: super::samples::Visit>(api_key: i16, visit: V) -> Option<V::Answer> {
            $(if api_key == <$request as Request>::KEY {
                return Some(visit.visit::<$request>());
            })+
            None
        }
    };
}

requests! {
    ProduceRequest FetchRequest ListOffsetsRequest DeleteRecordsRequest OffsetForLeaderEpochRequest
    InitProducerIdRequest
    MetadataRequest CreateTopicsRequest DeleteTopicsRequest CreatePartitionsRequest
    DescribeTopicPartitionsRequest
    OffsetCommitRequest OffsetFetchRequest FindCoordinatorRequest JoinGroupRequest HeartbeatRequest
    LeaveGroupRequest SyncGroupRequest DescribeGroupsRequest ListGroupsRequest DeleteGroupsRequest
    OffsetDeleteRequest
    DescribeConfigsRequest AlterConfigsRequest IncrementalAlterConfigsRequest
    ApiVersionsRequest SaslHandshakeRequest SaslAuthenticateRequest DescribeClusterRequest
    DescribeAclsRequest
}
