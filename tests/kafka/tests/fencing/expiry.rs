//! State that brokers lose: producers that have not written for a day (`producer.id.expiration.ms`),
//! transactional ids unused for a week (`transactional.id.expiration.ms`), and used-up epochs.

use leftfold_kafka_testing::admin::poll;
use leftfold_kafka_testing::wire::{EndVersion, Isolation, Partition, ProducerId, ResponseError};

use crate::support::{
    PATIENCE, TestCluster, Transactional, Writer, fenced, forgetful_broker, fresh, now, one_broker,
    refused,
};

fn wait_until_forgotten(world: &TestCluster, partition: &Partition) {
    let known = poll(PATIENCE, || world.client.producers(partition), Vec::is_empty).unwrap();
    assert_eq!(known, []);
}

fn wait_until_id_is_forgotten(world: &TestCluster, id: &str) {
    let state = poll(PATIENCE, || world.client.transaction_state(id), Option::is_none).unwrap();
    assert_eq!(state, None);
}

#[test]
fn claims_a_leader_that_has_forgotten_the_claim_lets_the_old_owner_write_at_any_sequence() {
    let world = forgetful_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    let mut old = world.writer(&partition, &id);
    old.write("old: claim").unwrap();
    let mut new = world.writer(&partition, &id);
    new.write("new: claim").unwrap();
    assert_eq!(refused(old.write("old: late")), ResponseError::InvalidProducerEpoch);
    wait_until_forgotten(world, &partition);
    // The gap in the fence.
    old.sequence = 77;
    assert_eq!(old.write("old: later").unwrap(), 2);
    // The new owner's next batch is refused: its sequence is not zero, though its epoch is newer.
    assert_eq!(refused(new.write("new: 1")), ResponseError::OutOfOrderSequenceNumber);
}

#[test]
fn claims_a_heartbeat_keeps_the_claim_but_not_the_transactional_id() {
    let world = forgetful_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    let mut old = world.writer(&partition, &id);
    old.write("old: claim").unwrap();
    let mut new = world.writer(&partition, &id);
    new.write("new: claim").unwrap();
    // Another producer measures the time: when the broker forgets it, it would forget the claim too.
    let other = world.topic();
    for _ in 0..2 {
        world.writer(&other, &fresh("clock")).write("tick").unwrap();
        let beat = || {
            new.time = now();
            new.write("new: heartbeat")?;
            world.client.producers(&other)
        };
        assert_eq!(poll(PATIENCE, beat, Vec::is_empty).unwrap(), []);
        assert_eq!(refused(old.write("old: late")), ResponseError::InvalidProducerEpoch);
    }
    wait_until_id_is_forgotten(world, &id);
    assert_ne!(world.take_over(&id).id, new.producer.id);
}

#[test]
fn transactions_are_refused_by_the_coordinator_when_the_leader_has_forgotten() {
    let world = forgetful_broker();
    for protocol in [EndVersion::New, EndVersion::Old] {
        let (partition, id) = (world.topic(), fresh("owner"));
        let mut old = Transactional::new(world, &partition, &id, protocol);
        old.commit("old: 1").unwrap();
        let mut new = Transactional::new(world, &partition, &id, protocol);
        new.commit("new: 1").unwrap();
        wait_until_forgotten(world, &partition);
        let end = world.end(&partition, Isolation::Uncommitted);
        fenced(old.commit("old: late"));
        assert_eq!(world.end(&partition, Isolation::Uncommitted), end);
    }
}

#[test]
fn claims_a_coordinator_that_has_forgotten_the_id_gives_another_producer_which_does_not_fence_the_old_owner()
 {
    let world = forgetful_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    let mut old = world.writer(&partition, &id);
    old.write("old: claim").unwrap();
    wait_until_id_is_forgotten(world, &id);
    let mut new = world.writer(&partition, &id);
    assert_ne!(new.producer.id, old.producer.id);
    assert_eq!(new.producer.epoch, 0);
    new.write("new: claim").unwrap();
    // The gap in the fence.
    assert_eq!(old.write("old: late").unwrap(), 2);
}

#[test]
fn transactions_of_an_id_that_was_forgotten_and_taken_again_are_refused() {
    let world = forgetful_broker();
    for protocol in [EndVersion::New, EndVersion::Old] {
        let (partition, id) = (world.topic(), fresh("owner"));
        let mut old = Transactional::new(world, &partition, &id, protocol);
        old.commit("old: 1").unwrap();
        wait_until_id_is_forgotten(world, &id);
        let code = refused(old.commit("old: 2"));
        assert_eq!(code, ResponseError::InvalidProducerIdMapping, "{protocol:?}, forgotten");
        let _new = Transactional::new(world, &partition, &id, protocol);
        let code = refused(old.commit("old: 3"));
        assert_eq!(code, ResponseError::InvalidProducerIdMapping, "{protocol:?}, taken again");
    }
}

#[test]
fn claims_a_broker_accepts_any_epoch_up_to_the_greatest_which_nothing_can_follow() {
    let world = one_broker();
    let partition = world.topic();
    let mut last = world.writer(&partition, &fresh("owner"));
    last.write("claim").unwrap();
    last = jump(world, last, i16::MAX - 1);
    last.write("claim").unwrap();
    last = jump(world, last, i16::MAX);
    last.write("claim").unwrap();
    assert_eq!(last.write("1").unwrap(), 3);
    let mut below = jump(world, last, i16::MAX - 1);
    assert_eq!(refused(below.write("late")), ResponseError::InvalidProducerEpoch);
}

fn jump(world: &TestCluster, writer: Writer, epoch: i16) -> Writer {
    world.writer_as(&writer.partition, ProducerId { epoch, ..writer.producer })
}

#[test]
fn claims_a_coordinator_whose_epochs_are_used_up_gives_another_producer_which_does_not_fence_the_old_owner()
 {
    let world = one_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    let first = world.take_over(&id);
    let mut last = first;
    // These takeovers take ten seconds.
    for _ in 0..i16::MAX - 1 {
        last = world.take_over(&id);
    }
    assert_eq!(last, ProducerId { epoch: i16::MAX - 1, ..first });
    let mut old = world.writer_as(&partition, last);
    old.write("old: claim").unwrap();
    let mut new = world.writer(&partition, &id);
    assert_ne!(new.producer.id, old.producer.id);
    assert_eq!(new.producer.epoch, 0);
    new.write("new: claim").unwrap();
    // The gap in the fence.
    assert_eq!(old.write("old: late").unwrap(), 2);
}
