//! What is refused, with which code and text, and that nothing is written then.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    GroupId, InitProducerIdRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
};
use leftfold_api::{IndexDefinition, PartitionKey, Partitioner, Query};
use leftfold_kafka::{Batch, Compression, ProducerId, Record, ResponseError};

use super::support::{
    Broker, TIME, batch_of, broker, broker_with, fetch_request, frame_of, keyed, list_offset,
    orders, produce, produce_request, produced, text, topic_name,
};

const OK: i16 = 0;

async fn served() -> Broker {
    let broker = broker().await;
    broker.define(orders(1)).await;
    broker
}

/// Produces to the first partition of `order`.
async fn sent(broker: &Broker, batch: Bytes) -> PartitionProduceResponse {
    produce(&broker.connect().await, "order", 0, batch).await
}

fn code(error: ResponseError) -> i16 {
    error.code()
}

fn message(answer: &PartitionProduceResponse) -> &str {
    answer.error_message.as_deref().unwrap_or_default()
}

/// Changes a batch, and makes its checksum right again.
fn with(batch: &Bytes, change: impl FnOnce(&mut [u8])) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// Castagnoli's CRC, a bit at a time.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[tokio::test]
async fn a_batch_that_can_not_be_appended_is_refused_with_its_reason() {
    let broker = served().await;
    let plain = batch_of(keyed("1", "x"));
    let damaged = {
        let mut bytes = plain.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        Bytes::from(bytes)
    };
    let old = with(&plain, |bytes| bytes[16] = 1);
    let cut = plain.slice(..plain.len() - 1);
    let twice = Bytes::from([&plain[..], &plain[..]].concat());
    let transactional = Batch::of(TIME, [keyed("1", "x")])
        .from(ProducerId { id: 5, epoch: 0 }, 0)
        .in_transaction()
        .encode();
    let control = with(&plain, |bytes| bytes[22] |= 1 << 5);
    let without_sequence =
        Batch::of(TIME, [keyed("1", "x")]).from(ProducerId { id: 5, epoch: 0 }, -1).encode();
    let sparse = with(&plain, |bytes| bytes[26] = 3);
    let unknown_codec = with(&plain, |bytes| bytes[22] |= 7);
    let empty = Batch::of(TIME, []).encode();
    for (name, batch, expected) in [
        ("damaged", damaged, ResponseError::CorruptMessage),
        ("old", old, ResponseError::UnsupportedForMessageFormat),
        ("cut", cut, ResponseError::CorruptMessage),
        ("twice", twice, ResponseError::CorruptMessage),
        ("none", Bytes::new(), ResponseError::CorruptMessage),
        ("transactional", transactional, ResponseError::UnsupportedForMessageFormat),
        ("control", control, ResponseError::UnsupportedForMessageFormat),
        ("without sequence", without_sequence, ResponseError::InvalidRecord),
        ("sparse", sparse, ResponseError::InvalidRecord),
        ("unknown codec", unknown_codec, ResponseError::CorruptMessage),
        ("empty", empty, ResponseError::InvalidRecord),
    ] {
        let answer = sent(&broker, batch).await;
        assert_eq!(answer.error_code, code(expected), "{name}: {answer:?}");
        assert!(!message(&answer).is_empty(), "{name}");
        assert_eq!(answer.base_offset, -1);
    }
    assert_eq!(broker.read("category:order").await.len(), 0);
    assert_eq!(sent(&broker, plain).await.error_code, OK);
}

