//! What the guard refuses, one limit at a time.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, BrokerId, FetchRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};

use super::{LIMITS, check_agreement};
use crate::serving::guard::{Limits, Refusal, Weight, check};

#[test]
fn a_negative_length_is_refused() {
    let api_key = ApiKey::Metadata as i16;
    for length in [-2, i32::MIN] {
        let found = check(api_key, 0, &length.to_be_bytes(), &LIMITS);
        assert_eq!(found, Err(Refusal::InvalidLength { field: "topics" }));
    }
    let string = [0, 0, 0, 1, 0xff, 0xfe];
    let found = check(api_key, 0, &string, &LIMITS);
    assert_eq!(found, Err(Refusal::InvalidLength { field: "name" }));
    let endless = [0x80; 6];
    let found = check(api_key, 9, &endless, &LIMITS);
    assert_eq!(found, Err(Refusal::InvalidLength { field: "topics" }));
}

#[test]
fn a_request_that_is_not_decoded_is_refused() {
    for (api_key, version) in [(0, 2), (0, 13), (18, 5), (3, -1), (26, 0), (-1, 0)] {
        let unsupported = Refusal::UnsupportedVersion { api_key, version };
        assert_eq!(check(api_key, version, &[], &LIMITS), Err(unsupported));
    }
}

fn encode<R: Request>(request: &R, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, version).unwrap();
    bytes.to_vec()
}

fn metadata(names: impl IntoIterator<Item = String>) -> MetadataRequest {
    let topic = |name| TopicName(StrBytes::from_string(name));
    let topics =
        names.into_iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic(name))));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

#[test]
fn a_string_is_accepted_up_to_its_limit() {
    let key = MetadataRequest::KEY;
    for length in [126, 127, 128, LIMITS.string_bytes - 1, LIMITS.string_bytes] {
        let body = encode(&metadata(["x".repeat(length)]), 9);
        let weight = check_agreement(key, 9, &body).unwrap();
        assert!(weight.decoded > length);
    }
    let found = LIMITS.string_bytes + 1;
    let body = encode(&metadata(["x".repeat(found)]), 9);
    let limit = LIMITS.string_bytes;
    let refusal = Refusal::StringTooLong { field: "name", found, limit };
    assert_eq!(check(key, 9, &body, &LIMITS), Err(refusal));
}

#[test]
fn a_string_that_is_no_text_is_refused() {
    let mut body = encode(&metadata(["abc".to_owned()]), 9);
    let at = body.iter().position(|byte| *byte == b'b').unwrap();
    body[at] = 0xff;
    let refusal = Refusal::InvalidText { field: "name" };
    assert_eq!(check(MetadataRequest::KEY, 9, &body, &LIMITS), Err(refusal));
}

#[test]
fn a_request_that_would_take_too_much_memory_is_refused() {
    let body = encode(&metadata(["a".to_owned(), "b".to_owned()]), 9);
    let Weight { decoded } = check(MetadataRequest::KEY, 9, &body, &LIMITS).unwrap();
    let of =
        |decoded_bytes| check(MetadataRequest::KEY, 9, &body, &Limits { decoded_bytes, ..LIMITS });
    assert_eq!(of(decoded), Ok(Weight { decoded }));
    assert_eq!(of(decoded - 1), Err(Refusal::TooLarge(decoded - 1)));
}

#[test]
fn records_are_not_counted() {
    let produce = |length: usize| {
        let data = PartitionProduceData::default().with_records(Some(vec![1; length].into()));
        let topic = TopicProduceData::default().with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_topic_data(vec![topic]);
        check(0, 9, &encode(&request, 9), &LIMITS).unwrap()
    };
    assert_eq!(produce(0), produce(1 << 20));
}

fn fetch(unknown_tags: i32) -> FetchRequest {
    let mut partition = FetchPartition::default()
        .with_partition_max_bytes(9)
        .with_replica_directory_id(uuid::Uuid::from_u128(5));
    for tag in 0..unknown_tags {
        partition = partition.with_unknown_tagged_field(tag + 2, Bytes::from_static(b"tag"));
    }
    FetchRequest::default()
        .with_cluster_id(Some(StrBytes::from_static_str("cluster")))
        .with_replica_state(ReplicaState::default().with_replica_id(BrokerId(3)))
        .with_topics(vec![FetchTopic::default().with_partitions(vec![partition])])
}

#[test]
fn tagged_fields_are_accepted_up_to_their_limit() {
    let check_tags = |unknown| check_agreement(FetchRequest::KEY, 17, &encode(&fetch(unknown), 17));
    for unknown in [0, 1, 15] {
        assert!(check_tags(unknown).is_ok(), "{unknown}");
    }
    let refusal = Refusal::TooManyTags { name: "FetchPartition", found: 17, limit: 16 };
    assert_eq!(check_tags(16), Err(refusal));
}

/// The decoder would ignore the length, and go on elsewhere than the guard.
#[test]
fn a_known_tagged_field_that_does_not_fill_its_length_is_refused() {
    let body = encode(&fetch(0), 17);
    let at = body.windows(3).position(|bytes| bytes == [0, 8, 8]).unwrap();
    for (length, refusal) in [
        (7, Refusal::Truncated { field: "cluster_id" }),
        (9, Refusal::InvalidTag { field: "cluster_id" }),
    ] {
        let mut body = body.clone();
        body[at + 1] = length;
        assert_eq!(check(FetchRequest::KEY, 17, &body, &LIMITS), Err(refusal));
    }
}

#[test]
fn a_tagged_field_of_a_newer_version_is_refused() {
    // The last tagged field of the request: tag 1, which version 12 has not.
    let mut body = encode(&FetchRequest::default(), 12);
    assert_eq!(body.pop(), Some(0));
    body.extend([1, 1, 0]);
    let refusal = Refusal::InvalidTag { field: "replica_state" };
    assert_eq!(check(FetchRequest::KEY, 12, &body, &LIMITS), Err(refusal));
}
