//! A batch of an idempotent producer is one append, however often it is sent.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::InitProducerIdRequest;
use leftfold_io::fake::FakeDisk;
use leftfold_kafka::{Batch, Connection, ProducerId, ResponseError};
use tokio::sync::Barrier;

use super::support::{
    TIME, broker, broker_of, config, connect, keyed, orders, produce, produced, store_on,
};

async fn producer_id(connection: &Connection) -> ProducerId {
    let answer = connection
        .call(&InitProducerIdRequest::default().with_transactional_id(None))
        .await
        .unwrap();
    assert_eq!(answer.error_code, 0);
    ProducerId { id: answer.producer_id.0, epoch: answer.producer_epoch }
}

fn batch(producer: ProducerId, sequence: i32, records: usize) -> Bytes {
    let record = |n: usize| keyed("1", &format!("{sequence}+{n}"));
    Batch::of(TIME, (0..records).map(record)).from(producer, sequence).encode()
}

#[tokio::test]
async fn a_batch_again_has_its_first_offset_on_another_connection_and_after_a_restart() {
    let disk = Arc::new(FakeDisk::new());
    let broker = broker_of(config(), store_on(disk.clone())).await;
    broker.define(orders(1)).await;
    let connection = broker.connect().await;
    let producer = producer_id(&connection).await;
    for (sequence, offset) in [(0, 0), (2, 2), (4, 4)] {
        let batch = batch(producer, sequence, 2);
        assert_eq!(produced(&connection, "order", 0, batch.clone()).await, offset);
        assert_eq!(produced(&broker.connect().await, "order", 0, batch).await, offset);
    }
    connection.close();
    broker.end().await;
    let broker = broker_of(config(), store_on(disk)).await;
    let connection = broker.connect().await;
    assert_eq!(produced(&connection, "order", 0, batch(producer, 4, 2)).await, 4);
    assert_eq!(produced(&connection, "order", 0, batch(producer, 6, 2)).await, 6);
    assert_eq!(broker.read("category:order").await.len(), 8);
}

#[tokio::test]
async fn gaps_old_batches_and_old_epochs_are_refused() {
    let broker = broker().await;
    broker.define(orders(2)).await;
    let connection = broker.connect().await;
    let producer = producer_id(&connection).await;
    let partition = leftfold_api::murmur2(b"1") as i32 & 1;
    let send = async |producer, sequence| {
        let batch = batch(producer, sequence, 1);
        let answer = produce(&connection, "order", partition, batch).await;
        (answer.error_code, answer.base_offset)
    };
    let refused = |error: ResponseError| (error.code(), -1);
    for sequence in 0..7 {
        assert_eq!(send(producer, sequence).await, (0, i64::from(sequence)));
    }
    assert_eq!(send(producer, 9).await, refused(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(send(producer, 1).await, refused(ResponseError::DuplicateSequenceNumber));
    assert_eq!(send(producer, 2).await, (0, 2));
    let next = ProducerId { epoch: producer.epoch + 1, ..producer };
    assert_eq!(send(next, 7).await, refused(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(send(next, 0).await, (0, 7));
    assert_eq!(send(producer, 7).await, refused(ResponseError::InvalidProducerEpoch));
    assert_eq!(send(next, 1).await, (0, 8));
}

/// The first connection of a producer may still be at work when its client sends on another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn duplicates_at_the_same_time_are_one_event() {
    const ROUNDS: i32 = 300;
    let broker = broker().await;
    broker.define(orders(1)).await;
    let producer = producer_id(&broker.connect().await).await;
    let barrier = Arc::new(Barrier::new(2));
    let address = broker.address();
    let clients = [(); 2].map(|()| {
        let barrier = barrier.clone();
        tokio::spawn(async move {
            let connection = connect(address).await;
            let mut offsets = Vec::new();
            for sequence in 0..ROUNDS {
                barrier.wait().await;
                let batch = batch(producer, sequence, 1);
                offsets.push(produced(&connection, "order", 0, batch).await);
            }
            offsets
        })
    });
    let expected: Vec<i64> = (0..i64::from(ROUNDS)).collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), expected);
    }
    let events = broker.read("category:order").await;
    let values: Vec<_> = events.iter().map(|event| event.data()).collect();
    let expected: Vec<_> = (0..ROUNDS).map(|n| Bytes::from(format!("{n}+0"))).collect();
    assert_eq!(values, expected);
}

/// One connection is a batch behind the other: what it repeats late does not count as the newest batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_late_repeat_does_not_set_a_producer_back() {
    const ROUNDS: i32 = 100;
    let broker = broker().await;
    broker.define(orders(1)).await;
    let producer = producer_id(&broker.connect().await).await;
    let (first, second) = (broker.connect().await, broker.connect().await);
    for round in 0..ROUNDS {
        let sequence = round * 3;
        let send = |connection: &Connection, sequence| {
            let partition = leftfold_kafka::Partition::first_of("order");
            connection.produce(&partition, batch(producer, sequence, 1), super::support::DEADLINE)
        };
        // The same batch twice, and those behind it on one of the connections.
        let late = send(&first, sequence).unwrap();
        let replies = [0, 1, 2].map(|by| send(&second, sequence + by).unwrap());
        for (by, reply) in (0..).zip(replies) {
            assert_eq!(reply.wait().await.unwrap().base_offset, i64::from(sequence + by));
        }
        assert_eq!(late.wait().await.unwrap().base_offset, i64::from(sequence));
    }
    assert_eq!(broker.read("category:order").await.len(), 3 * ROUNDS as usize);
}