#[tokio::test]
async fn topics_and_partitions_that_are_not_there_are_refused() {
    let broker = broker_with(|config| config.kafka_auto_create = false).await;
    broker.define(orders(1)).await;
    broker.define(IndexDefinition::new("paid", "type:Paid".parse().unwrap())).await;
    let connection = broker.connect().await;
    let batch = batch_of(keyed("1", "x"));
    for (topic, partition, expected) in [
        ("nothing", 0, ResponseError::UnknownTopicOrPartition),
        ("order", 1, ResponseError::UnknownTopicOrPartition),
        ("order", -1, ResponseError::UnknownTopicOrPartition),
        ("order", i32::MAX, ResponseError::UnknownTopicOrPartition),
        ("no/name", 0, ResponseError::InvalidTopicException),
        ("", 0, ResponseError::InvalidTopicException),
        ("paid", 0, ResponseError::InvalidTopicException),
    ] {
        let answer = produce(&connection, topic, partition, batch.clone()).await;
        assert_eq!(answer.error_code, code(expected), "{topic} {partition}: {answer:?}");
    }
    for (topic, partition, offset, expected) in [
        ("order", 1, 0, ResponseError::UnknownTopicOrPartition),
        ("order", 0, 1, ResponseError::OffsetOutOfRange),
        ("order", 0, -1, ResponseError::OffsetOutOfRange),
        ("order", 0, i64::MAX, ResponseError::OffsetOutOfRange),
        ("nothing", 0, 0, ResponseError::UnknownTopicOrPartition),
        ("no/name", 0, 0, ResponseError::InvalidTopicException),
    ] {
        let request = fetch_request(topic, &[(partition, offset)]);
        let mut answer = connection.call(&request).await.unwrap();
        let found = answer.responses.remove(0).partitions.remove(0);
        assert_eq!(found.error_code, code(expected), "{topic} {partition} {offset}");
    }
    for (topic, partition, time, expected) in [
        ("order", 1, -1, ResponseError::UnknownTopicOrPartition),
        ("nothing", 0, -1, ResponseError::UnknownTopicOrPartition),
        ("order", 0, -9, ResponseError::InvalidRequest),
    ] {
        let found = list_offset(&connection, topic, partition, time).await;
        assert_eq!(found.error_code, code(expected), "{topic} {partition} {time}");
    }
    let mut newer = fetch_request("order", &[(0, 0)]);
    newer.topics[0].partitions[0].current_leader_epoch = 1;
    let mut answer = connection.call(&newer).await.unwrap();
    let found = answer.responses.remove(0).partitions.remove(0);
    assert_eq!(found.error_code, code(ResponseError::UnknownLeaderEpoch));
}

#[tokio::test]
async fn a_key_of_another_partition_is_refused_with_the_setting_that_helps() {
    let broker = broker().await;
    broker.define(orders(8)).await;
    let connection = broker.connect().await;
    let right = Partitioner::Murmur2.partition_of(b"1", 8).cast_signed();
    for partition in 0..8 {
        let answer = produce(&connection, "order", partition, batch_of(keyed("1", "x"))).await;
        if partition == right {
            assert_eq!(answer.error_code, OK);
            continue;
        }
        assert_eq!(answer.error_code, code(ResponseError::InvalidRecord));
        assert!(message(&answer).contains("murmur2_random"), "{answer:?}");
        assert_eq!(answer.record_errors[0].batch_index, 0);
    }
    let crc32 = orders(8).partitioner(Partitioner::Crc32);
    let crc32 = IndexDefinition { name: "crc32".to_owned(), ..crc32 };
    broker.define(crc32).await;
    let right = Partitioner::Crc32.partition_of(b"1", 8).cast_signed();
    assert_eq!(produced(&connection, "crc32", right, batch_of(keyed("1", "x"))).await, 1);
}

#[tokio::test]
async fn keys_must_be_names_of_streams() {
    let broker = served().await;
    let whole = IndexDefinition::new("whole", Query::category("order"));
    broker.define(whole.partitioned(1, PartitionKey::Stream)).await;
    let connection = broker.connect().await;
    for (topic, key, expected) in [
        ("order", Bytes::from_static(&[0xff]), "not UTF-8"),
        ("order", Bytes::from_static(b"a\nb"), "control character"),
        ("order", Bytes::from(vec![b'x'; 5_000]), "bytes"),
        ("whole", Bytes::from_static(b"cart-1"), "begins with"),
    ] {
        let record = Record { key: Some(key), ..Record::new("x") };
        let answer = produce(&connection, topic, 0, batch_of(record)).await;
        assert_eq!(answer.error_code, code(ResponseError::InvalidRecord), "{answer:?}");
        assert!(message(&answer).contains(expected), "{answer:?}");
    }
    assert_eq!(produced(&connection, "whole", 0, batch_of(keyed("order-9", "x"))).await, 0);
}

