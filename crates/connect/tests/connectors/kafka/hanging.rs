//! A transaction that no coordinator knows any more.

use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{ProducerId as WireId, WriteTxnMarkersRequest};
use kafka_protocol::protocol::StrBytes;
use leftfold_kafka::{Batch, Isolation, Partition, ProducerId, Record};
use leftfold_kafka_broker::Options;

use super::broker::{Broker, fresh, header, own};
use super::relay::relay;
use crate::support::{PATIENCE, World};

/// Begins a transaction in a partition, of which the coordinator does not learn.
async fn begin_unseen(broker: &Broker, id: &str, producer: ProducerId, partition: &Partition) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut record = Record::new("unseen");
    record.key = Some("unseen".into());
    let batch = Batch::of(now.as_millis() as i64, vec![record]);
    let batch = batch.from(producer, 0).in_transaction().encode();
    let leader = broker.client.leader(partition).await.unwrap();
    leader.produce_in_open(id, partition, batch, PATIENCE).unwrap().wait().await.unwrap();
}

/// Aborts a transaction in a partition, as `kafka-transactions.sh abort` does.
async fn abort(broker: &Broker, partition: &Partition) {
    let leader = broker.client.leader(partition).await.unwrap();
    let open = leader.open_transactions(partition).await.unwrap();
    let [hanging] = &open[..] else { panic!("{open:?}") };
    let topic = WritableTxnMarkerTopic::default()
        .with_name(StrBytes::from_string(partition.topic.to_string()).into())
        .with_partition_indexes(vec![partition.number]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(WireId(hanging.producer.id))
        .with_producer_epoch(hanging.producer.epoch)
        .with_transaction_result(false)
        .with_topics(vec![topic]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let answer = leader.call(&request).await.unwrap();
    let codes = answer.markers.iter().flat_map(|it| &it.topics).flat_map(|it| &it.partitions);
    assert!(codes.clone().all(|it| it.error_code == 0), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_hangs_is_named_until_it_is_aborted() {
    // Without verification it can be made; brokers of Kafka 4.3 make it by themselves (KAFKA-20734).
    let options = Options::default().feature("transaction.version", 0);
    let options = options.set("transaction.partition.verification.enable", "false");
    let (broker, mut world, topic) = (own(options).await, World::new().await, fresh("hanging"));
    broker.create(&topic, 1, &[]).await;
    world.add(&relay(&broker, &topic, "", "")).await;
    world.append("order-1", "Placed", "{}").await;
    broker.wait_for(&topic, 1).await;
    world.stop().await;

    let cursors = Partition::first_of(&format!("{topic}-cursors"));
    let read = broker.read(&cursors.topic, Isolation::Committed).await.unwrap();
    let id = String::from_utf8(read[0][0].record.key.clone().unwrap().to_vec()).unwrap();
    let coordinator = broker.client.coordinator(&id).await.unwrap();
    let producer = coordinator.take_over(&id, PATIENCE).await.unwrap();
    let both = [Partition::first_of(&topic), cursors];
    for partition in &both {
        begin_unseen(&broker, &id, producer, partition).await;
    }
    world.append("order-1", "Paid", "{}").await;
    world.start().await;
    let held_up = world.until("relay", |it| it.failure.is_some()).await;
    assert_eq!(held_up.code.as_deref(), Some("connector_unavailable"), "{held_up:?}");
    let failure = held_up.failure.unwrap();
    let wanted =
        format!("hangs there at offset 4 (producer {}, epoch {})", producer.id, producer.epoch);
    assert!(failure.contains(&wanted) && failure.contains("kafka-transactions.sh"), "{failure}");

    for partition in &both {
        abort(&broker, partition).await;
    }
    let read = broker.wait_for(&topic, 2).await;
    let versions: Vec<_> = read[0].iter().map(|it| header(it, "stream-version")).collect();
    assert_eq!(versions, ["0", "1"]);
}
