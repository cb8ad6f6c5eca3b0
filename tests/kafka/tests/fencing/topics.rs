//! `ensure_topic` creates a topic with the settings that keep events, and refuses others.

use std::time::Duration;

use leftfold_cluster::topic::{Topic, TopicError, TopicOptions, ensure_topic};
use leftfold_kafka_testing::wire::{Batch, Partition, Record};
use tokio::runtime::Runtime;

use crate::support::{TestCluster, WITHIN, fresh, now, one_broker, three_brokers};

fn ensure(world: &TestCluster, options: &TopicOptions) -> Result<Topic, TopicError> {
    let client = leftfold_kafka::Client::new(&world.cluster.bootstrap(), Duration::from_secs(10));
    let client = client.unwrap();
    Runtime::new().unwrap().block_on(ensure_topic(&client, options))
}

#[test]
fn a_missing_topic_is_created_and_found_again() {
    for world in [one_broker(), &*three_brokers()] {
        let options = TopicOptions { partitions: Some(3), ..TopicOptions::new(&fresh("events")) };
        let created = ensure(world, &options).unwrap();
        assert_eq!(created.partitions, 3);
        assert!(!created.id.is_nil() && !created.cluster_id.is_empty());
        assert_eq!(ensure(world, &options).unwrap(), created);
        assert_eq!(ensure(world, &TopicOptions { partitions: None, ..options }).unwrap(), created);
    }
}

#[test]
fn another_number_of_partitions_is_refused() {
    let options = TopicOptions::new(&fresh("events"));
    ensure(one_broker(), &options).unwrap();
    let error = ensure(one_broker(), &TopicOptions { partitions: Some(8), ..options }).unwrap_err();
    assert_eq!(error.code(), "topic_partitions_differ");
    assert!(matches!(error, TopicError::PartitionsDiffer { expected: 8, found: 1, .. }));
}

#[test]
fn wrong_settings_are_refused_with_the_command_that_mends_them() {
    let world = one_broker();
    let topic = fresh("events");
    let settings = [("cleanup.policy", "compact"), ("retention.ms", "1000")];
    world.client.create_topic(&topic, &[1], &settings).unwrap();
    let error = ensure(world, &TopicOptions::new(&topic)).unwrap_err();
    assert_eq!(error.code(), "topic_settings_wrong");
    let TopicError::SettingsWrong { wrong, command, .. } = &error else { panic!("{error}") };
    let names: Vec<_> = wrong.iter().map(|one| one.name).collect();
    assert_eq!(names, ["cleanup.policy", "retention.ms", "max.message.bytes"]);
    assert_eq!(wrong[0].found, "compact");
    let expected = format!(
        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {topic} \
         --add-config cleanup.policy=delete,retention.ms=-1,max.message.bytes=75497472",
        world.cluster.bootstrap()
    );
    assert_eq!(*command, expected);
    assert!(error.to_string().contains(&expected));
}

#[test]
fn three_replicas_with_one_in_sync_are_refused() {
    let world = three_brokers();
    let topic = fresh("events");
    let settings = [("min.insync.replicas", "1"), ("max.message.bytes", "75497472")];
    world.client.create_topic(&topic, &[1, 2, 3], &settings).unwrap();
    let error = ensure(&world, &TopicOptions::new(&topic)).unwrap_err();
    let TopicError::SettingsWrong { wrong, .. } = &error else { panic!("{error}") };
    let names: Vec<_> = wrong.iter().map(|one| one.name).collect();
    assert_eq!(names, ["min.insync.replicas"], "{error}");
}

#[test]
fn an_append_of_64_mib_fits() {
    let world = one_broker();
    let topic = ensure(world, &TopicOptions::new(&fresh("events"))).unwrap();
    let partition = Partition::first_of(&topic.name);
    let leader = world.client.leader(&partition).unwrap();
    let records = (0..64).map(|_| Record::new(vec![b'x'; 1 << 20]));
    let batch = Batch::of(now(), records).encode();
    leader.produce(&partition, batch, WITHIN).unwrap().wait().unwrap();
    let found = world.batches(&partition);
    assert_eq!(found[0].records.len(), 64);
}
