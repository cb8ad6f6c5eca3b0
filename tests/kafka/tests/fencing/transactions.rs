//! Variant (a): transactions of one transactional id, with the protocols before and since Kafka 4.
//!
//! The new owner takes the id over, which aborts the old owner's open transaction.

use leftfold_kafka_testing::proxy::{ApiKey, Treatment};
use leftfold_kafka_testing::wire::{End, EndVersion, Isolation, Partition, ResponseError};

use crate::support::{
    TestCluster, Transactional, fenced, fresh, has_new_transactions, old_transactions, one_broker,
    refused, retry, three_brokers,
};

/// Returns pairs of a broker and a protocol that it supports.
fn both() -> [(&'static TestCluster, EndVersion); 3] {
    [
        (one_broker(), EndVersion::New),
        (one_broker(), EndVersion::Old),
        (old_transactions(), EndVersion::Old),
    ]
}

fn owner(
    world: &TestCluster,
    partition: &Partition,
    id: &str,
    protocol: EndVersion,
) -> Transactional {
    Transactional::new(world, partition, id, protocol)
}

#[test]
fn a_takeover_aborts_what_is_open_and_refuses_all_that_follows() {
    for (world, protocol) in both() {
        let (partition, id) = (world.topic(), fresh("owner"));
        let mut old = owner(world, &partition, &id, protocol);
        old.commit("old: 1").unwrap();
        old.begin().unwrap();
        old.write("old: open").unwrap();
        let mut new = owner(world, &partition, &id, protocol);
        fenced(old.write("old: late"));
        fenced(old.end(End::Commit));
        new.commit("new: 1").unwrap();
        world.wait_until_readable(&partition, "new: 1");
        assert_eq!(world.read(&partition, Isolation::Committed), ["old: 1", "new: 1"]);
        let all = ["old: 1", "old: open", "new: 1"];
        assert_eq!(world.read(&partition, Isolation::Uncommitted), all);
    }
}

#[test]
fn a_takeover_of_an_idle_owner_refuses_its_next_transaction() {
    for (world, protocol) in both() {
        let (partition, id) = (world.topic(), fresh("owner"));
        let mut old = owner(world, &partition, &id, protocol);
        old.commit("old: 1").unwrap();
        world.wait_until_stable(&partition);
        let end = world.end(&partition, Isolation::Uncommitted);
        let _new = owner(world, &partition, &id, protocol);
        // The partition's leader does not know of the takeover yet; it asks the coordinator.
        fenced(old.commit("old: late"));
        assert_eq!(world.end(&partition, Isolation::Uncommitted), end);
    }
}

#[test]
fn a_write_that_was_delayed_on_its_way_is_refused_after_the_takeover() {
    for (world, protocol) in both() {
        let (partition, id) = (world.topic(), fresh("owner"));
        let mut old = owner(world, &partition, &id, protocol);
        old.begin().unwrap();
        old.write("old: open").unwrap();
        let proxy = world.proxy(&partition);
        let mut old = old.through(&proxy);
        proxy.set_treatment(ApiKey::Produce, Treatment::Hold);
        let late = old.send("old: late");
        proxy.wait_until_held(1).unwrap();
        let mut new = owner(world, &partition, &id, protocol);
        new.commit("new: 1").unwrap();
        proxy.set_treatment(ApiKey::Produce, Treatment::Pass);
        assert_eq!(refused(late.wait()), ResponseError::InvalidProducerEpoch);
        world.wait_until_readable(&partition, "new: 1");
        assert_eq!(world.read(&partition, Isolation::Committed), ["new: 1"]);
    }
}

#[test]
fn replayed_bytes_are_refused_after_the_takeover() {
    for (world, protocol) in both() {
        let (partition, id) = (world.topic(), fresh("owner"));
        let proxy = world.proxy(&partition);
        let mut old = owner(world, &partition, &id, protocol).through(&proxy);
        old.commit("old: 1").unwrap();
        let mut new = owner(world, &partition, &id, protocol);
        new.commit("new: 1").unwrap();
        world.wait_until_stable(&partition);
        let end = world.end(&partition, Isolation::Uncommitted);
        let sent = proxy.requests(ApiKey::Produce).pop().unwrap();
        assert_eq!(refused(proxy.replay_produce(&sent)), ResponseError::InvalidProducerEpoch);
        assert_eq!(world.end(&partition, Isolation::Uncommitted), end);
    }
}

#[test]
fn a_leader_without_verification_accepts_a_late_write_and_readers_hang_behind_it() {
    let world = old_transactions();
    world.client.set_on_brokers("transaction.partition.verification.enable", "false").unwrap();
    let (partition, id) = (world.topic(), fresh("owner"));
    let mut old = owner(world, &partition, &id, EndVersion::Old);
    old.commit("old: 1").unwrap();
    let mut new = owner(world, &partition, &id, EndVersion::Old);
    // Without a request to the coordinator, as a write that was delayed since the last transaction.
    let late = retry(|| old.send("old: late").wait());
    // The gap in the fence, as before Kafka 3.6.
    assert!(late.is_ok(), "{late:?}");
    new.writer.sequence = 0;
    new.begin().unwrap();
    new.write("new: 1").unwrap();
    assert_eq!(world.read(&partition, Isolation::Committed), ["old: 1"]);
    world.client.set_on_brokers("transaction.partition.verification.enable", "true").unwrap();
}

#[test]
fn a_leader_that_was_elected_after_a_kill_refuses_the_old_owner_too() {
    let world = three_brokers();
    for protocol in [EndVersion::New, EndVersion::Old] {
        let (partition, id) = (world.topic(), fresh("owner"));
        let mut old = owner(&world, &partition, &id, protocol);
        old.begin().unwrap();
        old.write("old: open").unwrap();
        let (leader, _) = world.client.leader_id(&partition).unwrap();
        world.client.wait_in_sync(&partition, 3).unwrap();
        let _new = owner(&world, &partition, &id, protocol);
        world.cluster.broker(leader).unwrap().kill().unwrap();
        world.client.wait_for_leader_other_than(&partition, leader).unwrap();
        old.writer.leader = world.client.leader(&partition).unwrap();
        fenced(old.write("old: late"));
        world.cluster.broker(leader).unwrap().restart().unwrap();
    }
}

#[test]
fn a_broker_that_was_killed_and_restarted_refuses_the_old_owner_still() {
    let world = three_brokers();
    for protocol in [EndVersion::New, EndVersion::Old] {
        let (partition, id) = (world.topic_on(&[2]), fresh("owner"));
        let mut old = owner(&world, &partition, &id, protocol);
        old.commit("old: 1").unwrap();
        let _new = owner(&world, &partition, &id, protocol);
        world.cluster.broker(2).unwrap().restart().unwrap();
        world.wait_for_leader(&partition, 2);
        old.writer.leader = world.client.leader(&partition).unwrap();
        old.coordinator = world.client.coordinator(&id).unwrap();
        fenced(old.commit("old: late"));
        assert_eq!(world.read(&partition, Isolation::Committed), ["old: 1"]);
    }
}

#[test]
fn when_epochs_are_used_up_the_next_transaction_has_another_producer_and_the_old_one_is_refused() {
    if !has_new_transactions() {
        println!("the end of a transaction takes no epoch before Kafka 4.0: nothing to test");
        return;
    }
    let world = one_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    for _ in 0..i16::MAX - 3 {
        world.take_over(&id);
    }
    let mut owner = owner(world, &partition, &id, EndVersion::New);
    let (first, mut used_up) = (owner.writer.producer, owner.writer.producer);
    while owner.writer.producer.id == first.id {
        used_up = owner.writer.producer;
        owner.commit("x").unwrap();
    }
    assert_eq!((used_up.epoch, owner.writer.producer.epoch), (i16::MAX - 1, 0));
    owner.commit("x").unwrap();
    owner.writer.producer = used_up;
    fenced(owner.commit("late"));
}
