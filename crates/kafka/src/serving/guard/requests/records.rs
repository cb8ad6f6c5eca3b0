//! Requests about records and their offsets.

use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::fetch_request::{
    FetchPartition, FetchTopic, ForgottenTopic, ReplicaState,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    DeleteRecordsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    OffsetForLeaderEpochRequest, ProduceRequest,
};

use crate::serving::guard::layout::layouts;

layouts! {
    ProduceRequest {
        [3+] transactional_id: string or null;
        [0+] acks: int16;
        [0+] timeout_ms: int32;
        [0+] topic_data: [TopicProduceData];
    }
    TopicProduceData {
        [0-12] name: string;
        [13+] topic_id: uuid;
        [0+] partition_data: [PartitionProduceData];
    }
    PartitionProduceData {
        [0+] index: int32;
        [0+] records: records or null;
    }

    FetchRequest {
        [0-14] replica_id: int32;
        [0+] max_wait_ms: int32;
        [0+] min_bytes: int32;
        [3+] max_bytes: int32;
        [4+] isolation_level: int8;
        [7+] session_id: int32;
        [7+] session_epoch: int32;
        [0+] topics: [FetchTopic];
        [7+] forgotten_topics_data: [ForgottenTopic];
        [11+] rack_id: string;
        [12+ tag 0] cluster_id: string or null;
        [15+ tag 1] replica_state: ReplicaState;
    }
    FetchTopic {
        [0-12] topic: string;
        [13+] topic_id: uuid;
        [0+] partitions: [FetchPartition];
    }
    FetchPartition {
        [0+] partition: int32;
        [9+] current_leader_epoch: int32;
        [0+] fetch_offset: int64;
        [12+] last_fetched_epoch: int32;
        [5+] log_start_offset: int64;
        [0+] partition_max_bytes: int32;
        [17+ tag 0] replica_directory_id: uuid;
        [18+ tag 1] high_watermark: int64;
    }
    ForgottenTopic {
        [7-12] topic: string;
        [13+] topic_id: uuid;
        [7+] partitions: [int32];
    }
    ReplicaState {
        [15+] replica_id: int32;
        [15+] replica_epoch: int64;
    }

    ListOffsetsRequest {
        [0+] replica_id: int32;
        [2+] isolation_level: int8;
        [0+] topics: [ListOffsetsTopic];
        [10+] timeout_ms: int32;
    }
    ListOffsetsTopic {
        [0+] name: string;
        [0+] partitions: [ListOffsetsPartition];
    }
    ListOffsetsPartition {
        [0+] partition_index: int32;
        [4+] current_leader_epoch: int32;
        [0+] timestamp: int64;
    }

    DeleteRecordsRequest {
        [0+] topics: [DeleteRecordsTopic];
        [0+] timeout_ms: int32;
    }
    DeleteRecordsTopic {
        [0+] name: string;
        [0+] partitions: [DeleteRecordsPartition];
    }
    DeleteRecordsPartition {
        [0+] partition_index: int32;
        [0+] offset: int64;
    }

    OffsetForLeaderEpochRequest {
        [3+] replica_id: int32;
        [0+] topics: [OffsetForLeaderTopic];
    }
    OffsetForLeaderTopic {
        [0+] topic: string;
        [0+] partitions: [OffsetForLeaderPartition];
    }
    OffsetForLeaderPartition {
        [0+] partition: int32;
        [2+] current_leader_epoch: int32;
        [0+] leader_epoch: int32;
    }

    InitProducerIdRequest {
        [0+] transactional_id: string or null;
        [0+] transaction_timeout_ms: int32;
        [3+] producer_id: int64;
        [3+] producer_epoch: int16;
        [6+] enable_2_pc: bool;
        [6+] keep_prepared_txn: bool;
    }
}
