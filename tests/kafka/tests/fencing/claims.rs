//! Variant (b): idempotent batches without transactions, fenced by the epoch of a transactional id.
//!
//! The new owner takes the id over and writes a claim.

use leftfold_kafka_testing::proxy::{ApiKey, Treatment};
use leftfold_kafka_testing::wire::{Isolation, KafkaError, ProducerId, ResponseError};

use crate::support::{
    TestCluster, WITHIN, Writer, fresh, now, old_transactions, one_broker, refused, three_brokers,
};

/// Returns the writers of an old and a new owner, before the claim.
fn two(world: &TestCluster) -> (Writer, Writer) {
    let (partition, id) = (world.topic(), fresh("owner"));
    let mut first = world.writer(&partition, &id);
    first.write("old: claim").unwrap();
    first.write("old: 1").unwrap();
    let second = world.writer(&partition, &id);
    assert_eq!(second.producer.id, first.producer.id);
    assert_eq!(second.producer.epoch, first.producer.epoch + 1);
    (first, second)
}

#[test]
fn a_producer_with_a_transactional_id_may_write_without_a_transaction() {
    for world in [one_broker(), old_transactions()] {
        let (_, mut new) = two(world);
        assert_eq!(new.write("new: claim").unwrap(), 2);
    }
}

#[test]
fn a_request_takes_one_batch_for_a_partition() {
    let (_, mut new) = two(one_broker());
    let first = new.batch("a").encode();
    new.sequence += 1;
    let both = [first, new.batch("b").encode()].concat();
    let answer = new.leader.produce(&new.partition, both.into(), WITHIN).unwrap();
    assert_eq!(refused(answer.wait()), ResponseError::InvalidRecord);
}

#[test]
fn a_takeover_fences_the_old_owner_only_after_the_claim_is_written() {
    for world in [one_broker(), old_transactions()] {
        let (mut old, mut new) = two(world);
        assert_eq!(old.write("old: 2").unwrap(), 2);
        assert_eq!(new.write("new: claim").unwrap(), 3);
        assert_eq!(refused(old.write("old: 3")), ResponseError::InvalidProducerEpoch);
        assert_eq!(new.write("new: 1").unwrap(), 4);
        let seen = ["old: claim", "old: 1", "old: 2", "new: claim", "new: 1"];
        for isolation in [Isolation::Uncommitted, Isolation::Committed] {
            assert_eq!(world.read(&old.partition, isolation), seen);
        }
    }
}

#[test]
fn a_write_that_was_delayed_on_its_way_is_refused_after_the_claim() {
    let world = one_broker();
    let (old, mut new) = two(world);
    let proxy = world.proxy(&old.partition);
    let mut old = old.through(&proxy);
    proxy.set_treatment(ApiKey::Produce, Treatment::Hold);
    let late = old.send("old: late");
    proxy.wait_until_held(1).unwrap();
    new.write("new: claim").unwrap();
    proxy.set_treatment(ApiKey::Produce, Treatment::Pass);
    assert_eq!(refused(late.wait()), ResponseError::InvalidProducerEpoch);
    assert_eq!(world.end(&new.partition, Isolation::Uncommitted), 3);
}

#[test]
fn replayed_bytes_are_answered_with_the_first_offset_until_the_claim_and_refused_after_it() {
    let world = one_broker();
    let (old, mut new) = two(world);
    let proxy = world.proxy(&old.partition);
    let mut old = old.through(&proxy);
    assert_eq!(old.write("old: 2").unwrap(), 2);
    let sent = proxy.requests(ApiKey::Produce).pop().unwrap();
    assert_eq!(proxy.replay_produce(&sent).unwrap().base_offset, 2);
    assert_eq!(world.end(&new.partition, Isolation::Uncommitted), 3);
    new.write("new: claim").unwrap();
    assert_eq!(refused(proxy.replay_produce(&sent)), ResponseError::InvalidProducerEpoch);
    assert_eq!(world.end(&new.partition, Isolation::Uncommitted), 4);
}

#[test]
fn a_broker_knows_a_repeat_among_the_last_five_batches_and_refuses_older_ones() {
    let world = one_broker();
    let (old, _) = two(world);
    let proxy = world.proxy(&old.partition);
    let mut old = old.through(&proxy);
    for at in 2..8 {
        assert_eq!(old.write("old").unwrap(), at);
    }
    let sent = proxy.requests(ApiKey::Produce);
    assert_eq!(proxy.replay_produce(&sent[1]).unwrap().base_offset, 3);
    assert_eq!(refused(proxy.replay_produce(&sent[0])), ResponseError::OutOfOrderSequenceNumber);
}

