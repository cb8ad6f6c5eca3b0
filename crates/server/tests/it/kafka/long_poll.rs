//! A Fetch that waits is woken by what is appended.

use std::sync::Arc;

use kafka_protocol::messages::FetchResponse;
use leftfold_api::{Append, EventStore, IndexDefinition, NewEvent, PartitionKey, Query};
use tokio::sync::Barrier;
use tokio::time::{Instant, timeout};

use super::support::{DEADLINE, batch_of, broker, connect, fetch_request, keyed, orders, produced};

/// Longer than a test may take: a wake-up that is lost fails it.
const WAIT: i32 = 60_000;

fn bytes_of(answer: &FetchResponse) -> usize {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|found| found.records.as_ref().map_or(0, bytes::Bytes::len)).sum()
}

#[tokio::test]
async fn an_append_of_any_kind_wakes_a_fetch() {
    let broker = broker().await;
    broker.define(orders(2)).await;
    let prefix = IndexDefinition::new("a-b", "stream:a-b-*".parse().unwrap());
    let key = PartitionKey::Behind("a-b-".to_owned());
    broker.define(prefix.partitioned(1, key)).await;
    broker.define(IndexDefinition::new("plain", Query::category("order"))).await;
    let consumer = broker.connect().await;
    let began = Instant::now();
    let mut ends = [0; 2];
    for (round, (topic, stream)) in
        [("order", "order-1"), ("a-b", "a-b-1"), ("plain", "order-2"), ("order", "order-3")]
            .into_iter()
            .enumerate()
    {
        let key = stream.strip_prefix("order-").unwrap_or("");
        let partition = match topic {
            "order" => leftfold_api::Partitioner::Murmur2.partition_of(key.as_bytes(), 2),
            _ => 0,
        };
        let from = match topic {
            "plain" => 1,
            _ => ends[partition as usize],
        };
        let request = fetch_request(topic, &[(partition.cast_signed(), from)]);
        let reply = consumer.send(&request.with_max_wait_ms(WAIT)).unwrap();
        let append = Append::new().event(stream, NewEvent::new("T", "x"));
        broker.store.append(append).await.unwrap();
        let answer = timeout(DEADLINE / 2, reply.wait()).await.unwrap().unwrap();
        assert!(bytes_of(&answer) > 0, "{topic} {round}");
        if topic == "order" {
            ends[partition as usize] += 1;
        }
        if stream == "order-2" {
            let partition = leftfold_api::Partitioner::Murmur2.partition_of(b"2", 2);
            ends[partition as usize] += 1;
        }
    }
    assert!(began.elapsed() < DEADLINE / 2);
}

/// What does not concern a partition does not end its wait, and what is less than it wants neither.
#[tokio::test]
async fn a_fetch_waits_for_as_many_bytes_as_it_wants() {
    let broker = broker().await;
    broker.define(orders(1)).await;
    let (consumer, producer) = (broker.connect().await, broker.connect().await);
    let request = fetch_request("order", &[(0, 0)]).with_max_wait_ms(WAIT).with_min_bytes(5_000);
    let reply = consumer.send(&request).unwrap();
    let append = Append::new().event("cart-1", NewEvent::new("T", "x"));
    broker.store.append(append).await.unwrap();
    for n in 0..3 {
        let batch = batch_of(keyed("1", &"x".repeat(2_000)));
        assert_eq!(produced(&producer, "order", 0, batch).await, n);
    }
    let answer = timeout(DEADLINE / 2, reply.wait()).await.unwrap().unwrap();
    assert!(bytes_of(&answer) > 5_000);
    // And no longer than it says.
    let request = fetch_request("order", &[(0, 3)]).with_max_wait_ms(50);
    assert_eq!(bytes_of(&consumer.call(&request).await.unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost() {
    let rounds: i64 = std::env::var("KAFKA_WAKE_UPS").map_or(1_500, |n| n.parse().unwrap());
    let broker = broker().await;
    broker.define(orders(1)).await;
    let (barrier, address) = (Arc::new(Barrier::new(2)), broker.address());
    let consumer = tokio::spawn({
        let barrier = barrier.clone();
        async move {
            let connection = connect(address).await;
            for offset in 0..rounds {
                barrier.wait().await;
                let request = fetch_request("order", &[(0, offset)]).with_max_wait_ms(WAIT);
                let answer = timeout(DEADLINE / 2, connection.call(&request)).await;
                assert!(bytes_of(&answer.unwrap().unwrap()) > 0, "{offset}");
            }
        }
    });
    for round in 0..rounds {
        barrier.wait().await;
        // Before, while and after the consumer looks and begins to wait.
        for _ in 0..(round % 40) * 5 {
            tokio::task::yield_now().await;
        }
        let append = Append::new().event("order-1", NewEvent::new("T", "x"));
        broker.store.append(append).await.unwrap();
    }
    consumer.await.unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_waits_at_once_and_finishes_what_is_in_flight() {
    let broker = broker().await;
    broker.define(orders(1)).await;
    let consumer = broker.connect().await;
    let waiting = fetch_request("order", &[(0, 0)]).with_max_wait_ms(WAIT);
    let reply = consumer.send(&waiting).unwrap();
    // It is in flight when the one behind it on another connection is answered.
    let other = broker.connect().await;
    let _ = other.call(&fetch_request("order", &[(0, 0)])).await.unwrap();
    timeout(DEADLINE / 2, broker.running.shutdown()).await.unwrap();
    let answer = timeout(DEADLINE / 2, reply.wait()).await.unwrap();
    assert_eq!(bytes_of(&answer.unwrap()), 0, "it is answered, with nothing");
}
