//! Replicas: they apply what the owner has committed, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod equality;
mod support;

use std::future::Future;
use std::task::{Context, Waker};

use leftfold_api::{
    Append, Coded, Delivery, EventStore, Expected, IndexDefinition, NewEvent, Query, Retention,
    RetentionRule, Subscribe, Subscription, Timestamp,
};
use leftfold_store::{CommittedAppend, CommittedEvent, StoreIdentity};
use pollster::block_on;

use support::{AtOnce, DAY, Node, catch_up, owner, read, replica};

fn committed(first: u64, events: &[(&str, u64)]) -> CommittedAppend {
    let event = |(stream, version): &(&str, u64)| CommittedEvent {
        stream: (*stream).to_owned(),
        version: *version,
        event_time: Timestamp(5),
        event: NewEvent::new("Put", format!("{stream}/{version}"))
            .id(uuid::Uuid::from_u128(u128::from(first) << 64 | u128::from(*version))),
    };
    CommittedAppend {
        first,
        append_id: first.into(),
        commit_time: Timestamp(DAY + 1),
        events: events.iter().map(event).collect(),
        checkpoints: Vec::new(),
    }
}

fn places(events: &[leftfold_api::Recorded]) -> Vec<(u64, String, u64)> {
    let place = |event: &leftfold_api::Recorded| {
        (event.position(), event.stream().to_owned(), event.version())
    };
    events.iter().map(place).collect()
}

#[test]
fn appends_are_applied_at_their_positions_with_their_times_and_ids() {
    let (_node, store) = replica();
    let appends = vec![
        committed(3, &[("a-1", 0), ("a-1", 1), ("b-1", 0)]),
        committed(10, &[("a-1", 2)]),
        committed(11, &[("b-1", 1)]),
    ];
    block_on(store.apply(appends.clone())).unwrap();
    let events = read(&store, &Query::All);
    let expected = [(3, "a-1", 0), (4, "a-1", 1), (5, "b-1", 0), (10, "a-1", 2), (11, "b-1", 1)];
    assert_eq!(places(&events), expected.map(|(at, stream, v)| (at, stream.to_owned(), v)));
    assert_eq!(events[3].commit_time(), Timestamp(DAY + 1));
    assert_eq!(events[3].event_time(), Timestamp(5));
    assert_eq!(Some(events[3].id()), appends[1].events[0].event.id);
    assert_eq!(store.last_position(), 11);
}

#[test]
fn what_does_not_continue_the_copy_is_refused_and_nothing_is_written() {
    let (_node, store) = replica();
    block_on(store.apply(vec![committed(5, &[("a-1", 0)])])).unwrap();
    let early = CommittedAppend { commit_time: Timestamp(DAY), ..committed(7, &[("a-1", 1)]) };
    let good = committed(6, &[("a-1", 1)]);
    for (bad, sentence) in [
        (vec![committed(5, &[("a-1", 1)])], "position 5 of a committed append"),
        (vec![good.clone(), committed(6, &[("b-1", 0)])], "expected to be at least 7"),
        (vec![good.clone(), committed(7, &[("a-1", 1)])], "to be 2 in this copy, found 1"),
        (vec![good.clone(), committed(7, &[("b-1", 1)])], "to be 0 in this copy, found 1"),
        (vec![committed(6, &[("a-1", 1), ("a-1", 3)])], "to be 2 in this copy, found 3"),
        (vec![good.clone(), early.clone()], "to have a commit time from"),
        (vec![early], "to have a commit time from"),
        (vec![committed(1 << 40, &[("a-1", 1)])], "further from position 1 than a segment"),
    ] {
        let error = block_on(store.apply(bad)).unwrap_err();
        assert_eq!(error.code(), "replica_diverged", "{error}");
        assert!(error.to_string().contains(sentence), "{error}");
        assert_eq!(read(&store, &Query::All).len(), 1, "{sentence}");
    }
    let mut without_id = committed(6, &[("a-1", 1)]);
    without_id.events[0].event.id = None;
    assert_eq!(block_on(store.apply(vec![without_id])).unwrap_err().code(), "data_invalid");
    block_on(store.apply(vec![good])).unwrap();
    block_on(store.set_replica(false)).unwrap();
    let error = block_on(store.apply(vec![committed(7, &[("a-1", 2)])])).unwrap_err();
    assert!(error.to_string().contains("no replica"), "{error}");
}

#[test]
fn a_replica_refuses_all_writes_of_callers_until_it_owns_the_store() {
    let (_node, store) = replica();
    block_on(store.apply(vec![committed(1, &[("a-1", 0)])])).unwrap();
    let calls = |store: &leftfold_store::Embedded| {
        let blocking = store.blocking();
        let append =
            |expected| Append::new().event("a-1", NewEvent::new("Put", "")).expect("a-1", expected);
        let index = IndexDefinition::new("puts", Query::event_type("Put"));
        let rule = RetentionRule {
            name: "old".to_owned(),
            query: Query::category("b"),
            retention: Retention::default().max_count(1),
        };
        [
            blocking.append(append(Expected::Any)).map(drop),
            // A replica may be behind, so it must not answer with a conflict.
            blocking.append(append(Expected::NoStream)).map(drop),
            blocking.define_index(index),
            blocking.set_retention_rule(rule),
            blocking.set_retention("a-1", Retention::default().max_count(9)),
            blocking.delete_checkpoint("reader"),
        ]
    };
    for refused in calls(&store) {
        let error = refused.unwrap_err();
        assert_eq!((error.code(), error.can_retry()), ("not_owner", true));
    }
    assert_eq!(store.last_position(), 1);
    block_on(store.set_replica(false)).unwrap();
    let codes = calls(&store).map(|answer| answer.err().map(|error| error.code()));
    let expected = [None, Some("wrong_version"), None, None, None, Some("checkpoint_unknown")];
    assert_eq!(codes, expected);
    block_on(store.set_replica(true)).unwrap();
    block_on(store.settled()).unwrap();
    assert!(store.is_replica());
    assert!(calls(&store).into_iter().all(|answer| answer.is_err()));
}

