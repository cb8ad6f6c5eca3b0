//! Clients that are too large, too slow or too many: each is cut off or slowed down, and others are served.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest};
use leftfold_kafka::Batch;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::support::{
    Broker, DEADLINE, TIME, batch_of, broker_with, config, fetch_request, frame_of, keyed,
    list_offset, orders, produce_request, produced, store_on,
};
use crate::access::support::ADMIN;

const SHORT: Duration = Duration::from_secs(1);

async fn still_serves(broker: &Broker) {
    let answer = broker.connect().await.call(&MetadataRequest::default()).await.unwrap();
    assert_eq!(answer.brokers.len(), 1);
}

#[tokio::test]
async fn a_request_larger_than_allowed_closes_the_connection() {
    let broker = broker_with(|config| config.body_bytes.0 = 100_000).await;
    for length in [100_001, i32::MAX, -1, i32::MIN] {
        let mut socket = broker.socket().await;
        socket.send(&length.to_be_bytes()).await;
        assert_eq!(socket.until_closed().await.len(), 0);
    }
    broker.define(orders(1)).await;
    let request = produce_request("order", &[(0, batch_of(keyed("1", &"x".repeat(99_000))))]);
    let mut socket = broker.socket().await;
    socket.send(&frame_of(9, 1, &request)).await;
    let (_, answer) = socket.answer::<ProduceRequest>(9).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    still_serves(&broker).await;
}

#[tokio::test]
async fn a_client_that_is_not_known_sends_small_requests_one_after_the_other() {
    let disk = std::sync::Arc::new(leftfold_io::fake::FakeDisk::new());
    let store = store_on(disk);
    let beginning = leftfold_server::StartOptions {
        admin_password: Some(leftfold_server::access::Secret::from(ADMIN.to_owned())),
        clock: std::sync::Arc::new(leftfold_io::SystemClock),
    };
    let running =
        leftfold_server::Server::start_with(config(), store.clone(), beginning).await.unwrap();
    let broker = Broker { running, store };
    let mut socket = broker.socket().await;
    socket.send(&65_537_i32.to_be_bytes()).await;
    assert_eq!(socket.until_closed().await.len(), 0);
    // Versions may be asked for, and nothing else.
    let mut socket = broker.socket().await;
    let frames = [
        frame_of(3, 1, &ApiVersionsRequest::default()),
        frame_of(9, 2, &MetadataRequest::default()),
        frame_of(3, 3, &ApiVersionsRequest::default()),
    ];
    socket.send(&frames.concat()).await;
    assert_eq!(socket.answer::<ApiVersionsRequest>(3).await.unwrap().0, 1);
    assert_eq!(socket.until_closed().await.len(), 0);
}

#[tokio::test]
async fn a_client_that_sends_nothing_or_too_slowly_is_disconnected() {
    let broker = broker_with(|config| config.header_time = SHORT).await;
    let mut silent = broker.socket().await;
    assert_eq!(silent.until_closed().await.len(), 0);
    let broker = broker_with(|config| config.body_time = SHORT).await;
    let mut slow = broker.socket().await;
    slow.send(&[0, 0, 0, 100, 0]).await;
    let (mut read, mut write) = slow.stream.split();
    let drip = async {
        while write.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut sent = Vec::new();
    let end = async { _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut sent).await };
    let ended = async {
        tokio::select! { () = drip => {}, () = end => {} }
    };
    timeout(DEADLINE, ended).await.unwrap();
    still_serves(&broker).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_that_waits_is_not_idle() {
    let broker = broker_with(|config| config.idle_time = SHORT).await;
    broker.define(orders(1)).await;
    let mut idle = broker.socket().await;
    idle.send(&frame_of(3, 1, &ApiVersionsRequest::default())).await;
    assert_eq!(idle.until_closed().await.len(), 1);
    // It waits for longer than a connection may be idle; its next request is served all the same.
    let mut waiting = broker.socket().await;
    let request = fetch_request("order", &[(0, 0)]).with_max_wait_ms(2_000);
    for id in 0..2 {
        waiting.send(&frame_of(12, id, &request)).await;
        assert_eq!(waiting.answer::<FetchRequest>(12).await.unwrap().0, id);
    }
}

/// A client that does not read its answers keeps nothing from others: what it has asked for is done meanwhile.
#[tokio::test]
async fn a_client_that_reads_nothing_holds_no_one_up() {
    use super::support::{text, topic_name};
    use kafka_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use kafka_protocol::messages::{GroupId, OffsetCommitRequest};
    let broker = broker_with(|config| config.write_time = DEADLINE * 2).await;
    broker.define(orders(1)).await;
    let connection = broker.connect().await;
    let large = "x".repeat(8 << 20);
    produced(&connection, "order", 0, batch_of(keyed("1", &large))).await;
    let commit = |offset: i64| {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name("order"))
            .with_partitions(vec![partition]);
        OffsetCommitRequest::default()
            .with_group_id(GroupId(text("billing")))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic])
    };
    let mut frames = Vec::new();
    let fetch = fetch_request("order", &[(0, 0)]);
    frames.extend_from_slice(&frame_of(12, 0, &fetch));
    for n in 1..30 {
        frames.extend_from_slice(&frame_of(8, n, &commit(i64::from(n))));
    }
    let mut stuck = broker.socket().await;
    stuck.send(&frames).await;
    // Its last commit is done, although its first answer can't be sent.
    let last = async {
        while connection.call_at(7, &offsets_of("billing")).await.unwrap().topics[0].partitions[0]
            .committed_offset
            != 29
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE / 2, last).await.unwrap();
    timeout(DEADLINE / 2, connection.call(&commit(77))).await.unwrap().unwrap();
}

