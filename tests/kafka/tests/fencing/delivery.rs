//! `KafkaBroker` delivers each batch once and in order, whatever happens to connections and leaders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_cluster::broker::Broker;
use leftfold_cluster::kafka_broker::{KafkaBroker, KafkaBrokerOptions};
use leftfold_kafka_testing::proxy::{ApiKey, Proxy, Treatment};
use leftfold_kafka_testing::wire::{
    Batch, Isolation, KafkaError, Partition, ProducerId, Record, ResponseError,
};
use tokio::runtime::Runtime;

use crate::support::{PATIENCE, TestCluster, fresh, now, one_broker, text, three_brokers};

/// A `KafkaBroker`, and what its owner knows.
struct Owner {
    runtime: Arc<Runtime>,
    broker: Arc<KafkaBroker>,
    producer: ProducerId,
    sequence: i32,
}

type Pending = BoxFuture<'static, Result<i64, KafkaError>>;

impl Owner {
    fn new(world: &TestCluster, partition: &Partition, id: &str) -> Self {
        Self::with(world, partition, id, None, KafkaBrokerOptions::default())
    }

    /// Creates an owner that reaches the partition's leader through a proxy.
    fn with(
        world: &TestCluster,
        partition: &Partition,
        id: &str,
        proxy: Option<&Proxy>,
        options: KafkaBrokerOptions,
    ) -> Self {
        let mut client =
            leftfold_kafka::Client::new(&world.cluster.bootstrap(), Duration::from_secs(5))
                .unwrap();
        if let Some(proxy) = proxy {
            let (_, leader) = world.client.locate(partition).unwrap();
            client = client.detour(leader.into(), proxy.address().into());
        }
        let runtime = Arc::new(Runtime::new().unwrap());
        let _within = runtime.enter();
        let broker = KafkaBroker::new(Arc::new(client), partition.clone(), id, options);
        let producer = runtime.block_on(broker.take_over()).unwrap();
        Owner { runtime: runtime.clone(), broker: Arc::new(broker), producer, sequence: 0 }
    }

    fn send(&mut self, value: &str) -> Pending {
        let record = Record::new(Bytes::copy_from_slice(value.as_bytes()));
        let batch = Batch::of(now(), [record]).from(self.producer, self.sequence);
        self.sequence = batch.next_sequence();
        self.broker.append(batch.encode())
    }

    fn wait(&self, pending: Pending) -> Result<i64, KafkaError> {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE * 2, pending).await }).unwrap()
    }

    fn write(&mut self, value: &str) -> Result<i64, KafkaError> {
        let pending = self.send(value);
        self.wait(pending)
    }

    fn take_over(&mut self) {
        self.producer = self.runtime.block_on(self.broker.take_over()).unwrap();
        self.sequence = 0;
    }

    /// Reads all payloads by fetches.
    fn read_all(&self) -> Vec<String> {
        self.runtime.block_on(async {
            let end = self.broker.end().await.unwrap();
            let (mut from, mut found) = (0, Vec::new());
            while from < end {
                let fetched = self.broker.fetch(from, Duration::from_secs(1)).await.unwrap();
                for stored in fetched.batches.iter().flat_map(|batch| &batch.records) {
                    assert_eq!(stored.offset, from);
                    from += 1;
                    found.push(text(&stored.record));
                }
            }
            found
        })
    }
}

