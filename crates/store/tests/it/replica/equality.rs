//! A replica answers as its owner does, whatever was appended, also after reopening.

use std::time::Duration;

use leftfold_api::{
    Append, CheckpointMove, Cursor, Direction, EventStore, Expected, IndexDefinition, NewEvent,
    Query, Read, Recorded, Retention, RetentionRule, Streams,
};
use leftfold_store::Embedded;
use pollster::block_on;
use proptest::prelude::*;

use super::support::{AtOnce, catch_up, owner, read, replica};

/// A step in the history of an owner.
#[derive(Debug, Clone)]
enum Step {
    Append { streams: Vec<u8>, tag: u8, bytes: usize, time: Option<i64>, checkpoint: Option<u8> },
    Checkpoint(u8),
    DeleteCheckpoint(u8),
    Define(u8),
    Drop(u8),
    KeepTwo(u8),
    Delete(u8),
    Tombstone(u8),
    Forget,
    Remember,
    Skip(u8),
    ADayPasses,
    CatchUp,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        prop::collection::vec(0..5u8, 1..4),
        0..3u8,
        prop_oneof![Just(10usize), Just(700)],
        prop::option::of(0..9i64),
        prop::option::weighted(0.2, 0..3u8),
    );
    let append = append.prop_map(|(streams, tag, bytes, time, checkpoint)| Step::Append {
        streams,
        tag,
        bytes,
        time,
        checkpoint,
    });
    prop_oneof![
        30 => append,
        3 => (0..3u8).prop_map(Step::Checkpoint),
        1 => (0..3u8).prop_map(Step::DeleteCheckpoint),
        2 => (0..3u8).prop_map(Step::Define),
        1 => (0..3u8).prop_map(Step::Drop),
        1 => (0..5u8).prop_map(Step::KeepTwo),
        1 => (0..5u8).prop_map(Step::Delete),
        1 => (3..5u8).prop_map(Step::Tombstone),
        1 => Just(Step::Forget),
        1 => Just(Step::Remember),
        3 => (1..4u8).prop_map(Step::Skip),
        1 => Just(Step::ADayPasses),
        6 => Just(Step::CatchUp),
        2 => Just(Step::Reopen),
    ]
}

fn stream(n: u8) -> String {
    format!("{}-{n}", if n.is_multiple_of(2) { "even" } else { "odd" })
}

fn moved(store: &Embedded, n: u8) -> CheckpointMove {
    let name = format!("reader-{n}");
    let expected = block_on(store.checkpoint(&name)).unwrap();
    CheckpointMove { name, expected, to: block_on(store.head()).unwrap() }
}

/// Takes a step of the owner. A refusal is as good as an append: it must not show in the copy.
fn take(store: &Embedded, step: &Step) {
    let blocking = store.blocking();
    match step {
        Step::Append { streams, tag, bytes, time, checkpoint } => {
            let mut append = Append::new();
            for n in streams {
                let mut event = NewEvent::new("Happened", vec![b'x'; *bytes]);
                event.event_time = time.map(leftfold_api::Timestamp);
                event = event.tag("customer", tag.to_string());
                append = append.event(stream(*n), event);
            }
            if let Some(n) = checkpoint {
                append = append.checkpoint(moved(store, *n));
            }
            _ = blocking.append(append);
        }
        Step::Checkpoint(n) => _ = blocking.append(Append::new().checkpoint(moved(store, *n))),
        Step::DeleteCheckpoint(n) => _ = blocking.delete_checkpoint(&format!("reader-{n}")),
        Step::Define(n) => {
            let query = ["type:Happened", "tag:customer=1", "time:1970-01-01T00:00:00.000004Z.."];
            let query = query[usize::from(*n)].parse().unwrap();
            _ = blocking.define_index(IndexDefinition::new(format!("index-{n}"), query));
        }
        Step::Drop(n) => _ = blocking.drop_index(&format!("index-{n}")),
        Step::KeepTwo(n) => {
            _ = blocking.set_retention(&stream(*n), Retention::default().max_count(2));
        }
        Step::Delete(n) => _ = blocking.delete_stream(&stream(*n), Expected::Any),
        Step::Tombstone(n) => _ = blocking.tombstone_stream(&stream(*n), Expected::Any),
        Step::Forget => {
            let age = Some(Duration::from_secs(1));
            let retention = Retention { max_age: age, ..Retention::default() };
            let query = Query::tag("customer", "1");
            let rule = RetentionRule { name: "old".to_owned(), query, retention };
            _ = blocking.set_retention_rule(rule);
        }
        Step::Remember => _ = blocking.drop_retention_rule("old"),
        Step::Skip(n) => {
            block_on(store.skip_to(store.last_position() + u64::from(*n))).unwrap();
        }
        Step::ADayPasses | Step::CatchUp | Step::Reopen => {}
    }
}

