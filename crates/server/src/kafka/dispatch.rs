//! Which requests there are, and how they are decoded and answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use leftfold_kafka::serving::{ApiKey, FrameError, RequestHead, SUPPORTED, encode_answer};
use thiserror::Error;

use super::connection::{Answer, Outcome};
use super::{Broker, Peer};
use crate::access::Caller;
use crate::limits::{Client, Lease, Reservation};

/// Why a request is not answered; its connection is closed.
#[derive(Debug, Error)]
pub(super) enum Unanswerable {
    #[error("its first bytes are no request of Kafka's protocol: {0}")]
    Frame(#[from] FrameError),
    #[error("request {0} of version {1} is not supported")]
    Unsupported(i16, i16),
    #[error("a request {0:?} of version {1} is malformed: {2}")]
    Malformed(ApiKey, i16, String),
    #[error("a request {0:?} came before authentication")]
    Unauthenticated(ApiKey),
    #[error("authentication failed: {0}")]
    Denied(String),
    #[error("requests and answers take all memory, or this client's share of it (limits.share)")]
    Memory,
    #[error("as many requests as limits.requests or this client's share of it are in flight")]
    Overloaded,
    #[error("an answer can't be encoded: {0}")]
    Answer(String),
}

/// A request that is being answered, and who has sent it.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) broker: Arc<Broker>,
    pub(super) caller: Caller,
    pub(super) client: Client,
    pub(super) peer: Peer,
    /// The client's name for itself.
    pub(super) client_id: String,
    pub(super) version: i16,
}

/// The answer of a handler, before it is encoded.
pub(super) struct Reply<A> {
    /// `None` for a request that gets no answer.
    pub(super) answer: Option<A>,
    pub(super) held: Vec<Lease>,
    pub(super) throttle: Duration,
}

impl<A> From<A> for Reply<A> {
    fn from(answer: A) -> Self {
        Reply { answer: Some(answer), held: Vec::new(), throttle: Duration::ZERO }
    }
}

/// The requests that are answered for callers who are known, but Produce and Fetch.
pub(super) fn dispatched(
    call: Call,
    head: &RequestHead,
    key: ApiKey,
    body: Bytes,
    memory: Reservation,
) -> Result<Outcome, Unanswerable> {
    use kafka_protocol::messages as m;
    let (id, version) = (head.correlation_id, head.version);
    macro_rules! served {
        ($($key:ident: $request:ident => $handler:ident,)+) => {
            match key {
                $(ApiKey::$key => {
                    let request = decode::<m::$request>(key, version, body)?;
                    async move {
                        // The request lies in this memory until it is answered.
                        let _memory = memory;
                        let answer = call.$handler(request).await;
                        answered(id, version, Reply::from(answer))
                    }
                    .boxed()
                })+
                _ => return Err(Unanswerable::Unsupported(key as i16, version)),
            }
        };
    }
    Ok(served! {
        ListOffsets: ListOffsetsRequest => list_offsets,
        Metadata: MetadataRequest => metadata,
        OffsetCommit: OffsetCommitRequest => commit_offsets,
        OffsetFetch: OffsetFetchRequest => fetch_offsets,
        FindCoordinator: FindCoordinatorRequest => find_coordinator,
        JoinGroup: JoinGroupRequest => join_group,
        Heartbeat: HeartbeatRequest => heartbeat,
        LeaveGroup: LeaveGroupRequest => leave_group,
        SyncGroup: SyncGroupRequest => sync_group,
        DescribeGroups: DescribeGroupsRequest => describe_groups,
        ListGroups: ListGroupsRequest => list_groups,
        CreateTopics: CreateTopicsRequest => create_topics,
        DeleteTopics: DeleteTopicsRequest => delete_topics,
        DeleteRecords: DeleteRecordsRequest => delete_records,
        InitProducerId: InitProducerIdRequest => init_producer_id,
        OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => offsets_for_leader_epochs,
        DescribeAcls: DescribeAclsRequest => describe_acls,
        DescribeConfigs: DescribeConfigsRequest => describe_configs,
        AlterConfigs: AlterConfigsRequest => alter_configs,
        CreatePartitions: CreatePartitionsRequest => create_partitions,
        DeleteGroups: DeleteGroupsRequest => delete_groups,
        IncrementalAlterConfigs: IncrementalAlterConfigsRequest => alter_configs_incrementally,
        OffsetDelete: OffsetDeleteRequest => delete_offsets,
        DescribeCluster: DescribeClusterRequest => describe_cluster,
        DescribeTopicPartitions: DescribeTopicPartitionsRequest => describe_topic_partitions,
    })
}

pub(super) fn decode<R: Decodable>(
    key: ApiKey,
    version: i16,
    mut body: Bytes,
) -> Result<R, Unanswerable> {
    let malformed = |why: String| Unanswerable::Malformed(key, version, why);
    let request = R::decode(&mut body, version).map_err(|error| malformed(error.to_string()))?;
    match body.has_remaining() {
        true => Err(malformed("there are bytes behind its end".to_owned())),
        false => Ok(request),
    }
}

pub(super) fn encode<A: Encodable + HeaderVersion>(
    id: i32,
    version: i16,
    answer: &A,
) -> Result<Answer, Unanswerable> {
    let frame = encode_answer(id, version, answer);
    let frame = frame.map_err(|error| Unanswerable::Answer(error.to_string()))?;
    Ok(Answer { frame: Some(frame), ..Answer::default() })
}

/// Returns an answer of bytes, with their length.
pub(super) fn framed(bytes: Bytes) -> Answer {
    let mut frame = BytesMut::with_capacity(4 + bytes.len());
    frame.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&bytes);
    Answer { frame: Some(frame.freeze()), ..Answer::default() }
}

pub(super) fn answered<A: Encodable + HeaderVersion>(
    id: i32,
    version: i16,
    reply: Reply<A>,
) -> Result<Answer, Unanswerable> {
    let Reply { answer, held, throttle } = reply;
    let frame = answer.map(|answer| encode(id, version, &answer)).transpose()?;
    Ok(Answer { frame: frame.and_then(|answer| answer.frame), held, throttle, is_last: false })
}

pub(super) fn ready(answer: Result<Answer, Unanswerable>) -> Outcome {
    std::future::ready(answer).boxed()
}

pub(super) fn versions(error_code: i16) -> ApiVersionsResponse {
    let supported = SUPPORTED.iter().map(|request| {
        ApiVersion::default()
            .with_api_key(request.api_key())
            .with_min_version(request.min)
            .with_max_version(request.max)
    });
    // Without tagged fields: librdkafka before 2.2 misreads them.
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(supported.collect())
}