#[test]
fn a_leader_that_an_operator_chose_refuses_the_old_owner_too() {
    let world = three_brokers();
    let (old, mut new) = two(&world);
    new.write("new: claim").unwrap();
    let (leader, _) = world.client.leader_id(&new.partition).unwrap();
    let other = if leader == 1 { 2 } else { 1 };
    world.client.wait_in_sync(&new.partition, 3).unwrap();
    world.client.move_leader(&new.partition, other).unwrap();
    let mut old = Writer { leader: world.client.leader(&old.partition).unwrap(), ..old };
    assert_eq!(refused(old.write("old: late")), ResponseError::InvalidProducerEpoch);
}

#[test]
fn a_leader_that_was_elected_after_a_kill_refuses_the_old_owner_too() {
    let world = three_brokers();
    let (old, mut new) = two(&world);
    new.write("new: claim").unwrap();
    let (leader, _) = world.client.leader_id(&new.partition).unwrap();
    world.client.wait_in_sync(&new.partition, 3).unwrap();
    world.cluster.broker(leader).unwrap().kill().unwrap();
    world.client.wait_for_leader_other_than(&new.partition, leader).unwrap();
    let mut old = Writer { leader: world.client.leader(&old.partition).unwrap(), ..old };
    assert_eq!(refused(old.write("old: late")), ResponseError::InvalidProducerEpoch);
    world.cluster.broker(leader).unwrap().restart().unwrap();
}

/// Claims, kills and restarts the only replica, and then writes as the old owner.
fn old_write_after_a_restart(
    world: &TestCluster,
    settings: &[(&str, &str)],
    time: i64,
) -> Result<i64, KafkaError> {
    let partition = world.client.create_topic(&fresh("topic"), &[2], settings).unwrap();
    let id = fresh("owner");
    let mut old = Writer { time, ..world.writer(&partition, &id) };
    old.write("old: claim").unwrap();
    let mut new = Writer { time, ..world.writer(&partition, &id) };
    new.write("new: claim").unwrap();
    assert_eq!(refused(old.write("old: late")), ResponseError::InvalidProducerEpoch);
    world.cluster.broker(2).unwrap().restart().unwrap();
    world.wait_for_leader(&partition, 2);
    old.leader = world.client.leader(&partition).unwrap();
    old.write("old: late")
}

#[test]
fn a_broker_that_was_killed_and_restarted_refuses_the_old_owner_still() {
    let world = three_brokers();
    let late = old_write_after_a_restart(&world, &[], now());
    assert_eq!(refused(late), ResponseError::InvalidProducerEpoch);
}

#[test]
fn a_restarted_broker_forgets_producers_whose_batches_give_an_old_time() {
    let world = three_brokers();
    let two_days_ago = now() - 2 * 24 * 3_600_000;
    // The gap in the fence: so event times must never become the timestamps of batches.
    assert_eq!(old_write_after_a_restart(&world, &[], two_days_ago).unwrap(), 2);
    let own_time = [("message.timestamp.type", "LogAppendTime")];
    let late = old_write_after_a_restart(&world, &own_time, two_days_ago);
    assert_eq!(refused(late), ResponseError::InvalidProducerEpoch);
}

#[test]
fn another_producer_id_fences_the_former_one_only_after_a_seal_with_the_greatest_epoch() {
    let world = one_broker();
    let partition = world.topic();
    let mut old = world.writer(&partition, &fresh("owner"));
    old.write("old: claim").unwrap();
    // A coordinator gives another id when it has forgotten the id, or when its epochs are used up.
    let mut new = world.writer(&partition, &fresh("owner"));
    assert_ne!(new.producer.id, old.producer.id);
    new.write("new: claim").unwrap();
    // The gap in the fence.
    assert_eq!(old.write("old: late").unwrap(), 2);
    // The new owner has read the old producer id in the log and writes one batch with it.
    let mut seal = world.writer_as(&partition, ProducerId { epoch: i16::MAX, ..old.producer });
    assert_eq!(seal.write("seal").unwrap(), 3);
    assert_eq!(refused(old.write("old: later")), ResponseError::InvalidProducerEpoch);
}