#[test]
fn no_append_that_waits_in_the_queue_slips_through_after_the_store_became_a_replica() {
    let node = Node::new(false);
    let (clock, random) =
        (node.clock.clone(), std::sync::Arc::new(leftfold_io::fake::SeededRandom::new(1)));
    let (store, mut manual) = leftfold_store::Embedded::open_manual_with(
        node.disk.clone(),
        clock,
        random,
        node.options.clone(),
        Box::new(AtOnce),
    )
    .unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let append =
        |n: u64| store.append(Append::new().event(format!("a-{n}"), NewEvent::new("Put", "")));
    let (mut before, mut after) = (Box::pin(append(1)), Box::pin(append(2)));
    let mut lost = Box::pin(store.set_replica(true));
    assert!(before.as_mut().poll(&mut context).is_pending());
    assert!(lost.as_mut().poll(&mut context).is_pending());
    assert!(after.as_mut().poll(&mut context).is_pending());
    manual.write();
    assert!(block_on(before).is_ok());
    block_on(lost).unwrap();
    assert_eq!(block_on(after).unwrap_err().code(), "not_owner");
    assert_eq!(store.last_position(), 1);
    manual.close();
}

#[test]
fn an_append_of_this_node_that_overtakes_an_applied_one_is_noticed_by_all_that_follow() {
    // The first continues the positions, and the second has a gap before an append that is harmless itself.
    let runs = [
        vec![committed(2, &[("a-1", 0)])],
        vec![committed(5, &[("b-1", 0)]), committed(6, &[("a-1", 0)])],
    ];
    for run in runs {
        let node = Node::new(false);
        let (clock, random) =
            (node.clock.clone(), std::sync::Arc::new(leftfold_io::fake::SeededRandom::new(1)));
        let (store, mut manual) = leftfold_store::Embedded::open_manual_with(
            node.disk.clone(),
            clock,
            random,
            node.options.clone(),
            Box::new(AtOnce),
        )
        .unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let own = Append::new().event("a-1", NewEvent::new("Put", ""));
        let mut own = Box::pin(store.append(own));
        let mut lost = Box::pin(store.set_replica(true));
        let mut applied = Box::pin(store.apply(run));
        assert!(own.as_mut().poll(&mut context).is_pending());
        assert!(lost.as_mut().poll(&mut context).is_pending());
        assert!(applied.as_mut().poll(&mut context).is_pending());
        manual.write();
        assert!(block_on(own).is_ok());
        block_on(lost).unwrap();
        let error = block_on(applied).unwrap_err();
        assert_eq!(error.code(), "replica_diverged", "{error}");
        assert!(error.to_string().contains("to be 1 in this copy, found 0"), "{error}");
        manual.close();
    }
}

#[test]
fn positions_without_events_move_the_head_and_wake_who_waits() {
    let (_node, store) = replica();
    block_on(store.apply(vec![committed(1, &[("a-1", 0)])])).unwrap();
    let mut live = block_on(store.subscribe(Subscribe::to(Query::All))).unwrap();
    assert!(matches!(block_on(live.next()).unwrap(), Delivery::Event(..)));
    assert!(matches!(block_on(live.next()).unwrap(), Delivery::CaughtUp(_)));
    block_on(store.skip_to(7)).unwrap();
    assert_eq!(block_on(store.head()).unwrap().position(), Some(7));
    block_on(store.skip_to(4)).unwrap();
    assert_eq!(block_on(store.head()).unwrap().position(), Some(7));
    block_on(store.apply(vec![committed(8, &[("a-1", 1)])])).unwrap();
    match block_on(live.next()).unwrap() {
        Delivery::Event(event, cursor) => {
            assert_eq!((event.position(), cursor.position()), (8, Some(8)));
        }
        other => panic!("{other:?}"),
    }
    let error = block_on(store.skip_to(1 << 40)).unwrap_err();
    assert_eq!(error.code(), "replica_diverged");
}

#[test]
fn a_store_with_another_identity_is_refused() {
    let mut node = Node::new(true);
    drop(node.open(Box::new(AtOnce)).unwrap());
    drop(node.open(Box::new(AtOnce)).unwrap());
    let other = StoreIdentity { store_id: [9; 16], ..node.options.identity.unwrap() };
    node.options.identity = Some(other);
    let error = node.open(Box::new(AtOnce)).err().unwrap();
    assert_eq!(error.code(), "store_foreign");
}

#[test]
fn nodes_give_equal_cursors_and_a_new_owner_knows_repeats() {
    let (_owner, store, topic) = owner();
    let id = uuid::Uuid::from_u128(77);
    let append = || Append::new().event("a-1", NewEvent::new("Put", "x").id(id));
    let appended = store.blocking().append(append()).unwrap();
    let (_node, copy) = replica();
    catch_up(&copy, &topic);
    assert_eq!(block_on(copy.head()).unwrap(), appended.cursor);
    block_on(copy.set_replica(false)).unwrap();
    let again = copy.blocking().append(append()).unwrap();
    assert!(again.repeated);
    assert_eq!(again.cursor, appended.cursor);
}
