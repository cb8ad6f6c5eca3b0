//! Records become events, once each.

use std::time::Duration;

use leftfold_api::{EventStore, Query, Read, Recorded};
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase};
use leftfold_kafka::{Batch, End, Partition, Record};

use super::broker::{Broker, broker, fresh};
use crate::support::World;

const RECORDS: usize = 400;
const PARTITIONS: i32 = 3;

/// Returns the name of a topic that is a category of streams too.
fn topic() -> String {
    fresh("source").replace('-', "_")
}

fn source(broker: &Broker, topic: &str, more: &str, settings: &str) -> String {
    let bootstrap = broker.cluster.bootstrap();
    format!(
        "name = \"source\"\nkind = \"kafka-source\"\n{more}\n[kafka-source]\nbootstrap = \"{bootstrap}\"\n\
         topic = \"{topic}\"\n{settings}\n"
    )
}

fn record(key: &str, value: String) -> Record {
    Record { key: Some(key.to_owned().into()), ..Record::new(value) }
}

async fn events(world: &World, category: &str) -> Vec<Recorded> {
    let read = Read::forward(Query::category(category)).limit(10_000);
    world.store.read(read).await.unwrap().events
}

/// Returns the offset that the store has of a partition.
async fn next_offset(world: &World, place: &str) -> Option<u64> {
    let stream = Query::stream(format!("leftfold.ingest-{place}"));
    let page = world.store.read(Read::backward(stream).limit(1)).await.unwrap();
    let data: serde_json::Value = serde_json::from_slice(&page.events.first()?.data()).unwrap();
    data["next"].as_u64()
}

