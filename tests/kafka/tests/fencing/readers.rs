//! Which records readers see, and when.

use leftfold_kafka_testing::wire::{End, EndVersion, Isolation, ResponseError};

use crate::support::{Transactional, fresh, one_broker, refused};

#[test]
fn one_open_transaction_hides_all_later_records_from_read_committed() {
    let world = one_broker();
    let partition = world.topic();
    let mut slow = Transactional::new(world, &partition, &fresh("slow"), EndVersion::New);
    let mut quick = Transactional::new(world, &partition, &fresh("quick"), EndVersion::New);
    slow.begin().unwrap();
    slow.write("slow").unwrap();
    quick.commit("quick").unwrap();
    let mut claims = world.writer(&partition, &fresh("claims"));
    claims.write("claim").unwrap();
    assert_eq!(world.read(&partition, Isolation::Committed), [""; 0]);
    let all = ["slow", "quick", "claim"];
    assert_eq!(world.read(&partition, Isolation::Uncommitted), all);
    slow.end(End::Abort).unwrap();
    world.wait_until_stable(&partition);
    assert_eq!(world.read(&partition, Isolation::Committed), ["quick", "claim"]);
}

#[test]
fn a_transactions_end_takes_an_offset_of_its_own_and_batches_without_transactions_leave_no_gap() {
    let world = one_broker();
    let (committed, claimed) = (world.topic(), world.topic());
    let mut transactions = Transactional::new(world, &committed, &fresh("a"), EndVersion::New);
    let mut claims = world.writer(&claimed, &fresh("b"));
    let mut offsets = (Vec::new(), Vec::new());
    for _ in 0..4 {
        offsets.0.push(transactions.commit("x").unwrap());
        offsets.1.push(claims.write("x").unwrap());
    }
    assert_eq!(offsets, (vec![0, 2, 4, 6], vec![0, 1, 2, 3]));
    world.wait_until_stable(&committed);
    let markers: Vec<_> = world.batches(&committed).iter().map(|batch| batch.marker).collect();
    assert_eq!(markers, [None, Some(true)].repeat(4));
}

#[test]
fn records_acknowledged_without_a_transaction_are_readable_at_once() {
    let world = one_broker();
    let partition = world.topic();
    let mut writer = world.writer(&partition, &fresh("owner"));
    for n in 0..200 {
        let at = writer.write(&n.to_string()).unwrap();
        for isolation in [Isolation::Uncommitted, Isolation::Committed] {
            assert_eq!(world.end(&partition, isolation), at + 1);
        }
    }
}

#[test]
fn the_answer_to_a_commit_may_come_before_readers_see_it() {
    const MOST: usize = 5_000;
    let world = one_broker();
    let partition = world.topic();
    let mut owner = Transactional::new(world, &partition, &fresh("owner"), EndVersion::New);
    let early = (0..MOST).find(|_| {
        let at = owner.commit("x").unwrap();
        let early = world.end(&partition, Isolation::Committed) <= at;
        world.wait_until_stable(&partition);
        early
    });
    assert!(early.is_some(), "none of {MOST}");
}

#[test]
fn a_producer_in_a_transaction_may_not_write_without_it() {
    let world = one_broker();
    let partition = world.topic();
    let mut owner = Transactional::new(world, &partition, &fresh("owner"), EndVersion::New);
    owner.begin().unwrap();
    owner.write("in").unwrap();
    assert_eq!(refused(owner.writer.write("out")), ResponseError::InvalidTxnState);
}
