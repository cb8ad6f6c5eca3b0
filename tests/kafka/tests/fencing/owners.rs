//! The chosen variant: the log decides which records count, and an owner acknowledges only records
//! that it knows to count. The tests cover the gaps of the broker's fence, and owners without it.

use std::collections::BTreeMap;
use std::time::Duration;

use leftfold_kafka_testing::owner::{
    AppendOutcome, Follower, Identity, Ledger, Owner, OwnerError, Verdict, VoidReason,
};
use leftfold_kafka_testing::proxy::{ApiKey, Proxy, Treatment};
use leftfold_kafka_testing::wire::{Connection, Isolation, Partition, Record, StoredRecord};

use crate::support::{
    PATIENCE, TestCluster, forgetful_broker, fresh, one_broker, retry, text, three_brokers,
};

/// Claims with a new producer id, so that no broker fences the owner.
fn try_claim(
    leader: &Connection,
    partition: &Partition,
    name: &str,
) -> Result<(Owner, Vec<StoredRecord>), OwnerError> {
    let producer = retry(|| leader.new_producer_id())?;
    Owner::claim(leader, partition, Identity { name: name.to_owned(), producer })
}

fn claim(world: &TestCluster, partition: &Partition, name: &str) -> Owner {
    try_claim(&world.client.leader(partition).unwrap(), partition, name).unwrap().0
}

fn claim_through(proxy: &Proxy, partition: &Partition, name: &str) -> Owner {
    let connection = Connection::open(proxy.address(), PATIENCE).unwrap();
    try_claim(&connection, partition, name).unwrap().0
}

fn events(values: &[&str]) -> Vec<Record> {
    values.iter().map(|value| Record::new(value.to_string())).collect()
}

/// Returns the values that count for a reader of the whole partition.
fn counted_values(world: &TestCluster, partition: &Partition) -> Vec<String> {
    let end = world.end(partition, Isolation::Uncommitted);
    let leader = world.client.leader(partition).unwrap();
    let found = Follower::new(partition.clone()).read_to(&leader, end).unwrap();
    found.iter().map(|stored| text(&stored.record)).collect()
}

/// Returns the verdict on each record.
fn verdicts(world: &TestCluster, partition: &Partition) -> Vec<Verdict> {
    let mut ledger = Ledger::default();
    let batches = world.batches(partition);
    let records = batches.iter().flat_map(|batch| &batch.records);
    records.map(|stored| ledger.apply(&stored.record)).collect()
}

#[test]
fn a_late_write_that_no_broker_refuses_is_void_for_every_reader_and_never_acknowledged() {
    let world = one_broker();
    let partition = world.topic();
    let proxy = world.proxy(&partition);
    let mut old = claim_through(&proxy, &partition, "old");
    old.append(events(&["old: 1"])).unwrap();
    proxy.set_treatment(ApiKey::Produce, Treatment::Hold);
    let late = old.send(events(&["old: late"])).unwrap();
    proxy.wait_until_held(1).unwrap();
    let mut new = claim(world, &partition, "new");
    new.append(events(&["new: 1"])).unwrap();
    proxy.set_treatment(ApiKey::Produce, Treatment::Pass);
    assert!(matches!(old.confirm(late), Err(OwnerError::Deposed { term: 1, .. })));
    // The late batch has landed, and the new owner continues behind it.
    let next = new.append(events(&["new: 2"])).unwrap();
    assert_eq!(world.end(&partition, Isolation::Uncommitted), next + 1);
    assert!(verdicts(world, &partition).contains(&Verdict::Void(VoidReason::WrongTerm)));
    assert_eq!(counted_values(world, &partition), ["old: 1", "new: 1", "new: 2"]);
}

#[test]
fn an_append_that_is_overtaken_by_a_claim_on_its_way_is_not_acknowledged() {
    let world = one_broker();
    let partition = world.topic();
    let mut old = claim(world, &partition, "old");
    let _new = claim(world, &partition, "new");
    assert!(matches!(old.append(events(&["late"])), Err(OwnerError::Deposed { .. })));
    assert!(matches!(old.append(events(&["later"])), Err(OwnerError::Deposed { .. })));
    assert_eq!(counted_values(world, &partition), [""; 0]);
}

#[test]
fn records_of_other_producers_are_void_and_do_not_stop_the_owner() {
    let world = one_broker();
    let partition = world.topic();
    let mut owner = claim(world, &partition, "owner");
    let mut stranger = world.writer(&partition, &fresh("stranger"));
    for n in 0..3 {
        stranger.write("noise").unwrap();
        assert_eq!(owner.append(events(&["event"])).unwrap(), 2 + 2 * n);
    }
    assert_eq!(counted_values(world, &partition), ["event"; 3]);
}

#[test]
fn bytes_replayed_after_the_broker_has_forgotten_their_producer_are_void() {
    let world = forgetful_broker();
    let partition = world.topic();
    let proxy = world.proxy(&partition);
    let mut owner = claim_through(&proxy, &partition, "owner");
    owner.append(events(&["1"])).unwrap();
    let sent = proxy.requests(ApiKey::Produce).pop().unwrap();
    let known = || world.client.producers(&partition);
    leftfold_kafka_testing::admin::poll(PATIENCE, known, Vec::is_empty).unwrap();
    // The broker appends the batch a second time.
    assert_eq!(proxy.replay_produce(&sent).unwrap().base_offset, 2);
    assert_eq!(verdicts(world, &partition)[2], Verdict::Void(VoidReason::Repeat));
    assert_eq!(counted_values(world, &partition), ["1"]);
}