async fn wait_for(broker: &Broker, world: &World, category: &str, count: usize) -> Vec<Recorded> {
    broker
        .until(async || Some(events(world, category).await).filter(|found| found.len() >= count))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_becomes_one_event_through_drops_of_the_source() {
    let (broker, mut world, topic) = (broker().await, World::new().await, topic());
    broker.create(&topic, PARTITIONS, &[]).await;
    world.add(&source(&broker, &topic, "", "type = \"Noted\"")).await;
    let produce = async {
        for number in 0..RECORDS {
            let partition = Partition::new(&topic, (number % PARTITIONS as usize) as i32);
            // Keys are of one partition each, so that their records have an order.
            let key = format!("k{}", number % PARTITIONS as usize);
            broker.produce(&partition, vec![record(&key, number.to_string())]).await;
        }
    };
    let interrupt = async {
        for drop in 0..8 {
            tokio::time::sleep(Duration::from_millis(7 * drop)).await;
            world.interrupt().await;
            world.start().await;
        }
    };
    tokio::join!(produce, interrupt);
    let found = wait_for(&broker, &world, &topic, RECORDS).await;
    for key in 0..PARTITIONS as usize {
        let stream = format!("{topic}-k{key}");
        let of_key = found.iter().filter(|event| event.stream() == stream);
        let numbers: Vec<_> = of_key.map(|event| event.data()).collect();
        let expected = (0..RECORDS).filter(|number| number % PARTITIONS as usize == key);
        assert_eq!(numbers, expected.map(|number| number.to_string()).collect::<Vec<_>>());
    }
    assert!(found.iter().all(|event| event.event_type() == "Noted"));

    // The next offset is in the store, and a run goes on from there.
    world.stop().await;
    let next = RECORDS.div_ceil(PARTITIONS as usize);
    assert_eq!(next_offset(&world, "connector-source-0").await, Some(next as u64));
    broker.produce(&Partition::new(&topic, 0), vec![record("k0", "last".to_owned())]).await;
    world.start().await;
    wait_for(&broker, &world, &topic, RECORDS + 1).await;
    world.until("source", |it| it.gauges.is_some_and(|it| it.events == 1)).await;

    // Its records have ids of their places: read again from the beginning, they are stored already.
    world.connectors.reset("source").await.unwrap();
    broker
        .until(async || {
            let found = next_offset(&world, "connector-source-1-0").await?;
            (found > next as u64).then_some(())
        })
        .await;
    assert_eq!(events(&world, &topic).await.len(), RECORDS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_aborted_transactions_do_not_come_in() {
    let (broker, world, topic) = (broker().await, World::new().await, topic());
    broker.create(&topic, 1, &[]).await;
    let partition = Partition::first_of(&topic);
    let coordinator = broker.until(async || broker.client.coordinator(&topic).await.ok()).await;
    for (end, value) in [(End::Abort, "aborted"), (End::Commit, "committed")] {
        let producer = broker
            .until(async || coordinator.take_over(&topic, Duration::from_secs(30)).await.ok())
            .await;
        let version = coordinator.newest_end().await.unwrap();
        coordinator.add_to_transaction(&topic, producer, &partition).await.unwrap();
        let batch = Batch::of(1, [record("k", value.to_owned())]).from(producer, 0);
        let batch = batch.in_transaction().encode();
        let leader = broker.client.leader(&partition).await.unwrap();
        let within = Duration::from_secs(10);
        let sent = leader.produce_in_open(&topic, &partition, batch, within).unwrap();
        sent.wait().await.unwrap();
        let ended = coordinator.end_transaction(&topic, producer, end, version).unwrap();
        ended.wait().await.unwrap();
    }
    world.add(&source(&broker, &topic, "", "")).await;
    let found = wait_for(&broker, &world, &topic, 1).await;
    let data: Vec<_> = found.iter().map(Recorded::data).collect();
    assert_eq!(data, ["committed"]);
    assert_eq!(found[0].event_time().micros(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_no_event_stops_the_source_behind_those_before_it_or_is_skipped() {
    let (broker, world, topic) = (broker().await, World::new().await, topic());
    broker.create(&topic, 1, &[]).await;
    let partition = Partition::first_of(&topic);
    let wrong = record("1", "{}".to_owned()).header("tag", "none");
    let records = vec![record("1", "a".into()), wrong, record("1", "c".into())];
    broker.produce(&partition, records).await;
    world.add(&source(&broker, &topic, "", "")).await;
    let failed = world.until("source", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(failed.code.as_deref(), Some("connector_event_refused"));
    let failure = failed.failure.unwrap();
    assert!(failure.contains(&format!("{topic}-0@1: its header tag")), "{failure}");
    assert_eq!(events(&world, &topic).await.len(), 1);
    let skipping = source(&broker, &topic, "on_error = \"skip\"", "");
    world.connectors.replace(&ConnectorDefinition::parse(&skipping).unwrap()).await.unwrap();
    let found = wait_for(&broker, &world, &topic, 2).await;
    assert_eq!(found.iter().map(Recorded::data).collect::<Vec<_>>(), ["a", "c"]);
    world.until("source", |it| it.gauges.is_some_and(|it| it.skipped == 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_stops_the_source() {
    let (broker, mut world, topic) = (broker().await, World::new().await, topic());
    broker.create(&topic, 1, &[]).await;
    broker.produce(&Partition::first_of(&topic), vec![record("1", "a".into())]).await;
    let text = source(&broker, &topic, "", "");
    let definition = ConnectorDefinition::parse(&text).unwrap();
    assert!(world.connectors.test(&definition).await.is_ok());
    world.add(&text).await;
    wait_for(&broker, &world, &topic, 1).await;
    world.stop().await;
    broker.delete(&topic).await;
    assert!(!world.connectors.test(&definition).await.is_ok());
    broker.create(&topic, 1, &[]).await;
    world.start().await;
    let failed = world.until("source", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.unwrap().contains("another topic named"));
}

#[test]
fn a_source_has_no_query_and_a_rule_for_streams() {
    let valid = "name = \"a\"\nkind = \"kafka-source\"\n[kafka-source]\nbootstrap = \"kafka:9092\"\ntopic = \"in\"\n";
    ConnectorDefinition::parse(valid).unwrap();
    for (from, to, part) in [
        ("kind =", "query = \"category:a\"\nkind =", "brings them in"),
        ("topic = \"in\"", "topic = \"in\"\nstream = \"{offset}\"", "stream: "),
        ("topic = \"in\"", "topic = \"in\"\ntype = \"$x\"", "belongs to the store"),
        ("topic = \"in\"", "topic = \"a b\"", "no name of a topic"),
    ] {
        let refused = ConnectorDefinition::parse(&valid.replace(from, to)).unwrap_err().to_string();
        assert!(refused.contains(part), "{to}: {refused}");
    }
}
