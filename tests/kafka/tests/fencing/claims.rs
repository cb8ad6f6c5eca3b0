//! (b) Idempotent batches without transactions, fenced by the epoch of a transactional id: the new
//! owner takes the id over and writes a claim.

use leftfold_kafka_testing::proxy::{ApiKey, Treatment};
use leftfold_kafka_testing::wire::{Isolation, ProducerId, ResponseError, WireError};

use crate::support::{WITHIN, World, Writer, fresh, now, old, one, refused, three};

/// An old and a new owner's writers, before the claim.
fn two(world: &World) -> (Writer, Writer) {
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
    for world in [one(), old()] {
        let (_, mut new) = two(world);
        assert_eq!(new.write("new: claim").unwrap(), 2);
    }
}

#[test]
fn a_request_takes_one_batch_for_a_partition() {
    let (_, mut new) = two(one());
    let first = new.batch("a").encode();
    new.sequence += 1;
    let both = [first, new.batch("b").encode()].concat();
    let answer = new.leader.produce(&new.partition, both.into(), WITHIN).unwrap();
    assert_eq!(refused(answer.wait()), ResponseError::InvalidRecord);
}

#[test]
fn taking_the_id_over_fences_nobody_until_the_claim_is_written() {
    for world in [one(), old()] {
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
    let world = one();
    let (old, mut new) = two(world);
    let proxy = world.proxy(&old.partition);
    let mut old = old.through(&proxy);
    proxy.treat(ApiKey::Produce, Treatment::Hold);
    let late = old.send("old: late");
    proxy.wait_until_held(1).unwrap();
    new.write("new: claim").unwrap();
    proxy.treat(ApiKey::Produce, Treatment::Pass);
    assert_eq!(refused(late.wait()), ResponseError::InvalidProducerEpoch);
    assert_eq!(world.end(&new.partition, Isolation::Uncommitted), 3);
}

#[test]
fn replayed_bytes_are_answered_with_the_first_offset_until_the_claim_and_refused_after_it() {
    let world = one();
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
    let world = one();
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
    let world = three();
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
    let world = three();
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

/// A claim, then `kill -9` and restart of the only replica; the old owner writes again.
fn old_write_after_a_restart(
    world: &World,
    settings: &[(&str, &str)],
    time: i64,
) -> Result<i64, WireError> {
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
    let world = three();
    let late = old_write_after_a_restart(&world, &[], now());
    assert_eq!(refused(late), ResponseError::InvalidProducerEpoch);
}

#[test]
fn a_restarted_broker_forgets_producers_whose_batches_give_an_old_time() {
    let world = three();
    let two_days_ago = now() - 2 * 24 * 3_600_000;
    // The hole. Event times must never become the times of batches.
    assert_eq!(old_write_after_a_restart(&world, &[], two_days_ago).unwrap(), 2);
    let own_time = [("message.timestamp.type", "LogAppendTime")];
    let late = old_write_after_a_restart(&world, &own_time, two_days_ago);
    assert_eq!(refused(late), ResponseError::InvalidProducerEpoch);
}

#[test]
fn another_producer_id_fences_nobody_until_the_former_one_is_sealed_with_the_greatest_epoch() {
    let world = one();
    let partition = world.topic();
    let mut old = world.writer(&partition, &fresh("owner"));
    old.write("old: claim").unwrap();
    // What a coordinator gives when it has forgotten the id, or when its epochs are used up.
    let mut new = world.writer(&partition, &fresh("owner"));
    assert_ne!(new.producer.id, old.producer.id);
    new.write("new: claim").unwrap();
    // The hole.
    assert_eq!(old.write("old: late").unwrap(), 2);
    // The new owner, who has read the old one's id in the log, writes once in its name.
    let mut seal = world.writer_as(&partition, ProducerId { epoch: i16::MAX, ..old.producer });
    assert_eq!(seal.write("seal").unwrap(), 3);
    assert_eq!(refused(old.write("old: later")), ResponseError::InvalidProducerEpoch);
}