fn offsets_of(group: &str) -> kafka_protocol::messages::OffsetFetchRequest {
    use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
    let topic = OffsetFetchRequestTopic::default()
        .with_name(super::support::topic_name("order"))
        .with_partition_indexes(vec![0]);
    kafka_protocol::messages::OffsetFetchRequest::default()
        .with_group_id(kafka_protocol::messages::GroupId(super::support::text(group)))
        .with_topics(Some(vec![topic]))
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let broker = broker_with(|config| config.write_time = SHORT).await;
    broker.define(orders(1)).await;
    let connection = broker.connect().await;
    produced(&connection, "order", 0, batch_of(keyed("1", &"x".repeat(8 << 20)))).await;
    let mut stuck = broker.socket().await;
    let fetch = frame_of(12, 0, &fetch_request("order", &[(0, 0)]));
    stuck.send(&fetch.repeat(20)).await;
    // The server closes it, so a write fails in the end.
    let closed = async {
        while stuck.stream.write_all(&fetch).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, closed).await.unwrap();
    still_serves(&broker).await;
}

#[tokio::test]
async fn quotas_slow_a_client_down() {
    let broker = broker_with(|config| {
        config.kafka_produce_rate.0 = 200_000;
        config.kafka_fetch_rate.0 = 200_000;
    })
    .await;
    broker.define(orders(1)).await;
    let connection = broker.connect().await;
    let request = produce_request("order", &[(0, batch_of(keyed("1", &"x".repeat(150_000))))]);
    let began = Instant::now();
    let answers = [(); 2].map(|()| connection.send(&request).unwrap());
    let [first, second] = answers;
    assert_eq!(first.wait().await.unwrap().throttle_time_ms, 0);
    let throttle = second.wait().await.unwrap().throttle_time_ms;
    assert!((1..=600).contains(&throttle), "{throttle}");
    // The next request of the connection waits, whatever it is.
    list_offset(&connection, "order", 0, -1).await;
    assert!(began.elapsed() >= Duration::from_millis(u64::from(throttle.cast_unsigned())));
    let fetch = fetch_request("order", &[(0, 1)]);
    assert_eq!(connection.call(&fetch).await.unwrap().throttle_time_ms, 0);
    let throttle = connection.call(&fetch).await.unwrap().throttle_time_ms;
    assert!(throttle > 0, "{throttle}");
}

/// Memory that requests take at the same time is bounded; a client beyond it is refused and tries again.
#[tokio::test]
async fn requests_take_no_more_memory_than_allowed() {
    let broker = broker_with(|config| {
        config.bodies_bytes.0 = 4 << 20;
        config.body_bytes.0 = 3 << 20;
    })
    .await;
    broker.define(orders(1)).await;
    let batch = Batch::of(TIME, [keyed("1", &"x".repeat(1_500_000))]).encode();
    let request = produce_request("order", &[(0, batch)]);
    let frame = frame_of(9, 1, &request);
    // Half of it is one address's share, which one of these takes most of.
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let mut socket = broker.socket().await;
        _ = socket.stream.write_all(&frame[..frame.len() - 1]).await;
        sockets.push(socket);
    }
    let mut closed = 0;
    for mut socket in sockets {
        if socket.stream.write_all(&frame[frame.len() - 1..]).await.is_err()
            || socket.receive().await.is_none()
        {
            closed += 1;
        }
    }
    assert!(closed > 0);
    let written = broker.read("category:order").await.len();
    assert!(written <= 4 - closed);
    let batch: Bytes = batch_of(keyed("1", "small"));
    assert_eq!(produced(&broker.connect().await, "order", 0, batch).await, written as i64);
}
