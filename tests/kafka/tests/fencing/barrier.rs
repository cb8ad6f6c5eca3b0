//! Linearizable reads: a paused owner must cross a barrier before it answers from memory.

use leftfold_kafka_testing::owner::{Identity, Owner, OwnerError};
use leftfold_kafka_testing::wire::{
    Connection, Isolation, OffsetReply, OffsetSpec, Partition, Record,
};

use crate::support::{PATIENCE, TestCluster, fresh, one_broker, three_brokers};

fn claim(world: &TestCluster, partition: &Partition, id: &str) -> Owner {
    let leader = world.client.leader(partition).unwrap();
    let identity = Identity { name: id.to_owned(), producer: world.take_over(id) };
    Owner::claim(&leader, partition, identity).unwrap().0
}

fn event() -> Vec<Record> {
    vec![Record::new("event")]
}

fn is_deposed(answer: Result<(), OwnerError>) -> bool {
    matches!(answer, Err(OwnerError::Deposed { .. }))
}

#[test]
fn a_barrier_tells_a_paused_owner_that_its_term_is_over() {
    let world = one_broker();
    let (partition, id) = (world.topic(), fresh("owner"));
    for strict in [false, true] {
        let mut old = claim(world, &partition, &id);
        old.append(event()).unwrap();
        old.barrier().unwrap();
        old.strict_barrier().unwrap();
        // The old owner is idle while a newer owner claims and appends.
        let mut new = claim(world, &partition, &id);
        let appended = new.append(event()).unwrap();
        // A read from its memory would miss that event.
        assert!(old.known().next_offset() <= appended);
        let barrier = if strict { old.strict_barrier() } else { old.barrier() };
        assert!(is_deposed(barrier), "strict: {strict}");
        new.barrier().unwrap();
        new.strict_barrier().unwrap();
    }
}

#[test]
fn appends_that_are_on_their_way_pass_a_barrier() {
    let world = one_broker();
    let partition = world.topic();
    let mut owner = claim(world, &partition, &fresh("owner"));
    let first = owner.send(event()).unwrap();
    let second = owner.send([event(), event()].concat()).unwrap();
    owner.barrier().unwrap();
    assert_eq!(owner.confirm(first).unwrap(), 1);
    owner.barrier().unwrap();
    assert_eq!(owner.confirm(second).unwrap(), 2);
    assert_eq!(owner.known().next_offset(), 4);
}

#[test]
fn a_leader_that_was_deposed_without_knowing_it_answers_the_plain_barrier_with_an_old_end() {
    let world = three_brokers();
    let (partition, id) = (world.topic(), fresh("owner"));
    let mut old = claim(&world, &partition, &id);
    let known = old.append(event()).unwrap() + 1;
    world.client.wait_in_sync(&partition, 3).unwrap();
    let (former, _) = world.client.leader_id(&partition).unwrap();
    let broker = world.cluster.broker(former).unwrap();
    let open = || Connection::open(broker.address(), PATIENCE).unwrap();
    let connections: Vec<Connection> = (0..8).map(|_| open()).collect();
    broker.pause().unwrap();
    world.client.wait_for_leader_other_than(&partition, former).unwrap();
    let mut new = claim(&world, &partition, &id);
    assert!(new.append(event()).unwrap() >= known);
    // These wait at the paused broker, as they would behind a partitioned network.
    let ask = |connection: &Connection| {
        connection.ask_offset(&partition, OffsetSpec::Latest, Isolation::Uncommitted).unwrap()
    };
    let plain: Vec<OffsetReply> = connections.iter().map(ask).collect();
    let strict = old.send(vec![Record::default()]).unwrap();
    broker.resume().unwrap();
    // The gap: an owner that trusts this answer misses the events appended meanwhile.
    let answers = plain.into_iter().map(OffsetReply::wait);
    assert!(answers.filter(|end| matches!(end, Ok(end) if *end == known)).count() > 0);
    // A write needs the followers, which follow the new leader.
    assert!(old.confirm(strict).is_err());
    world.client.wait_in_sync(&partition, 3).unwrap();
    new.strict_barrier().unwrap();
}
