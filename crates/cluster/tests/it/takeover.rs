//! Owners follow each other: by order, by force, and after they were killed.

use std::pin::pin;

use futures_util::future::{Either, select};
use leftfold_api::{
    Append, CheckpointMove, Coded, Cursor, Delivery, EventStore, Expected, NewEvent, Query, Read,
    ReadLevel, Subscribe, Subscription,
};
use leftfold_cluster::ledger::Stamp;
use leftfold_cluster::partition::{Role, Wish};
use leftfold_cluster::store::ClusterStore;
use leftfold_fold::time::{SystemTime, Time};
use leftfold_kafka::{Batch, Record};
use pollster::block_on;

use crate::nodes::{FakeCache, Nodes, PATIENCE};

fn append(store: &ClusterStore, version: u64) -> u64 {
    let event = NewEvent::json("Counted", format!("{{\"n\":{version}}}"));
    let expected = match version {
        0 => Expected::NoStream,
        version => Expected::Exactly(version - 1),
    };
    let append = Append::new().event("counter-1", event).expect("counter-1", expected);
    block_on(store.append(append)).unwrap().positions.unwrap().0
}

fn versions(store: &ClusterStore) -> Vec<u64> {
    let page = block_on(store.read(Read::forward(Query::stream("counter-1")))).unwrap();
    page.events.iter().map(|event| event.version()).collect()
}

#[test]
fn an_owner_hands_over_and_every_append_is_kept() {
    let nodes = Nodes::new();
    let (a, b) = (nodes.start("a", FakeCache::new(1)), nodes.start("b", FakeCache::new(2)));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    for version in 0..3 {
        append(&b.store, version);
    }
    a.partition.wish(Wish::Follow);
    a.wait_for(Role::Standby);
    nodes.own(&b);
    b.wait_for(Role::Owner);
    for version in 3..6 {
        append(&a.store, version);
    }
    assert_eq!(versions(&a.store), versions(&b.store));
    assert_eq!(versions(&b.store), (0..6).collect::<Vec<_>>());
    assert_eq!(b.partition.status().borrow().term, 2);
}

#[test]
fn an_owner_that_is_deposed_gives_up_and_follows() {
    let nodes = Nodes::new();
    let (a, b) = (nodes.start("a", FakeCache::new(1)), nodes.start("b", FakeCache::new(2)));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    // It is not told to stop, and learns it from the broker, or from the end of the log.
    b.partition.wish(Wish::Own);
    b.wait_for(Role::Owner);
    nodes.own(&b);
    a.partition.wish(Wish::Follow);
    a.wait_for(Role::Standby);
    append(&a.store, 1);
    assert_eq!(versions(&a.store), [0, 1]);
}

#[test]
fn a_copy_is_used_again_after_a_restart() {
    let nodes = Nodes::new();
    let cache = FakeCache::new(1);
    for round in 0..4 {
        let a = nodes.start("a", cache.clone());
        nodes.own(&a);
        a.wait_for(Role::Owner);
        append(&a.store, round * 2);
        append(&a.store, round * 2 + 1);
        assert_eq!(versions(&a.store), (0..round * 2 + 2).collect::<Vec<_>>());
    }
}

#[test]
fn records_of_other_programs_are_void() {
    let nodes = Nodes::new();
    let a = nodes.start("a", FakeCache::new(1));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    nodes.kafka.append_foreign(Batch::of(0, [Record::new("not ours")]).encode());
    // The owner finds it by its next append, or when it looks, and claims again.
    append(&a.store, 1);
    append(&a.store, 2);
    assert_eq!(versions(&a.store), [0, 1, 2]);
    let another = nodes.start("b", FakeCache::new(2));
    another.wait_for(Role::Standby);
    assert_eq!(versions(&another.store), [0, 1, 2]);
}