fn values(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn many_appends_land_once_in_the_order_of_the_calls() {
    let world = one_broker();
    let mut owner = Owner::new(world, &world.topic(), &fresh("owner"));
    let all = values(0..500);
    let sent: Vec<_> = all.iter().map(|value| owner.send(value)).collect();
    for (at, pending) in (0..).zip(sent) {
        assert_eq!(owner.wait(pending).unwrap(), at);
    }
    assert_eq!(owner.read_all(), all);
}

#[test]
fn a_fetch_out_of_range_returns_the_range() {
    let world = one_broker();
    let mut owner = Owner::new(world, &world.topic(), &fresh("owner"));
    owner.write("0").unwrap();
    let fetched = owner.runtime.block_on(owner.broker.fetch(7, Duration::ZERO)).unwrap();
    assert_eq!((fetched.start, fetched.end, fetched.batches.len()), (0, 1, 0));
}

#[test]
fn lost_answers_are_asked_for_again_and_double_nothing() {
    let world = one_broker();
    let partition = world.topic();
    let proxy = world.proxy(&partition);
    let request_time = Duration::from_millis(100);
    let options = KafkaBrokerOptions { request_time, ..KafkaBrokerOptions::default() };
    let mut owner = Owner::with(world, &partition, &fresh("owner"), Some(&proxy), options);
    owner.write("0").unwrap();
    proxy.set_treatment(ApiKey::Produce, Treatment::LoseAnswers);
    let sent: Vec<_> = values(1..8).iter().map(|value| owner.send(value)).collect();
    world.wait_until_end(&partition, 6);
    proxy.set_treatment(ApiKey::Produce, Treatment::Pass);
    for (at, pending) in (1..).zip(sent) {
        assert_eq!(owner.wait(pending).unwrap(), at);
    }
    assert_eq!(owner.read_all(), values(0..8));
}

#[test]
fn appends_continue_at_another_leader() {
    let world = three_brokers();
    let partition = world.topic();
    world.client.wait_in_sync(&partition, 3).unwrap();
    let mut owner = Owner::new(&world, &partition, &fresh("owner"));
    let mut sent = Vec::new();
    for round in 0..3 {
        sent.extend(values(round * 100..round * 100 + 50).iter().map(|value| owner.send(value)));
        let (leader, _) = world.client.leader_id(&partition).unwrap();
        if round == 1 {
            world.cluster.broker(leader).unwrap().kill().unwrap();
        } else {
            world.client.move_leader(&partition, if leader == 1 { 2 } else { 1 }).unwrap();
        }
        let rest = values(round * 100 + 50..round * 100 + 100);
        sent.extend(rest.iter().map(|value| owner.send(value)));
        if round == 1 {
            world.client.wait_for_leader_other_than(&partition, leader).unwrap();
            world.cluster.heal().unwrap();
            world.client.wait_in_sync(&partition, 3).unwrap();
        }
    }
    for (at, pending) in (0..).zip(sent) {
        assert_eq!(owner.wait(pending).unwrap(), at);
    }
    assert_eq!(owner.read_all(), values(0..300));
}

#[test]
fn appends_do_not_wait_for_a_leader_that_is_paused() {
    let world = three_brokers();
    let partition = world.topic();
    world.client.wait_in_sync(&partition, 3).unwrap();
    let request_time = PATIENCE;
    let options = KafkaBrokerOptions { request_time, ..KafkaBrokerOptions::default() };
    let mut owner = Owner::with(&world, &partition, &fresh("owner"), None, options);
    owner.write("0").unwrap();
    let (leader, _) = world.client.leader_id(&partition).unwrap();
    let broker = world.cluster.broker(leader).unwrap();
    broker.pause().unwrap();
    let sent: Vec<_> = values(1..10).iter().map(|value| owner.send(value)).collect();
    let since = Instant::now();
    for (at, pending) in (1..).zip(sent) {
        assert_eq!(owner.wait(pending).unwrap(), at);
    }
    assert!(since.elapsed() < request_time / 2, "{:?}", since.elapsed());
    broker.resume().unwrap();
    assert_eq!(owner.read_all(), values(0..10));
}

#[test]
fn a_client_that_was_told_of_one_broker_finds_the_others() {
    let world = three_brokers();
    let partition = world.topic();
    world.client.wait_in_sync(&partition, 3).unwrap();
    let (leader, _) = world.client.leader_id(&partition).unwrap();
    let broker = world.cluster.broker(leader).unwrap();
    let bootstrap = broker.address().to_string();
    let client = leftfold_kafka::Client::new(&bootstrap, Duration::from_secs(5)).unwrap();
    Runtime::new().unwrap().block_on(async {
        client.locate(&partition).await.unwrap();
        broker.kill().unwrap();
        client.any().await.unwrap();
    });
}

#[test]
fn a_fenced_owner_fails_every_append_until_it_takes_over_again() {
    let world = one_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    let mut old = Owner::new(world, &partition, &id);
    old.write("old").unwrap();
    let mut new = Owner::new(world, &partition, &id);
    new.write("new").unwrap();
    let sent: Vec<_> = (0..20).map(|_| old.send("late")).collect();
    for (at, pending) in sent.into_iter().enumerate() {
        let error = old.wait(pending).unwrap_err();
        assert!(error.is_fenced(), "{error}");
        // The first was refused for certain. What was sent behind it may depend on the broker's memory.
        assert!(at > 0 || !error.is_outcome_unknown(), "{error}");
    }
    let unsent = old.write("later").unwrap_err();
    assert!(unsent.is_fenced() && !unsent.is_outcome_unknown(), "{unsent}");
    old.take_over();
    old.write("again").unwrap();
    assert_eq!(new.read_all(), ["old", "new", "again"]);
}

#[test]
fn a_refusal_after_a_lost_answer_leaves_the_outcome_open() {
    let world = one_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    let proxy = world.proxy(&partition);
    let request_time = Duration::from_millis(100);
    let options = KafkaBrokerOptions { request_time, ..KafkaBrokerOptions::default() };
    let mut old = Owner::with(world, &partition, &id, Some(&proxy), options);
    old.write("old: 1").unwrap();
    proxy.set_treatment(ApiKey::Produce, Treatment::LoseAnswers);
    let doubt = old.send("old: 2");
    world.wait_until_end(&partition, 2);
    Owner::new(world, &partition, &id).write("new").unwrap();
    proxy.set_treatment(ApiKey::Produce, Treatment::Pass);
    let error = old.wait(doubt).unwrap_err();
    assert!(error.is_fenced() && error.is_outcome_unknown(), "{error}");
    assert_eq!(world.read(&partition, Isolation::Uncommitted), ["old: 1", "old: 2", "new"]);
}

#[test]
fn an_append_that_is_not_delivered_in_time_is_in_doubt_and_later_ones_are_not_sent() {
    let world = one_broker();
    let partition = world.topic();
    let proxy = world.proxy(&partition);
    let options = KafkaBrokerOptions {
        delivery_time: Duration::from_millis(500),
        request_time: Duration::from_secs(5),
        ..KafkaBrokerOptions::default()
    };
    let mut owner = Owner::with(world, &partition, &fresh("owner"), Some(&proxy), options);
    owner.write("0").unwrap();
    proxy.set_treatment(ApiKey::Produce, Treatment::Drop);
    let sent: Vec<_> = values(1..10).iter().map(|value| owner.send(value)).collect();
    let failures: Vec<_> =
        sent.into_iter().map(|pending| owner.wait(pending).unwrap_err()).collect();
    let doubts = failures.iter().map(KafkaError::is_outcome_unknown).collect::<Vec<_>>();
    assert_eq!(doubts, [true, true, true, true, true, false, false, false, false]);
    proxy.set_treatment(ApiKey::Produce, Treatment::Pass);
    assert!(owner.write("later").is_err());
    owner.take_over();
    owner.write("again").unwrap();
    assert_eq!(owner.read_all(), ["0", "again"]);
}

#[test]
fn a_takeover_ends_what_is_in_flight() {
    let world = one_broker();
    let partition = world.topic();
    let proxy = world.proxy(&partition);
    let options = KafkaBrokerOptions::default();
    let mut owner = Owner::with(world, &partition, &fresh("owner"), Some(&proxy), options);
    owner.write("0").unwrap();
    proxy.set_treatment(ApiKey::Produce, Treatment::Hold);
    let doubt = owner.send("1");
    proxy.wait_until_held(1).unwrap();
    owner.take_over();
    let error = owner.wait(doubt).unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    let next = owner.send("2");
    proxy.set_treatment(ApiKey::Produce, Treatment::Pass);
    owner.wait(next).unwrap();
}

#[test]
fn a_batch_that_is_too_large_is_refused_for_certain() {
    let world = one_broker();
    let settings = [("max.message.bytes", "1000")];
    let partition = world.client.create_topic(&fresh("topic"), &[1], &settings).unwrap();
    let mut owner = Owner::new(world, &partition, &fresh("owner"));
    let error = owner.write(&"x".repeat(2_000)).unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::MessageTooLarge));
    assert!(!error.is_outcome_unknown());
}

#[test]
fn a_fetch_that_is_given_up_delays_no_other_read() {
    let world = one_broker();
    let owner = Owner::new(world, &world.topic(), &fresh("owner"));
    // The leader would hold it, and what is asked on the same connection, for longer than any read may take.
    let wait = 3 * PATIENCE;
    owner.runtime.block_on(async {
        let fetch = owner.broker.fetch(0, wait);
        assert!(tokio::time::timeout(Duration::from_millis(300), fetch).await.is_err());
        // A read that waits behind the fetch is given up after 5 s, the client's patience, and asked again.
        let end = tokio::time::timeout(Duration::from_secs(4), owner.broker.end()).await;
        assert_eq!(end.expect("the read waits behind the fetch").unwrap(), 0);
    });
}
