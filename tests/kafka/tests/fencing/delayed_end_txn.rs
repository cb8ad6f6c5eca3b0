//! A commit that the network delays until the next transaction has begun.

use std::time::Duration;

use leftfold_kafka_testing::proxy::{ApiKey, Treatment};
use leftfold_kafka_testing::wire::{End, EndVersion, Isolation, ResponseError};

use crate::support::{
    Transactional, fenced, fresh, has_new_transactions, old_transactions, one_broker, refused,
};

#[test]
fn with_the_old_protocol_a_late_commit_commits_half_of_the_next_transaction() {
    for world in [one_broker(), old_transactions()] {
        let (partition, id) = (world.topic(), fresh("owner"));
        let proxy = world.proxy(&partition);
        let direct = Transactional::new(world, &partition, &id, EndVersion::Old);
        let coordinator = direct.coordinator.clone();
        let mut owner = direct.through(&proxy);
        owner.begin().unwrap();
        owner.write("first: 1").unwrap();
        proxy.set_treatment(ApiKey::EndTxn, Treatment::Hold);
        let late = owner.send_end(End::Commit);
        proxy.wait_until_held(1).unwrap();
        // The client stops waiting, reconnects, commits again, and continues in the same epoch.
        let _open = std::mem::replace(&mut owner.coordinator, coordinator);
        owner.writer.leader = world.client.leader(&partition).unwrap();
        owner.end(End::Commit).unwrap();
        owner.begin().unwrap();
        owner.write("second: 1 of 2").unwrap();
        proxy.set_treatment(ApiKey::EndTxn, Treatment::Pass);
        // The gap: the delayed request commits half of a transaction.
        late.wait().unwrap();
        world.wait_until_readable(&partition, "second: 1 of 2");
        let code = refused(owner.end(End::Abort));
        assert_eq!(code, ResponseError::InvalidTxnState);
        let seen = ["first: 1", "second: 1 of 2"];
        assert_eq!(world.read(&partition, Isolation::Committed), seen);
    }
}

#[test]
fn with_the_new_protocol_a_late_commit_is_refused() {
    if !has_new_transactions() {
        println!("Kafka has the new protocol since 4.0: nothing to test");
        return;
    }
    let world = one_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    let proxy = world.proxy(&partition);
    let direct = Transactional::new(world, &partition, &id, EndVersion::New);
    let coordinator = direct.coordinator.clone();
    let mut owner = direct.through(&proxy);
    owner.write("first: 1").unwrap();
    proxy.set_treatment(ApiKey::EndTxn, Treatment::Hold);
    let late = owner.send_end(End::Commit);
    proxy.wait_until_held(1).unwrap();
    let _open = std::mem::replace(&mut owner.coordinator, coordinator);
    owner.writer.leader = world.client.leader(&partition).unwrap();
    owner.end(End::Commit).unwrap();
    owner.write("second: 1 of 2").unwrap();
    proxy.set_treatment(ApiKey::EndTxn, Treatment::Pass);
    assert_eq!(refused(late.wait()), ResponseError::ProducerFenced);
    owner.end(End::Abort).unwrap();
    world.wait_until_stable(&partition);
    assert_eq!(world.read(&partition, Isolation::Committed), ["first: 1"]);
}

#[test]
fn a_commit_that_is_late_for_a_takeover_is_refused_by_both_protocols() {
    for (world, protocol) in [
        (one_broker(), EndVersion::New),
        (one_broker(), EndVersion::Old),
        (old_transactions(), EndVersion::Old),
    ] {
        let (partition, id) = (world.topic(), fresh("owner"));
        let proxy = world.proxy(&partition);
        let mut old = Transactional::new(world, &partition, &id, protocol).through(&proxy);
        old.begin().unwrap();
        old.write("old: 1").unwrap();
        proxy.set_treatment(ApiKey::EndTxn, Treatment::Hold);
        let late = old.send_end(End::Commit);
        proxy.wait_until_held(1).unwrap();
        let mut new = Transactional::new(world, &partition, &id, protocol);
        new.begin().unwrap();
        new.write("new: 1").unwrap();
        proxy.set_treatment(ApiKey::EndTxn, Treatment::Pass);
        fenced(late.wait());
        new.end(End::Commit).unwrap();
        world.wait_until_readable(&partition, "new: 1");
        assert_eq!(world.read(&partition, Isolation::Committed), ["new: 1"]);
    }
}

#[test]
fn a_lost_answer_to_a_commit_leaves_its_outcome_to_be_found_in_the_log() {
    for (world, protocol) in
        [(one_broker(), EndVersion::New), (old_transactions(), EndVersion::Old)]
    {
        let (partition, id) = (world.topic(), fresh("owner"));
        let proxy = world.proxy(&partition);
        let mut owner = Transactional::new(world, &partition, &id, protocol).through(&proxy);
        owner.begin().unwrap();
        owner.write("1").unwrap();
        proxy.set_treatment(ApiKey::EndTxn, Treatment::LoseAnswers);
        let unknown = owner.send_end(End::Commit).wait_for(Duration::from_millis(300)).unwrap_err();
        assert!(unknown.is_outcome_unknown());
        // Taking the id over settles the outcome; the committed record stays.
        let _again = Transactional::new(world, &partition, &id, protocol);
        world.wait_until_stable(&partition);
        assert_eq!(world.read(&partition, Isolation::Committed), ["1"]);
    }
}
