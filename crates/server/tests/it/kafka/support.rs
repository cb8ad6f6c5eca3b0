//! A server with a listener for Kafka's clients, and what they ask of it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    BrokerId, FetchRequest, ListOffsetsRequest, ProduceRequest, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request, StrBytes};
use leftfold_api::{EventStore, IndexDefinition, Read, Recorded};
use leftfold_io::fake::FakeDisk;
use leftfold_kafka::{Batch, Connection, KafkaError, Record, decode_answer};
use leftfold_server::{Config, RunningServer, Server};
use leftfold_store::Embedded;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) use crate::access::support::{store_on, until};
pub(super) use crate::support::DEADLINE;

/// A time for records, in milliseconds since 1970.
pub(super) const TIME: i64 = 1_700_000_000_123;

/// The defaults, on free ports.
pub(super) fn config() -> Config {
    let mut config = crate::support::config();
    config.kafka_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    config
}

/// A served store.
pub(super) struct Broker {
    pub(super) running: RunningServer,
    pub(super) store: Arc<Embedded>,
}

pub(super) async fn broker() -> Broker {
    broker_with(|_| {}).await
}

pub(super) async fn broker_with(change: impl FnOnce(&mut Config)) -> Broker {
    let mut config = config();
    change(&mut config);
    broker_of(config, store_on(Arc::new(FakeDisk::new()))).await
}

pub(super) async fn broker_of(config: Config, store: Arc<Embedded>) -> Broker {
    let running = Server::start(config, store.clone()).await.unwrap();
    Broker { running, store }
}

impl Broker {
    pub(super) fn address(&self) -> SocketAddr {
        self.running.kafka_addr().unwrap()
    }

    pub(super) async fn connect(&self) -> Connection {
        connect(self.address()).await
    }

    pub(super) async fn socket(&self) -> Socket {
        Socket::open(self.address()).await
    }

    /// Ends the server, and waits until nothing holds its store any more.
    pub(super) async fn end(self) {
        let Broker { running, store } = self;
        running.shutdown().await;
        until("the server lets go of its store", || {
            let is_held = Arc::strong_count(&store) > 1;
            async move { !is_held }
        })
        .await;
    }

    /// Defines an index, which is a topic.
    pub(super) async fn define(&self, definition: IndexDefinition) {
        self.store.define_index(definition).await.unwrap();
    }

    /// Reads all events of a query, with their ordinals if they have any.
    pub(super) async fn read(&self, query: &str) -> Vec<Recorded> {
        let read = Read::forward(query.parse().unwrap());
        read_all(&self.store, read).await
    }
}

pub(super) async fn connect(address: SocketAddr) -> Connection {
    Connection::open(&address.into(), DEADLINE).await.unwrap()
}

/// Reads all pages.
pub(super) async fn read_all(store: &Embedded, read: Read) -> Vec<Recorded> {
    let (mut events, mut next) = (Vec::new(), read.clone());
    loop {
        let page = store.read(next).await.unwrap();
        events.extend(page.events);
        if !page.more {
            return events;
        }
        next = read.clone().after(page.cursor);
    }
}

/// A topic of the category `order`, with this many partitions by the ids of its streams.
pub(super) fn orders(partitions: u32) -> IndexDefinition {
    let query = leftfold_api::Query::category("order");
    IndexDefinition::new("order", query)
        .partitioned(partitions, leftfold_api::PartitionKey::StreamId)
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn topic_name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

/// A record with a key.
pub(super) fn keyed(key: &str, value: &str) -> Record {
    Record { key: Some(Bytes::from(key.to_owned())), ..Record::new(value.to_owned()) }
}

/// A batch of one record without a producer.
pub(super) fn batch_of(record: Record) -> Bytes {
    Batch::of(TIME, [record]).encode()
}

/// A request to produce batches to partitions of a topic.
pub(super) fn produce_request(topic: &str, batches: &[(i32, Bytes)]) -> ProduceRequest {
    let data = batches.iter().map(|(partition, batch)| {
        PartitionProduceData::default().with_index(*partition).with_records(Some(batch.clone()))
    });
    let topic = TopicProduceData::default().with_name(topic_name(topic));
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic.with_partition_data(data.collect())])
}