#[tokio::test]
async fn large_batches_are_refused() {
    let broker = broker_with(|config| {
        config.append_bytes.0 = 100_000;
        config.append_events = 50;
    })
    .await;
    broker.define(orders(1)).await;
    let many = |count: usize| Batch::of(TIME, vec![keyed("1", "x"); count]);
    let large = |bytes: usize| Batch::of(TIME, [keyed("1", &"x".repeat(bytes))]);
    let bomb = large(1_000_000);
    for (batch, expected) in [
        (large(100_000).encode(), "store.append_bytes"),
        (compressed(&bomb.encode(), 1), "store.append_bytes"),
        (compressed(&bomb.encode(), 2), "store.append_bytes"),
        (bomb.clone().compressed(Compression::Lz4).encode(), "store.append_bytes"),
        (bomb.compressed(Compression::Zstd).encode(), "store.append_bytes"),
        (many(51).encode(), "store.append_events"),
    ] {
        let answer = sent(&broker, batch).await;
        assert_eq!(answer.error_code, code(ResponseError::MessageTooLarge), "{answer:?}");
        assert!(message(&answer).contains(expected), "{answer:?}");
    }
    assert_eq!(sent(&broker, many(50).encode()).await.error_code, OK);
    let packed = large(90_000).compressed(Compression::Zstd).encode();
    assert_eq!(sent(&broker, packed).await.error_code, OK);
}

/// Compresses the records of a batch.
fn compressed(batch: &Bytes, codec: u8) -> Bytes {
    let (head, records) = batch.split_at(61);
    let records = match codec {
        1 => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            std::io::Write::write_all(&mut encoder, records).unwrap();
            encoder.finish().unwrap()
        }
        _ => snap::raw::Encoder::new().compress_vec(records).unwrap(),
    };
    let mut bytes = [head, &records].concat();
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    with(&bytes.into(), |bytes| bytes[22] |= codec)
}

#[tokio::test]
async fn each_codec_is_read() {
    let broker = served().await;
    let batch = Batch::of(TIME, vec![keyed("1", &"value ".repeat(200)); 3]);
    let plain = batch.encode();
    for (codec, bytes) in [
        (0, plain.clone()),
        (1, compressed(&plain, 1)),
        (2, compressed(&plain, 2)),
        (3, batch.clone().compressed(Compression::Lz4).encode()),
        (4, batch.compressed(Compression::Zstd).encode()),
    ] {
        assert_eq!(bytes[22] & 7, codec);
        assert_eq!(sent(&broker, bytes).await.base_offset, i64::from(codec) * 3);
    }
    let events = broker.read("category:order").await;
    assert!(events.iter().all(|event| event.data() == "value ".repeat(200)));
    assert_eq!(events.len(), 15);
}

#[tokio::test]
async fn transactions_and_other_acknowledgements_are_refused() {
    let broker = served().await;
    let connection = broker.connect().await;
    let batch = batch_of(keyed("1", "x"));
    let ask = async |request: ProduceRequest| {
        let mut answer = connection.call(&request).await.unwrap();
        answer.responses.remove(0).partition_responses.remove(0)
    };
    let request = produce_request("order", &[(0, batch.clone())]);
    for acks in [2, -2, i16::MAX] {
        let answer = ask(request.clone().with_acks(acks)).await;
        assert_eq!(answer.error_code, code(ResponseError::InvalidRequiredAcks));
    }
    let id = kafka_protocol::messages::TransactionalId(text("t"));
    let answer = ask(request.with_transactional_id(Some(id.clone()))).await;
    assert_eq!(answer.error_code, code(ResponseError::UnsupportedForMessageFormat));
    assert!(message(&answer).contains("expected-version"), "{answer:?}");
    let request = InitProducerIdRequest::default().with_transactional_id(Some(id));
    let answer = connection.call(&request).await.unwrap();
    assert_ne!(answer.error_code, OK);
    assert_eq!(broker.read("category:order").await.len(), 0);
}

#[tokio::test]
async fn a_version_conflict_names_its_record_and_the_version() {
    let broker = served().await;
    let expecting =
        |expected: &str| keyed("1", "x").header("expected-version", expected.to_owned());
    let batch = |records: Vec<Record>| Batch::of(TIME, records).encode();
    assert_eq!(sent(&broker, batch(vec![expecting("no-stream")])).await.base_offset, 0);
    let answer = sent(&broker, batch(vec![keyed("2", "x"), expecting("4"), expecting("5")])).await;
    assert_eq!(answer.error_code, code(ResponseError::PolicyViolation), "{answer:?}");
    let errors: Vec<_> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(errors, [1]);
    let why = answer.record_errors[0].batch_index_error_message.as_deref().unwrap();
    assert!(why.contains("last version is 0") && why.contains("order-1"), "{why}");
    assert!(message(&answer).contains("record 1"), "{answer:?}");
    let answer = sent(&broker, batch(vec![expecting("0"), expecting("1")])).await;
    assert_eq!(answer.base_offset, 1, "{answer:?}");
    // What a batch itself contradicts.
    let answer = sent(&broker, batch(vec![expecting("2"), expecting("2")])).await;
    assert_eq!(answer.record_errors[0].batch_index, 1, "{answer:?}");
    // A number so large that counting from it would wrap around.
    let largest = u64::MAX.to_string();
    let answer = sent(&broker, batch(vec![keyed("1", "x"), expecting(&largest)])).await;
    assert_eq!(answer.error_code, code(ResponseError::PolicyViolation), "{answer:?}");
    assert_eq!(broker.read("category:order").await.len(), 3);
}

