//! Requests of Kafka's protocol that become large when they are decoded or answered.

use std::io::Write;
use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    FetchRequest, GroupId, MetadataRequest, OffsetFetchRequest, ProduceRequest, RequestHeader,
    TopicName,
};
use kafka_protocol::protocol::{Encodable, Request, StrBytes};
use leftfold_kafka::{Batch, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;

use crate::AT_ONCE;

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn frame<R: Request>(version: i16, request: &R) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let head = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(None);
    head.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let length = i32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame.freeze()
}

fn produce(batch: Bytes) -> Bytes {
    let data = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(topic("order"));
    let topic = topic.with_partition_data(vec![data]);
    frame(9, &ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]))
}

const MEBIBYTE: usize = 1 << 20;

/// A batch with a record of this many mebibytes.
fn large_record(mebibytes: usize) -> Bytes {
    let varint = |number: usize| {
        let (mut bytes, mut number) = (Vec::new(), number << 1);
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let value = varint(mebibytes * MEBIBYTE);
    let length = varint(5 + value.len() + mebibytes * MEBIBYTE);
    let start = [&length[..], &[0, 0, 0, 1], &value].concat();
    let zeros = std::iter::repeat_n(vec![0; MEBIBYTE], mebibytes);
    compressed(1, std::iter::once(start).chain(zeros).chain([vec![0]]))
}

/// A batch with this many thousands of the smallest records.
fn small_records(thousands: i32) -> Bytes {
    let records = [12, 0, 0, 0, 1, 1, 0].repeat(1_000);
    compressed(thousands * 1_000, (0..thousands).map(|_| records.clone()))
}

/// A batch of a few kilobytes; made without holding all that it becomes.
fn compressed(count: i32, pieces: impl Iterator<Item = Vec<u8>>) -> Bytes {
    let mut records = zstd::Encoder::new(Vec::new(), 3).unwrap();
    pieces.for_each(|piece| records.write_all(&piece).unwrap());
    let head = Batch::of(0, [Record::default()]).encode();
    let mut batch = [&head[..61], &records.finish().unwrap()].concat();
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = 4; // zstd
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

/// Castagnoli's CRC, a bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn frames() -> Vec<Bytes> {
    let partitions = (0..10_000).map(|n| FetchPartition::default().with_partition(n));
    let fetched = FetchTopic::default().with_topic(topic("order"));
    let fetched = fetched.with_partitions(partitions.collect());
    let named = |n: i32| MetadataRequestTopic::default().with_name(Some(topic(&n.to_string())));
    let wanted = OffsetFetchRequestTopic::default()
        .with_name(topic("order"))
        .with_partition_indexes((0..1 << 18).collect());
    vec![
        frame(12, &FetchRequest::default().with_session_epoch(0).with_topics(vec![fetched])),
        frame(12, &MetadataRequest::default().with_topics(Some((0..5_000).map(named).collect()))),
        frame(
            7,
            &OffsetFetchRequest::default()
                .with_group_id(GroupId(StrBytes::from_static_str("g")))
                .with_topics(Some(vec![wanted])),
        ),
        produce(large_record(200)),
        produce(large_record(20)),
        produce(small_records(2_000)),
    ]
}

/// The requests, encoded before the memory is counted.
pub(crate) struct Hostile(Vec<Bytes>);

impl Hostile {
    pub(crate) fn new() -> Self {
        Hostile(frames())
    }

    /// Sends each request ten times at once, and reads what is answered.
    pub(crate) async fn send(&self, address: SocketAddr) {
        for frame in &self.0 {
            let clients: Vec<_> = std::iter::repeat_with(|| {
                let frame = frame.clone();
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    if stream.write_all(&frame).await.is_err() {
                        return;
                    }
                    // An answer, or the end of the connection.
                    if let Ok(length) = stream.read_i32().await {
                        let answer = (&mut stream).take(u64::try_from(length).unwrap());
                        _ = copy(&mut { answer }, &mut sink()).await;
                    }
                })
            })
            .take(AT_ONCE)
            .collect();
            for client in clients {
                client.await.unwrap();
            }
        }
    }
}
