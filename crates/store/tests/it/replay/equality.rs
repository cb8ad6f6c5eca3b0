//! Replay equals the fold on one thread, for any store, query, key and number of threads.

use std::convert::Infallible;

use leftfold_api::{Cursor, Expected, NewEvent, Query, Retention, RetentionRule};
use leftfold_store::{Compression, Replay, ReplayKey};
use proptest::prelude::*;

use crate::replay::support::{DAY, Fixture, parallel, read, sequential, together};

/// A step in the history of a store.
#[derive(Debug, Clone)]
enum Step {
    Append { stream: u8, correlation: Option<u8>, tags: Vec<u8>, bytes: usize },
    KeepTwo(u8),
    Delete(u8),
    Forget,
    Scavenge,
    ADayPasses,
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        0..5u8,
        prop::option::of(0..3u8),
        prop::collection::btree_set(0..4u8, 0..3),
        prop_oneof![Just(10usize), Just(500)],
    );
    let append = append.prop_map(|(stream, correlation, tags, bytes)| {
        let tags = tags.into_iter().collect();
        Step::Append { stream, correlation, tags, bytes }
    });
    prop_oneof![
        40 => append,
        1 => (0..5u8).prop_map(Step::KeepTwo),
        1 => (0..5u8).prop_map(Step::Delete),
        1 => Just(Step::Forget),
        1 => Just(Step::Scavenge),
        1 => Just(Step::ADayPasses),
    ]
}

fn take(fixture: &Fixture, step: &Step) {
    let name =
        |stream: &u8| format!("{}-{stream}", if stream.is_multiple_of(2) { "even" } else { "odd" });
    let blocking = fixture.store.blocking();
    match step {
        Step::Append { stream, correlation, tags, bytes } => {
            let mut event = NewEvent::new("Happened", vec![b'x'; *bytes]);
            event.correlation = correlation.map(|c| format!("flow-{c}"));
            for tag in tags {
                event = event.tag("customer", tag.to_string());
            }
            fixture.append(&name(stream), event.tag("other", "1"));
        }
        Step::KeepTwo(stream) => {
            let retention = Retention { max_count: Some(2), ..Retention::default() };
            blocking.set_retention(&name(stream), retention).unwrap();
        }
        Step::Delete(stream) => {
            if blocking.stream(&name(stream)).unwrap().is_some() {
                blocking.delete_stream(&name(stream), Expected::Any).unwrap();
            }
        }
        Step::Forget => {
            let retention = Retention {
                max_age: Some(std::time::Duration::from_secs(1)),
                ..Retention::default()
            };
            let query = Query::tag("customer", "1");
            let rule = RetentionRule { name: "old".to_owned(), query, retention };
            blocking.set_retention_rule(rule).unwrap();
        }
        Step::Scavenge => _ = fixture.store.scavenge(|_, _| {}).unwrap(),
        Step::ADayPasses => fixture.clock.advance(DAY),
    }
}

fn key() -> impl Strategy<Value = ReplayKey> {
    prop::sample::select(vec![
        ReplayKey::Stream,
        ReplayKey::Category,
        ReplayKey::Correlation,
        ReplayKey::Tag("customer".to_owned()),
        ReplayKey::Tag("absent".to_owned()),
    ])
}