#[test]
fn a_subscription_goes_on_when_the_owner_changes() {
    let nodes = Nodes::new();
    let (a, b) = (nodes.start("a", FakeCache::new(1)), nodes.start("b", FakeCache::new(2)));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    let mut seen = Vec::new();
    let mut subscription =
        block_on(a.store.subscribe(Subscribe::to(Query::category("counter")))).unwrap();
    let mut marks = 0;
    for version in 1..20 {
        if version % 5 == 0 {
            let (from, to) = if version % 10 == 0 { (&b, &a) } else { (&a, &b) };
            from.partition.wish(Wish::Follow);
            nodes.own(to);
            to.wait_for(Role::Owner);
        }
        append(&b.store, version);
        while seen.len() <= version as usize {
            match block_on(subscription.next()).unwrap() {
                Delivery::Event(event, _) => seen.push(event.version()),
                Delivery::CaughtUp(_) => marks += 1,
            }
        }
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    assert_eq!(marks, 1);
}

#[test]
fn a_subscription_and_a_local_read_go_on_when_the_owner_is_deposed() {
    let nodes = Nodes::new();
    let (a, b) = (nodes.start("a", FakeCache::new(1)), nodes.start("b", FakeCache::new(2)));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    let all = Subscribe::to(Query::category("counter"));
    let mut subscription = block_on(a.store.subscribe(all)).unwrap();
    let mut seen = Vec::new();
    let mut read_up_to = |last: u64, seen: &mut Vec<u64>| {
        while seen.last() != Some(&last) {
            if let Delivery::Event(event, _) = block_on(subscription.next()).unwrap() {
                seen.push(event.version());
            }
        }
    };
    read_up_to(0, &mut seen);
    for version in 1..6 {
        // The owner is not told. Its next batch is refused, which fails its copy; then it claims again.
        b.partition.wish(Wish::Own);
        b.wait_for(Role::Owner);
        let reached = block_on(b.store.head()).unwrap();
        let ahead = Cursor::at(reached.origin(), reached.position().unwrap() + 1);
        std::thread::scope(|threads| {
            threads.spawn(|| read_up_to(version, &mut seen));
            threads.spawn(|| {
                let read = Read::forward(Query::category("counter")).level(ReadLevel::Local);
                block_on(a.store.read(read.at_least(ahead))).unwrap();
            });
            b.partition.wish(Wish::Follow);
            append(&a.store, version);
        });
        a.wait_for(Role::Owner);
    }
    assert_eq!(seen, (0..6).collect::<Vec<_>>());
}

#[test]
fn a_deposed_owner_refuses_nothing_by_what_it_knew() {
    let nodes = Nodes::new();
    let (a, b) = (nodes.start("a", FakeCache::new(1)), nodes.start("b", FakeCache::new(2)));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    // It is not told, and does not know the next event.
    b.partition.wish(Wish::Own);
    b.wait_for(Role::Owner);
    append(&b.store, 1);
    b.partition.wish(Wish::Follow);
    append(&a.store, 2);
    assert_eq!(versions(&a.store), [0, 1, 2]);
}

#[test]
fn a_deposed_owner_reports_no_checkpoint_that_was_moved() {
    let nodes = Nodes::new();
    let (a, b) = (nodes.start("a", FakeCache::new(1)), nodes.start("b", FakeCache::new(2)));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    let first = block_on(a.store.head()).unwrap();
    b.partition.wish(Wish::Own);
    b.wait_for(Role::Owner);
    let to_first = CheckpointMove { name: "reader".to_owned(), expected: None, to: first.clone() };
    block_on(b.store.append(Append::new().checkpoint(to_first))).unwrap();
    let second = block_on(b.store.head()).unwrap();
    b.partition.wish(Wish::Follow);
    let to_second = CheckpointMove { name: "reader".to_owned(), expected: Some(first), to: second };
    block_on(a.store.append(Append::new().checkpoint(to_second))).unwrap();
}

#[test]
fn the_head_behind_a_barrier_is_a_cursor_like_any_other() {
    let nodes = Nodes::new();
    let a = nodes.start("a", FakeCache::new(1));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    let counter = || Query::stream("counter-1");
    let read = Read::forward(counter()).level(ReadLevel::Linearizable);
    let page = block_on(a.store.read(read)).unwrap();
    let head = block_on(a.store.head()).unwrap();
    assert!(head.position() > page.events.last().map(|event| event.position()));
    let after = block_on(a.store.read(Read::forward(counter()).after(head.clone()))).unwrap();
    assert!(after.events.is_empty());
    let event = NewEvent::new("Counted", "1");
    let guarded = Append::new().event("counter-1", event).none_after(counter(), head.clone());
    block_on(a.store.append(guarded)).unwrap();
    let mut subscription = block_on(a.store.subscribe(Subscribe::after(counter(), head))).unwrap();
    let next = block_on(subscription.next()).unwrap();
    assert!(matches!(&next, Delivery::Event(event, _) if event.version() == 1), "{next:?}");
}

/// An idle owner looks whether the log has grown; a leader that does not answer must not hold appends up.
#[test]
fn an_append_does_not_wait_for_a_look_at_the_log() {
    let nodes = Nodes::new();
    let a = nodes.start("a", FakeCache::new(1));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    block_on(nodes.kafka.hide_end());
    let appending = async {
        let event = Append::new().event("counter-1", NewEvent::json("Counted", "{}"));
        let appended = a.store.append(event);
        match select(pin!(appended), SystemTime.after(PATIENCE)).await {
            Either::Left((appended, _)) => appended.is_ok(),
            Either::Right(_) => false,
        }
    };
    assert!(block_on(appending));
}

#[test]
fn what_comes_before_an_unreadable_record_is_applied() {
    let nodes = Nodes::new();
    let a = nodes.start("a", FakeCache::new(1));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    append(&a.store, 1);
    drop(a);
    // It counts, as the next record of the term, and says something that this release does not know.
    let unknown = Record::new("?").header("lf-unknown", "1");
    let unknown = Stamp { term: 1, number: 3 }.add_to(unknown);
    nodes.kafka.append_foreign(Batch::of(0, [unknown]).encode());
    let b = nodes.start("b", FakeCache::new(2));
    let local = Read::forward(Query::stream("counter-1")).level(ReadLevel::Local);
    let reading = async {
        let mut status = b.partition.status();
        let fails = |failure: &str| failure.contains("lf-unknown");
        let failed = status.wait_for(|status| status.failure.as_deref().is_some_and(fails));
        drop(failed.await.unwrap());
        b.store.read(local).await.unwrap().events.len()
    };
    assert_eq!(block_on(reading), 2);
}

#[test]
fn a_local_read_refuses_a_cursor_of_another_store() {
    let (nodes, others) = (Nodes::new(), Nodes::new());
    let a = nodes.start("a", FakeCache::new(1));
    nodes.own(&a);
    a.wait_for(Role::Owner);
    append(&a.store, 0);
    let other = FakeCache::of_partition(2, 3, block_on(a.store.head()).unwrap().origin());
    let b = others.start("b", other);
    others.own(&b);
    b.wait_for(Role::Owner);
    (0..5).for_each(|version| _ = append(&b.store, version));
    let foreign = block_on(b.store.head()).unwrap();
    let read = Read::forward(Query::All).level(ReadLevel::Local).at_least(foreign);
    assert_eq!(block_on(a.store.read(read)).unwrap_err().code(), "cursor_foreign");
}