#[tokio::test]
async fn a_batch_repeated_by_its_ids_is_written_once_and_one_repeated_in_part_is_refused() {
    let broker = served().await;
    let id = |n: u8| format!("0190163d-8694-739b-aea5-966c26f8ad{n:02}");
    let record = |n: u8| keyed("1", "x").header("ce_id", id(n));
    let batch = |numbers: &[u8]| Batch::of(TIME, numbers.iter().map(|n| record(*n))).encode();
    assert_eq!(sent(&broker, batch(&[1, 2])).await.base_offset, 0);
    assert_eq!(sent(&broker, batch(&[3])).await.base_offset, 2);
    assert_eq!(sent(&broker, batch(&[1, 2])).await.base_offset, 0);
    assert_eq!(sent(&broker, batch(&[3])).await.base_offset, 2);
    let answer = sent(&broker, batch(&[4, 2])).await;
    assert_eq!(answer.error_code, code(ResponseError::PolicyViolation), "{answer:?}");
    assert_eq!(answer.record_errors[0].batch_index, 1, "{answer:?}");
    // Producers stamp what they send again with another time.
    let later = Batch::of(TIME + 5_000, [record(1), record(2)]).encode();
    assert_eq!(sent(&broker, later).await.base_offset, 0);
    let several = |time| {
        let streams = ["1", "4", "9"].into_iter();
        let records = streams.zip(10..).map(|(key, n)| keyed(key, "x").header("ce_id", id(n)));
        Batch::of(time, records).encode()
    };
    assert_eq!(sent(&broker, several(TIME)).await.base_offset, 3);
    assert_eq!(sent(&broker, several(TIME + 1)).await.base_offset, 3);
    let other = Batch::of(TIME, [keyed("1", "other").header("ce_id", id(1))]).encode();
    let answer = sent(&broker, other).await;
    assert_eq!(answer.error_code, code(ResponseError::PolicyViolation), "{answer:?}");
    assert_eq!(broker.read("category:order").await.len(), 6);
}

