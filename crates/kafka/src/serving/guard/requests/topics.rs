//! Requests about topics.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest, MetadataRequest,
};

use crate::serving::guard::layout::layouts;

layouts! {
    MetadataRequest {
        [0+] topics: [MetadataRequestTopic] or null;
        [4+] allow_auto_topic_creation: bool;
        [8-10] include_cluster_authorized_operations: bool;
        [8+] include_topic_authorized_operations: bool;
    }
    MetadataRequestTopic {
        [10+] topic_id: uuid;
        [0+] name: string or null;
    }

    CreateTopicsRequest {
        [0+] topics: [CreatableTopic];
        [0+] timeout_ms: int32;
        [1+] validate_only: bool;
    }
    CreatableTopic {
        [0+] name: string;
        [0+] num_partitions: int32;
        [0+] replication_factor: int16;
        [0+] assignments: [CreatableReplicaAssignment];
        [0+] configs: [CreatableTopicConfig];
    }
    CreatableReplicaAssignment {
        [0+] partition_index: int32;
        [0+] broker_ids: [int32];
    }
    CreatableTopicConfig {
        [0+] name: string;
        [0+] value: string or null;
    }

    DeleteTopicsRequest {
        [6+] topics: [DeleteTopicState];
        [0-5] topic_names: [string];
        [0+] timeout_ms: int32;
    }
    DeleteTopicState {
        [6+] name: string or null;
        [6+] topic_id: uuid;
    }

    CreatePartitionsRequest {
        [0+] topics: [CreatePartitionsTopic];
        [0+] timeout_ms: int32;
        [0+] validate_only: bool;
    }
    CreatePartitionsTopic {
        [0+] name: string;
        [0+] count: int32;
        [0+] assignments: [CreatePartitionsAssignment] or null;
    }
    CreatePartitionsAssignment {
        [0+] broker_ids: [int32];
    }

    DescribeTopicPartitionsRequest {
        [0+] topics: [TopicRequest];
        [0+] response_partition_limit: int32;
        [0+] cursor: Cursor or null;
    }
    TopicRequest {
        [0+] name: string;
    }
    Cursor {
        [0+] topic_name: string;
        [0+] partition_index: int32;
    }
}