fn print(events: &[Recorded]) -> Vec<String> {
    let print = |event: &Recorded| {
        let (given, tags) = (event.event_time_given(), event.tags().collect::<Vec<_>>());
        let (stream, version, id) = (event.stream(), event.version(), event.id());
        let times = (event.commit_time(), event.event_time());
        let (position, data) = (event.position(), event.data().len());
        let digest = event.digest();
        format!("{position} {stream}/{version} {id} {times:?} {given} {tags:?} {data} {digest:?}")
    };
    events.iter().map(print).collect()
}

/// Everything that readers can ask for.
fn answers(store: &Embedded) -> Vec<String> {
    store.settle().unwrap();
    let mut found = Vec::new();
    let queries = [
        "*",
        "system:true",
        "category:even",
        "tag:customer=1",
        "not stream:odd-1",
        "stream:even-0,odd-1 tag:customer=2",
        "category:$stream",
    ];
    for query in queries {
        let query: Query = query.parse().unwrap();
        found.extend(print(&read(store, &query)));
        let backward = Read { direction: Direction::Backward, ..Read::forward(query) };
        found.extend(print(&store.blocking().read(backward).unwrap().events));
    }
    for info in block_on(store.indexes()).unwrap() {
        found.push(format!("{} {} {}", info.name, info.ready, info.events));
        found.extend(print(&read(store, &Query::index(info.name))));
    }
    for n in 0..5 {
        found.push(format!("{:?}", block_on(store.stream(&stream(n))).unwrap()));
        found.extend(print(&read(store, &Query::stream(stream(n)))));
    }
    let streams = block_on(store.streams(Streams { system: true, ..Streams::default() })).unwrap();
    let names = streams.streams.iter().map(|info| format!("{info:?}"));
    found.extend(names);
    found.push(format!("{:?}", block_on(store.checkpoints(None, 10)).unwrap()));
    found.push(format!("{:?}", block_on(store.retention_rules()).unwrap()));
    found.push(format!("{}", store.stat().unwrap().events));
    let report = store.verify(|_, _| {});
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_replica_answers_as_its_owner_does(steps in prop::collection::vec(step(), 1..80)) {
        let (owner, owning, topic) = owner();
        let (node, mut copy) = replica();
        for step in &steps {
            take(&owning, step);
            match step {
                Step::ADayPasses => {
                    owner.clock.advance(super::support::DAY);
                    node.clock.advance(super::support::DAY);
                }
                Step::CatchUp => catch_up(&copy, &topic),
                Step::Reopen => {
                    drop(copy);
                    copy = node.open(Box::new(AtOnce)).unwrap();
                }
                _ => {}
            }
        }
        catch_up(&copy, &topic);
        let expected = answers(&owning);
        prop_assert_eq!(&answers(&copy), &expected);
        drop(copy);
        let copy = node.open(Box::new(AtOnce)).unwrap();
        prop_assert_eq!(&answers(&copy), &expected);
        drop(owning);
        let reopened = owner.open(Box::new(AtOnce)).unwrap();
        prop_assert_eq!(&answers(&reopened), &expected);
        let start = block_on(copy.read(Read::forward(Query::All).after(Cursor::START).limit(1)));
        prop_assert!(start.is_ok());
    }
}
