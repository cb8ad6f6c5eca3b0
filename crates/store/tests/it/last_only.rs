//! Streams of which only the last event is visible and kept: the committed offsets of Kafka's groups.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use leftfold_api::{
    Append, Appended, Coded, Cursor, Delivery, EventStore, Expected, NewEvent, Query, Read,
    Retention, RetentionRule, Subscribe, Subscription,
};
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::{Embedded, Options};
use pollster::block_on;
use uuid::Uuid;

const GROUP: &str = "$kafka-workers";

/// Returns a store in which nearly every event has its own segment.
fn open(disk: &FakeDisk) -> Embedded {
    let mut options = Options::default();
    options.log.segment_bytes = 300;
    options.log.preallocate = 4096;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    Embedded::open_on(Arc::new(disk.clone()), clock, random, options).unwrap()
}

fn commit_of(offset: u64) -> NewEvent {
    NewEvent::new("$OffsetsCommitted", format!("{{\"offset\":{offset}}}"))
        .id(Uuid::from_u128(offset.into()))
}

fn commit(store: &Embedded, group: &str, offset: u64) -> Appended {
    block_on(store.append_system(Append::new().event(group, commit_of(offset)))).unwrap()
}

fn append(store: &Embedded, stream: &str) {
    block_on(store.append(Append::new().event(stream, NewEvent::new("T", "1")))).unwrap();
}

/// Returns the versions that a query yields, in both directions alike.
fn versions(store: &Embedded, query: &str) -> Vec<u64> {
    let read = |read: Read| {
        let page = block_on(store.read(read)).unwrap();
        page.events.iter().map(|event| event.version()).collect::<Vec<_>>()
    };
    let query: Query = query.parse().unwrap();
    let forward = read(Read::forward(query.clone()));
    let mut backward = read(Read::backward(query));
    backward.reverse();
    assert_eq!(forward, backward);
    forward
}

/// Returns the data of the last event of the group, read backward.
fn last_commit(store: &Embedded) -> Vec<u8> {
    let read = Read::backward(Query::stream(GROUP)).limit(1);
    let page = block_on(store.read(read)).unwrap();
    assert_eq!(page.events.len(), 1);
    page.events[0].data().to_vec()
}

#[test]
fn only_the_last_commit_of_a_group_is_visible_and_survives_scavenging() {
    let disk = FakeDisk::new();
    let store = open(&disk);
    for offset in 0..5 {
        commit(&store, GROUP, offset);
        commit(&store, "$kafka-others", 100 + offset);
        append(&store, "kafka-workers");
        assert_eq!(versions(&store, "stream:$kafka-workers"), [offset], "at once");
    }
    let check = |store: &Embedded| {
        assert_eq!(versions(store, "stream:$kafka-workers"), [4]);
        assert_eq!(versions(store, "category:$kafka"), [4, 4]);
        assert_eq!(versions(store, "stream:kafka-workers"), [0, 1, 2, 3, 4], "another category");
        assert_eq!(last_commit(store), b"{\"offset\":4}");
    };
    check(&store);
    store.seal().unwrap();
    assert_eq!(store.reclaimable().unwrap().events, 8);
    assert_eq!(store.scavenge(|_, _| {}).unwrap().events, 8);
    assert_eq!(store.reclaimable().unwrap().events, 0);
    check(&store);
    drop(store);
    let store = open(&disk);
    check(&store);
    commit(&store, GROUP, 5);
    assert_eq!(versions(&store, "stream:$kafka-workers"), [5]);
}

#[test]
fn versions_conditions_and_repeats_see_all_commits() {
    let store = open(&FakeDisk::new());
    for offset in 0..3 {
        commit(&store, GROUP, offset);
    }
    store.seal().unwrap();
    assert_eq!(store.scavenge(|_, _| {}).unwrap().events, 2);
    let info = block_on(store.stream(GROUP)).unwrap().unwrap();
    assert_eq!((info.version, info.first_position), (2, 1));
    assert!(commit(&store, GROUP, 0).repeated, "an id is never removed");
    let next = |expected| {
        let append = Append::new().event(GROUP, commit_of(3)).expect(GROUP, expected);
        block_on(store.append_system(append))
    };
    assert_eq!(next(Expected::Exactly(0)).unwrap_err().code(), "wrong_version");
    let condition = "stream:$kafka-workers".parse().unwrap();
    let guarded = Append::new().event(GROUP, commit_of(3)).none_after(condition, Cursor::START);
    let refused = block_on(store.append_system(guarded)).unwrap_err();
    assert_eq!(refused.code(), "query_matched");
    assert_eq!(next(Expected::Exactly(2)).unwrap().streams[0].last, 3);
}

#[test]
fn rules_and_settings_of_users_do_not_touch_commits() {
    let store = open(&FakeDisk::new());
    commit(&store, GROUP, 0);
    let refused = block_on(store.set_retention(GROUP, Retention::default().max_count(9)));
    assert_eq!(refused.unwrap_err().code(), "name_reserved");
    assert_eq!(
        block_on(store.delete_stream(GROUP, Expected::Any)).unwrap_err().code(),
        "name_reserved"
    );
    let rule = RetentionRule {
        name: "all".to_owned(),
        query: "system:true".parse().unwrap(),
        retention: Retention {
            max_age: Some(std::time::Duration::from_micros(1)),
            ..Retention::default()
        },
    };
    block_on(store.set_retention_rule(rule)).unwrap();
    commit(&store, GROUP, 1);
    append(&store, "a-1");
    while versions(&store, "stream:a-1") == [0] {}
    assert_eq!(versions(&store, "stream:$kafka-workers"), [1], "older than the rule allows");
    store.seal().unwrap();
    store.scavenge(|_, _| {}).unwrap();
    assert_eq!(last_commit(&store), b"{\"offset\":1}");
}

#[test]
fn a_subscription_starts_with_the_last_commit_and_delivers_each_later_one() {
    let store = open(&FakeDisk::new());
    for offset in 0..3 {
        commit(&store, GROUP, offset);
    }
    let mut subscription = block_on(store.subscribe(Subscribe::to(Query::stream(GROUP)))).unwrap();
    let mut next = || loop {
        if let Delivery::Event(event, _) = block_on(subscription.next()).unwrap() {
            return event.version();
        }
    };
    assert_eq!(next(), 2);
    commit(&store, GROUP, 3);
    assert_eq!(next(), 3);
}
