//! The order of a connection: of its answers, and of the batches of a partition.

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
};

use super::support::{
    batch_of, broker, connect, fetch_request, frame_of, keyed, orders, produce_request, until,
};

const VERSION: i16 = 9;

#[tokio::test]
async fn who_wants_no_answer_gets_none_and_the_next_answer_is_right() {
    let broker = broker().await;
    broker.define(orders(1)).await;
    let mut socket = broker.socket().await;
    let mut frames = Vec::new();
    for n in 0..10 {
        let batch = batch_of(keyed("1", &n.to_string()));
        let request = produce_request("order", &[(0, batch)]).with_acks(0);
        frames.extend_from_slice(&frame_of(VERSION, n, &request));
    }
    // Not even a refusal is answered.
    let wrong = produce_request("order", &[(9, batch_of(keyed("1", "x")))]).with_acks(0);
    frames.extend_from_slice(&frame_of(VERSION, 50, &wrong));
    let last = produce_request("order", &[(0, batch_of(keyed("1", "last")))]);
    frames.extend_from_slice(&frame_of(VERSION, 99, &last));
    socket.send(&frames).await;
    let (id, answer) = socket.answer::<ProduceRequest>(VERSION).await.unwrap();
    assert_eq!(id, 99);
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, 10);
    assert_eq!(broker.read("category:order").await.len(), 11);
}

/// What a client sends before it goes away is written, if it wants no answer.
#[tokio::test]
async fn what_is_sent_without_an_answer_is_written_although_its_client_goes() {
    let broker = broker().await;
    broker.define(orders(1)).await;
    for round in 1..=20 {
        let mut socket = broker.socket().await;
        let mut frames = Vec::new();
        for n in 0..20 {
            let batch = batch_of(keyed("1", &n.to_string()));
            let request = produce_request("order", &[(0, batch)]).with_acks(0);
            frames.extend_from_slice(&frame_of(VERSION, n, &request));
        }
        socket.send(&frames).await;
        drop(socket);
        let expected = round * 20;
        until("the batches are written", || async {
            broker.read("category:order").await.len() == expected
        })
        .await;
    }
}

/// A Fetch that waits is answered before what was sent behind it.
#[tokio::test]
async fn requests_are_answered_in_their_order() {
    let broker = broker().await;
    broker.define(orders(1)).await;
    let mut socket = broker.socket().await;
    let waiting = fetch_request("order", &[(0, 0)]).with_max_wait_ms(60_000);
    let batch = produce_request("order", &[(0, batch_of(keyed("1", "x")))]);
    let metadata = MetadataRequest::default().with_topics(Some(Vec::new()));
    let mut frames = Vec::new();
    frames.extend_from_slice(&frame_of(12, 1, &waiting));
    frames.extend_from_slice(&frame_of(3, 2, &ApiVersionsRequest::default()));
    frames.extend_from_slice(&frame_of(VERSION, 3, &batch));
    frames.extend_from_slice(&frame_of(9, 4, &metadata));
    frames.extend_from_slice(&frame_of(7, 5, &ListOffsetsRequest::default()));
    socket.send(&frames).await;
    let (id, answer) = socket.answer::<FetchRequest>(12).await.unwrap();
    assert_eq!(id, 1);
    let records = answer.responses[0].partitions[0].records.as_ref().unwrap();
    assert!(!records.is_empty(), "the batch behind it woke it");
    assert_eq!(socket.answer::<ApiVersionsRequest>(3).await.unwrap().0, 2);
    let (id, answer) = socket.answer::<ProduceRequest>(VERSION).await.unwrap();
    assert_eq!((id, answer.responses[0].partition_responses[0].error_code), (3, 0));
    assert_eq!(socket.answer::<MetadataRequest>(9).await.unwrap().0, 4);
    assert_eq!(socket.answer::<ListOffsetsRequest>(7).await.unwrap().0, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_of_a_partition_keep_their_order_in_flight() {
    const CONNECTIONS: usize = 4;
    const BATCHES: i64 = 320;
    let broker = broker().await;
    broker.define(orders(8)).await;
    let address = broker.address();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|client| {
            tokio::spawn(async move {
                let connection = connect(address).await;
                let key = format!("c{client}");
                let partition = leftfold_api::Partitioner::Murmur2.partition_of(key.as_bytes(), 8);
                let partition = leftfold_kafka::Partition::new("order", partition.cast_signed());
                let replies: Vec<_> = (0..BATCHES)
                    .map(|n| {
                        let batch = batch_of(keyed(&key, &n.to_string()));
                        connection.produce(&partition, batch, super::support::DEADLINE).unwrap()
                    })
                    .collect();
                let mut last = -1;
                for reply in replies {
                    let offset = reply.wait().await.unwrap().base_offset;
                    assert!(offset > last);
                    last = offset;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    for client in 0..CONNECTIONS {
        let events = broker.read(&format!("stream:order-c{client}")).await;
        let values: Vec<_> = events.iter().map(|event| event.data()).collect();
        let expected: Vec<_> = (0..BATCHES).map(|n| Bytes::from(n.to_string())).collect();
        assert_eq!(values, expected);
    }
}