/// Produces a batch, and returns the answer for its partition.
pub(super) async fn produce(
    connection: &Connection,
    topic: &str,
    partition: i32,
    batch: Bytes,
) -> PartitionProduceResponse {
    let request = produce_request(topic, &[(partition, batch)]);
    let mut answer = connection.call(&request).await.unwrap();
    answer.responses.remove(0).partition_responses.remove(0)
}

/// Produces a batch that must be taken, and returns its first offset.
pub(super) async fn produced(
    connection: &Connection,
    topic: &str,
    partition: i32,
    batch: Bytes,
) -> i64 {
    let answer = produce(connection, topic, partition, batch).await;
    assert_eq!(answer.error_code, 0, "{answer:?}");
    answer.base_offset
}

/// A request to fetch partitions of a topic from offsets on, without a session.
pub(super) fn fetch_request(topic: &str, partitions: &[(i32, i64)]) -> FetchRequest {
    let partitions = partitions.iter().map(|(partition, offset)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    });
    let topic = FetchTopic::default().with_topic(topic_name(topic));
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic.with_partitions(partitions.collect())])
}

/// Asks for an offset by a time, or by -1 for the end, or -2 for the beginning.
pub(super) async fn list_offset(
    connection: &Connection,
    topic: &str,
    partition: i32,
    time: i64,
) -> ListOffsetsPartitionResponse {
    let wanted = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(time);
    let topic = ListOffsetsTopic::default().with_name(topic_name(topic));
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic.with_partitions(vec![wanted])]);
    let mut answer = connection.call(&request).await.unwrap();
    answer.topics.remove(0).partitions.remove(0)
}

/// A frame of a request: its length, its head and its body.
pub(super) fn frame(api_key: i16, version: i16, id: i32, body: &[u8]) -> Bytes {
    let key = kafka_protocol::messages::ApiKey::try_from(api_key).unwrap();
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let head = RequestHeader::default()
        .with_request_api_key(api_key)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some(StrBytes::from_static_str("raw")));
    head.encode(&mut frame, key.request_header_version(version)).unwrap();
    frame.extend_from_slice(body);
    let length = i32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame.freeze()
}

/// A frame of a request, encoded by the protocol's own types.
pub(super) fn frame_of<R: Request>(version: i16, id: i32, request: &R) -> Bytes {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap();
    frame(R::KEY, version, id, &body)
}

/// A connection of bytes.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
}

impl Socket {
    pub(super) async fn open(address: SocketAddr) -> Self {
        Socket { stream: TcpStream::connect(address).await.unwrap() }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        timeout(DEADLINE, self.stream.write_all(bytes)).await.unwrap().unwrap();
    }

    /// Returns the next frame without its length; `None` if the server has closed the connection.
    pub(super) async fn receive(&mut self) -> Option<Bytes> {
        let read = async {
            let length = self.stream.read_i32().await.ok()?;
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        };
        timeout(DEADLINE, read).await.unwrap()
    }

    /// Returns the number of the request that is answered next, and the answer.
    pub(super) async fn answer<R: Request>(
        &mut self,
        version: i16,
    ) -> Result<(i32, R::Response), KafkaError>
    where
        R::Response: HeaderVersion,
    {
        let frame = self.receive().await.unwrap();
        let id = i32::from_be_bytes(frame[..4].try_into().unwrap());
        Ok((id, decode_answer::<R>(frame, version)?))
    }

    /// Waits until the server closes the connection, and returns the frames before.
    pub(super) async fn until_closed(&mut self) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while let Some(frame) = self.receive().await {
            frames.push(frame);
        }
        frames
    }
}
