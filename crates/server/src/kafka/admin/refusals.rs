//! What is not there, and says so: records are not deleted, partitions not added, and rights are not Kafka's.

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DescribeAclsRequest, DescribeAclsResponse,
};
use leftfold_kafka::ResponseError;

use crate::kafka::dispatch::Call;
use crate::kafka::metadata::text;

impl Call {
    /// Events are facts: retention hides them, and nothing else removes them.
    pub(in crate::kafka) async fn delete_records(
        self,
        request: DeleteRecordsRequest,
    ) -> DeleteRecordsResponse {
        let code = ResponseError::PolicyViolation.code();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(partition.partition_index)
                    .with_low_watermark(-1)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
        });
        DeleteRecordsResponse::default().with_topics(topics.collect())
    }

    /// Offsets are stable for ever, so a topic keeps its partitions.
    pub(in crate::kafka) async fn create_partitions(
        self,
        request: CreatePartitionsRequest,
    ) -> CreatePartitionsResponse {
        let why = "a topic keeps its partitions, since its offsets are stable for ever: create another topic of the same \
                   query";
        let results = request.topics.into_iter().map(|topic| {
            CreatePartitionsTopicResult::default()
                .with_name(topic.name)
                .with_error_code(ResponseError::InvalidPartitions.code())
                .with_error_message(Some(text(why)))
        });
        CreatePartitionsResponse::default().with_results(results.collect())
    }

    pub(in crate::kafka) async fn describe_acls(
        self,
        _: DescribeAclsRequest,
    ) -> DescribeAclsResponse {
        let why = "the server's users have grants, not ACLs: see leftfold grant";
        let code = ResponseError::SecurityDisabled.code();
        DescribeAclsResponse::default().with_error_code(code).with_error_message(Some(text(why)))
    }
}