#[test]
fn an_append_with_an_unknown_outcome_is_found_in_the_log_or_excluded_by_the_next_claim() {
    let world = one_broker();
    let fates = [
        (Treatment::LoseAnswers, AppendOutcome::Counts(1)),
        (Treatment::Drop, AppendOutcome::Never),
    ];
    for (treatment, expected) in fates {
        let partition = world.topic();
        let leader = world.client.leader(&partition).unwrap();
        let proxy = world.proxy(&partition);
        let impatient = Connection::open(proxy.address(), Duration::from_millis(500)).unwrap();
        let (mut owner, _) = try_claim(&impatient, &partition, "owner").unwrap();
        let first = owner.next();
        proxy.set_treatment(ApiKey::Produce, treatment);
        let doubt = owner.append(events(&["1"]));
        assert!(matches!(doubt, Err(OwnerError::OutcomeUnknown(_))), "{doubt:?}");
        let before = Owner::find_outcome(&leader, &partition, first).unwrap();
        let open = if expected == AppendOutcome::Never { AppendOutcome::Open } else { expected };
        assert_eq!(before, open);
        let _next = claim(world, &partition, "next");
        assert_eq!(Owner::find_outcome(&leader, &partition, first).unwrap(), expected);
    }
}

/// Each event holds the number of events that its writer knew. If an event was accepted although its
/// writer had missed one, the numbers show it.
#[test]
fn unfenced_owners_lose_no_acknowledged_event_and_accept_no_conflicting_one() {
    const OWNERS: usize = 4;
    const EACH_CLAIMS: usize = 12;
    let world = one_broker();
    let partition = world.topic();
    let acknowledged = std::thread::scope(|threads| {
        let run = |name: usize| {
            let partition = &partition;
            threads.spawn(move || {
                (0..EACH_CLAIMS).flat_map(|_| run_term(world, partition, name)).collect::<Vec<_>>()
            })
        };
        let all: Vec<_> = (0..OWNERS).map(run).collect();
        all.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let end = world.end(&partition, Isolation::Uncommitted);
    let leader = world.client.leader(&partition).unwrap();
    let log = Follower::new(partition.clone()).read_to(&leader, end).unwrap();
    let by_offset: BTreeMap<i64, String> =
        log.iter().map(|stored| (stored.offset, text(&stored.record))).collect();
    for (count, value) in by_offset.values().enumerate() {
        assert_eq!(value.split(' ').next(), Some(count.to_string().as_str()), "a conflict");
    }
    for (offset, value) in &acknowledged {
        assert_eq!(by_offset.get(offset), Some(value), "an acknowledged event was lost");
    }
    let void = verdicts(world, &partition);
    let void = void.iter().filter(|verdict| matches!(verdict, Verdict::Void(_))).count();
    println!("{} acknowledged, {} count, {void} void", acknowledged.len(), by_offset.len());
    assert!(!acknowledged.is_empty() && void > 0);
}

/// Claims, then appends, three in flight at a time, until another owner has claimed.
///
/// Returns the acknowledged events.
fn run_term(world: &TestCluster, partition: &Partition, name: usize) -> Vec<(i64, String)> {
    const MOST: usize = 30;
    let (_, address) = world.client.locate(partition).unwrap();
    let leader = Connection::open(address, PATIENCE).unwrap();
    let (mut owner, before) = match try_claim(&leader, partition, &name.to_string()) {
        Ok(claimed) => claimed,
        Err(OwnerError::Overtaken) => return Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let mut count = before.len();
    let mut acknowledged = Vec::new();
    while count < before.len() + MOST {
        let values: Vec<String> = (count..count + 3).map(|n| format!("{n} by {name}")).collect();
        count += values.len();
        let sent: Vec<_> =
            values.iter().map(|value| owner.send(events(&[value])).unwrap()).collect();
        for (value, sent) in values.into_iter().zip(sent) {
            match owner.confirm(sent) {
                Ok(offset) => acknowledged.push((offset, value)),
                Err(_) => return acknowledged,
            }
        }
    }
    acknowledged
}

#[test]
fn no_acknowledged_event_is_lost_when_the_leader_is_killed() {
    const BEFORE_THE_KILL: usize = 50;
    let world = three_brokers();
    let partition = world.topic();
    world.client.wait_in_sync(&partition, 3).unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..2 {
        let (leader, _) = world.client.leader_id(&partition).unwrap();
        let mut owner = claim(&world, &partition, "owner");
        let (enough, reached) = oneshot::channel();
        std::thread::scope(|threads| {
            let killer = threads.spawn(|| {
                reached.recv().unwrap();
                world.cluster.broker(leader).unwrap().kill().unwrap();
            });
            let mut enough = Some(enough);
            for n in 0.. {
                let value = format!("{round}: {n}");
                let Ok(_) = owner.append(events(&[&value])) else { break };
                acknowledged.push(value);
                if n == BEFORE_THE_KILL {
                    enough.take().unwrap().send(()).unwrap();
                }
            }
            killer.join().unwrap();
        });
        world.client.wait_for_leader_other_than(&partition, leader).unwrap();
        let next = claim(&world, &partition, "next");
        let found = counted_values(&world, &partition);
        // An append with an unknown outcome may be there too.
        let lost = acknowledged.iter().find(|value| !found.contains(value));
        assert_eq!(lost, None, "of {} in term {}", acknowledged.len(), next.next().term);
        world.cluster.broker(leader).unwrap().restart().unwrap();
        world.client.wait_in_sync(&partition, 3).unwrap();
    }
}