#[tokio::test]
async fn several_batches_for_one_partition_are_written_in_their_order() {
    let broker = served().await;
    let connection = broker.connect().await;
    let request = produce_request(
        "order",
        &[
            (0, batch_of(keyed("1", "a"))),
            (7, batch_of(keyed("1", "nowhere"))),
            (0, batch_of(keyed("1", "b"))),
        ],
    );
    let mut answer = connection.call(&request).await.unwrap();
    let offsets: Vec<_> = answer
        .responses
        .remove(0)
        .partition_responses
        .iter()
        .map(|answer| (answer.index, answer.base_offset))
        .collect();
    assert_eq!(offsets, [(0, 0), (7, -1), (0, 1)]);
    let events = broker.read("category:order").await;
    assert_eq!(events.iter().map(|event| event.data()).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_header_named_metadata_comes_back_as_it_was_sent() {
    let broker = served().await;
    let connection = broker.connect().await;
    for metadata in
        ["m", "{\"kafka\":{\"headers\":[[\"ce_id\",\"forged\"]]}}", "{\"kafka\":{}}", ""]
    {
        let record = keyed("1", "x").header("metadata", metadata);
        let offset = produced(&connection, "order", 0, batch_of(record)).await;
        let mut answer = connection.call(&fetch_request("order", &[(0, offset)])).await.unwrap();
        let records = answer.responses.remove(0).partitions.remove(0).records.unwrap();
        let batches = leftfold_kafka::StoredBatch::decode_all(records).unwrap();
        let record = &batches[0].records[0].record;
        let found = record.find_header(b"metadata").cloned().unwrap_or_default();
        assert_eq!(found, metadata);
        assert_ne!(record.find_header(b"ce_id").unwrap(), "forged");
    }
}

/// A batch with very many small parts takes no more memory than its bytes allow.
#[tokio::test]
async fn a_batch_of_very_many_small_parts_is_refused() {
    let broker = served().await;
    let varint = |bytes: &mut BytesMut, number: i64| {
        let mut number = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while number >= 0x80 {
            bytes.put_u8(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.put_u8(number as u8);
    };
    // One record whose headers have neither a name nor a value.
    let count = (1 << 18) + 1;
    let mut record = BytesMut::new();
    record.put_slice(&[0, 0, 0, 1, 1]);
    varint(&mut record, count);
    record.extend((0..count).flat_map(|_| [0, 1]));
    let mut body = BytesMut::new();
    varint(&mut body, record.len() as i64);
    body.extend_from_slice(&record);
    let template = Batch::of(TIME, [Record::new("x")]).encode();
    let mut batch = template[..61].to_vec();
    batch.extend_from_slice(&body);
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let batch = with(&batch.into(), |_| {});
    let answer = sent(&broker, batch).await;
    assert_eq!(answer.error_code, code(ResponseError::MessageTooLarge), "{answer:?}");
    // More records than are decoded.
    let records = 20_000;
    let batch = Batch::of(TIME, vec![Record::default(); records]).compressed(Compression::Zstd);
    let answer = sent(&broker, batch.encode()).await;
    assert_eq!(answer.error_code, code(ResponseError::MessageTooLarge), "{answer:?}");
}

#[tokio::test]
async fn what_a_consumer_notes_with_an_offset_is_bounded_and_comes_back() {
    let broker = served().await;
    let connection = broker.connect().await;
    let commit = async |partition: i32, metadata: &str| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(7)
            .with_committed_metadata(Some(text(metadata)));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name("order"))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text("billing")))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let mut answer = connection.call(&request).await.unwrap();
        answer.topics.remove(0).partitions.remove(0).error_code
    };
    let longest = "n".repeat(4_096);
    assert_eq!(
        commit(0, &format!("{longest}x")).await,
        code(ResponseError::OffsetMetadataTooLarge)
    );
    assert_eq!(commit(0, &longest).await, OK);
    assert_eq!(commit(1, "").await, code(ResponseError::UnknownTopicOrPartition));
    let wanted = OffsetFetchRequestTopics::default()
        .with_name(topic_name("order"))
        .with_partition_indexes(vec![0, 1]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text("billing")))
        .with_topics(Some(vec![wanted]));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let mut answer = connection.call(&request).await.unwrap();
    let partitions = answer.groups.remove(0).topics.remove(0).partitions;
    assert_eq!(partitions[0].committed_offset, 7);
    assert_eq!(partitions[0].metadata.as_deref(), Some(longest.as_str()));
    assert_eq!((partitions[1].committed_offset, partitions[1].error_code), (-1, OK));
}

/// A partition that is asked for a thousand times is answered once: its note is larger than the question.
#[tokio::test]
async fn an_answer_is_not_much_larger_than_its_question() {
    use kafka_protocol::messages::MetadataRequest;
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    let broker = served().await;
    let connection = broker.connect().await;
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("order")));
    let request = MetadataRequest::default().with_topics(Some(vec![topic; 1_000]));
    let answer = connection.call(&request).await.unwrap();
    assert_eq!(answer.topics.len(), 1);
    let wanted = OffsetFetchRequestTopics::default()
        .with_name(topic_name("order"))
        .with_partition_indexes(vec![0; 1_000]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text("billing")))
        .with_topics(Some(vec![wanted.clone(), wanted]));
    let request = OffsetFetchRequest::default().with_groups(vec![group.clone(), group]);
    let mut answer = connection.call(&request).await.unwrap();
    assert_eq!(answer.groups.len(), 1);
    let mut topics = answer.groups.remove(0).topics;
    assert_eq!(topics.len(), 1);
    assert_eq!(topics.remove(0).partitions.len(), 1);
}

#[tokio::test]
async fn old_versions_of_produce_and_unknown_requests_close_the_connection() {
    let broker = served().await;
    let request = produce_request("order", &[(0, batch_of(keyed("1", "x")))]);
    let frame = frame_of(3, 1, &request);
    for (at, value) in [(6, [0, 2]), (6, [0, 13]), (4, [0, 4]), (4, [0x7f, 0])] {
        let mut socket = broker.socket().await;
        let mut bytes = frame.to_vec();
        bytes[at..at + 2].copy_from_slice(&value);
        socket.send(&bytes).await;
        assert_eq!(socket.until_closed().await.len(), 0);
    }
    assert_eq!(broker.read("category:order").await.len(), 0);
}
