//! Fetch sessions over connections.

use kafka_protocol::messages::FetchRequest;
use leftfold_kafka::{Connection, ResponseError};

use super::support::{
    Broker, batch_of, broker, fetch_request, keyed, list_offset, orders, produced,
};

/// What a request in a session is answered: its error, the session, and what of which partitions.
async fn ask(
    connection: &Connection,
    request: FetchRequest,
    (id, epoch): (i32, i32),
) -> (i16, i32, Vec<(i32, usize)>) {
    let request = request.with_session_id(id).with_session_epoch(epoch);
    let answer = connection.call(&request).await.unwrap();
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    let partitions = partitions
        .map(|found| (found.partition_index, found.records.as_ref().map_or(0, bytes::Bytes::len)));
    let mut partitions: Vec<_> = partitions.collect();
    partitions.sort_unstable();
    (answer.error_code, answer.session_id, partitions)
}

async fn served() -> Broker {
    let broker = broker().await;
    broker.define(orders(4)).await;
    broker
}

#[tokio::test]
async fn a_session_tells_only_what_is_new() {
    let broker = served().await;
    let connection = broker.connect().await;
    let all = fetch_request("order", &[(0, 0), (1, 0), (2, 0), (3, 0)]);
    let (error, id, partitions) = ask(&connection, all, (0, 0)).await;
    assert_eq!((error, partitions.len()), (0, 4));
    assert!(id > 0);
    let nothing = fetch_request("order", &[]).with_topics(Vec::new());
    assert_eq!(ask(&connection, nothing.clone(), (id, 1)).await, (0, id, Vec::new()));
    let partition = leftfold_api::Partitioner::Murmur2.partition_of(b"1", 4).cast_signed();
    assert_eq!(produced(&connection, "order", partition, batch_of(keyed("1", "x"))).await, 0);
    let (error, _, partitions) = ask(&connection, nothing.clone(), (id, 2)).await;
    assert_eq!((error, partitions.len(), partitions[0].0), (0, 1, partition));
    assert!(partitions[0].1 > 0);
    // The consumer goes on behind the record; then there is nothing again.
    let next = fetch_request("order", &[(partition, 1)]);
    assert_eq!(ask(&connection, next, (id, 3)).await, (0, id, Vec::new()));
    // A session may go on over another connection.
    let other = broker.connect().await;
    assert_eq!(ask(&other, nothing.clone(), (id, 4)).await, (0, id, Vec::new()));
    let (error, ..) = ask(&other, nothing.clone(), (id, 4)).await;
    assert_eq!(error, ResponseError::InvalidFetchSessionEpoch.code());
    let (error, ..) = ask(&other, nothing.clone(), (id + 1, 4)).await;
    assert_eq!(error, ResponseError::FetchSessionIdNotFound.code());
    // Its end.
    assert_eq!(ask(&other, nothing.clone(), (id, -1)).await.0, 0);
    let (error, ..) = ask(&other, nothing, (id, 5)).await;
    assert_eq!(error, ResponseError::FetchSessionIdNotFound.code());
}

/// A partition with a lot to tell does not keep the others from being told.
#[tokio::test]
async fn no_partition_of_a_session_starves() {
    let broker = served().await;
    let connection = broker.connect().await;
    let partition_of = |key: &str| {
        leftfold_api::Partitioner::Murmur2.partition_of(key.as_bytes(), 4).cast_signed()
    };
    for n in 0..40 {
        let key = n.to_string();
        let batch = batch_of(keyed(&key, &"x".repeat(3_000)));
        produced(&connection, "order", partition_of(&key), batch).await;
    }
    let all = fetch_request("order", &[(0, 0), (1, 0), (2, 0), (3, 0)]).with_max_bytes(4_000);
    let (_, id, first) = ask(&connection, all, (0, 0)).await;
    let mut told: Vec<i32> = first.iter().filter(|part| part.1 > 0).map(|part| part.0).collect();
    for epoch in 1..4 {
        let again = fetch_request("order", &[]).with_topics(Vec::new()).with_max_bytes(4_000);
        let (_, _, partitions) = ask(&connection, again, (id, epoch)).await;
        told.extend(partitions.iter().filter(|part| part.1 > 0).map(|part| part.0));
    }
    told.sort_unstable();
    told.dedup();
    assert_eq!(told, [0, 1, 2, 3]);
}

#[tokio::test]
async fn the_partitions_of_a_session_are_bounded() {
    let broker = served().await;
    let connection = broker.connect().await;
    let partitions: Vec<_> = (0..10_000).map(|partition| (partition, 0)).collect();
    let (error, _, told) = ask(&connection, fetch_request("order", &partitions), (0, 0)).await;
    assert_eq!((error, told.len()), (0, 10_000));
    let long = "x".repeat(250);
    let (error, ..) = ask(&connection, fetch_request(&long, &partitions), (0, 0)).await;
    assert_eq!(error, ResponseError::InvalidRequest.code());
    let more: Vec<_> = (0..10_001).map(|partition| (partition, 0)).collect();
    let (error, ..) = ask(&connection, fetch_request("order", &more), (0, 0)).await;
    assert_eq!(error, ResponseError::InvalidRequest.code());
    assert_eq!(list_offset(&connection, "order", 0, -1).await.offset, 0);
}