fn query() -> impl Strategy<Value = Query> {
    let texts = [
        "*",
        "category:even",
        "tag:customer=1",
        "not stream:odd-1",
        "correlation:flow-*",
        "stream:even-0,odd-1 tag:other=1",
        "not category:$stream",
        "stream:absent",
    ];
    prop::sample::select(texts.map(|text| text.parse().unwrap()).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_replay_gives_what_a_fold_on_one_thread_gives(
        steps in prop::collection::vec(step(), 0..120),
        compression in prop::sample::select(vec![Compression::Off, Compression::Fast, Compression::Small]),
        chunk_bytes in prop::sample::select(vec![1usize, 700, 5_000, 1 << 20]),
        partitions in 1..20usize,
        query in query(),
        key in key(),
        after in 0..40u64,
        settled in any::<bool>(),
    ) {
        let fixture = Fixture::new(compression);
        steps.iter().for_each(|step| take(&fixture, step));
        let store = &fixture.store;
        if settled {
            store.settle().unwrap();
        }
        let before = read(store, &Query::All, Cursor::START);
        let after = before.get(after as usize).map_or(Cursor::START, |event| {
            let pages = store.blocking();
            let read = leftfold_api::Read::forward(Query::All);
            let point = leftfold_api::Point::Position(event.position());
            pages.read(read.including(point).limit(1)).unwrap().cursor
        });
        let replay = Replay::of(query.clone()).after(after.clone()).by(key.clone());
        let replay = replay.partitions(partitions).chunk_bytes(chunk_bytes);
        let expected = sequential(store, &query, after.clone(), &key);
        let in_order: Vec<_> =
            read(store, &query, after).iter().map(|event| event.position()).collect();
        let first = parallel(store, &replay.clone().threads(1));
        prop_assert_eq!(&together(first.0.clone()), &expected);
        prop_assert_eq!(first.1.clone(), store.blocking().head());
        for threads in 1..=8 {
            let replay = replay.clone().threads(threads);
            prop_assert_eq!(&parallel(store, &replay), &first, "{} threads", threads);
            let mut met = Vec::new();
            let cursor = store.replay_in_order(
                &replay,
                |event| Ok::<u64, Infallible>(event.position()),
                |position| { met.push(position); Ok(()) },
            );
            prop_assert_eq!(cursor.unwrap(), first.1.clone());
            prop_assert_eq!(&met, &in_order);
        }
    }
}

#[test]
fn a_replay_continues_at_the_cursor_of_the_one_before() {
    let fixture = Fixture::filled(Compression::Fast, 100);
    let replay = Replay::of(Query::tag("third", "1"));
    let (before, cursor) = parallel(&fixture.store, &replay);
    assert_eq!(cursor, fixture.store.blocking().head());
    let (nothing, same) = parallel(&fixture.store, &replay.clone().after(cursor.clone()));
    assert_eq!((together(nothing).len(), same), (0, cursor.clone()));
    for n in 100..130u32 {
        let event = NewEvent::new("Counted", n.to_string()).tag("third", (n % 3).to_string());
        fixture.append("stream-1", event);
    }
    let (later, _) = parallel(&fixture.store, &replay.clone().after(cursor));
    let both = together(before).into_values().chain(together(later).into_values());
    let mut both: Vec<_> = both.flatten().collect();
    both.sort();
    let (all, _) = parallel(&fixture.store, &replay);
    let mut all: Vec<_> = together(all).into_values().flatten().collect();
    all.sort();
    assert_eq!(both, all);
    assert_eq!(both.len(), 43);
}

#[test]
fn events_without_the_key_are_applied_to_partition_0() {
    let fixture = Fixture::new(Compression::Off);
    for n in 0..20 {
        let event = NewEvent::new("Happened", vec![n]);
        fixture.append("a", if n % 2 == 0 { event } else { event.correlation(n.to_string()) });
    }
    let replay = Replay::of(Query::All).by(ReplayKey::Correlation).threads(3);
    let (states, _) = parallel(&fixture.store, &replay);
    let without = states[0].get(&None).unwrap();
    assert_eq!(
        without.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    );
    assert_eq!(together(states).len(), 11);
}

#[test]
fn an_event_with_several_values_of_the_tag_is_applied_for_each() {
    let fixture = Fixture::new(Compression::Off);
    fixture.append("a", NewEvent::new("Sold", "1").tag("party", "x").tag("party", "y"));
    fixture.append("a", NewEvent::new("Sold", "2").tag("party", "y"));
    let replay = Replay::of(Query::All).by(ReplayKey::Tag("party".to_owned()));
    let all = together(parallel(&fixture.store, &replay).0);
    assert_eq!(all[&Some("x".to_owned())], [(1, b"1".to_vec())]);
    assert_eq!(all[&Some("y".to_owned())], [(1, b"1".to_vec()), (2, b"2".to_vec())]);
}

#[test]
fn an_event_that_is_larger_than_a_chunk_is_replayed() {
    let fixture = Fixture::new(Compression::Fast);
    for _ in 0..3 {
        fixture.append("big", NewEvent::new("Big", vec![7; 3 << 20]));
        fixture.append("small", NewEvent::new("Small", "x"));
    }
    let (states, _) = parallel(&fixture.store, &Replay::of(Query::All).threads(2));
    let lengths: Vec<_> = together(states)[&Some("big".to_owned())]
        .iter()
        .map(|(at, data)| (*at, data.len()))
        .collect();
    assert_eq!(lengths, [(1, 3 << 20), (3, 3 << 20), (5, 3 << 20)]);
}

#[test]
fn a_replay_does_not_block_the_writer_and_ends_at_the_head_of_its_start() {
    let fixture = Fixture::filled(Compression::Off, 50);
    let store = &fixture.store;
    let head = store.blocking().head();
    let replay = Replay::of(Query::All).chunk_bytes(1).threads(2);
    // Each replayed event appends another one. If those were replayed too, the replay would not end.
    let mut met = 0;
    let cursor = store.replay_in_order(
        &replay,
        |_| Ok::<(), Infallible>(()),
        |()| {
            met += 1;
            fixture.append("new", NewEvent::new("Appended", "x"));
            Ok(())
        },
    );
    assert_eq!((met, cursor.unwrap()), (50, head));
}
