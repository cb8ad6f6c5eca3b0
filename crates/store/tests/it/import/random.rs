//! Random stores, exported and imported, are compared event by event.

use std::sync::Arc;

use leftfold_api::{Append, Expected, IndexDefinition, NewEvent, Retention, Timestamp};
use leftfold_io::fake::{FakeDisk, ManualClock};
use leftfold_store::Embedded;
use proptest::prelude::*;

use super::support::{assert_sound, export, import, kept, open, open_now};

#[derive(Debug, Clone)]
enum Step {
    /// Events of one append: each a stream, and choices of what it has.
    Append(Vec<(u8, u8)>),
    Wait(i64),
    Retain(u8, u64),
    Truncate(u8, u64),
    Delete(u8),
    Tombstone(u8),
    Define(u8),
    Drop(u8),
    Scavenge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec((0..5u8, any::<u8>()), 1..5).prop_map(Step::Append),
        3 => (-5..1_000i64).prop_map(Step::Wait),
        1 => (0..5u8, 1..4u64).prop_map(|(stream, count)| Step::Retain(stream, count)),
        1 => (0..5u8, 1..9u64).prop_map(|(stream, version)| Step::Truncate(stream, version)),
        1 => (0..5u8).prop_map(Step::Delete),
        1 => (0..5u8).prop_map(Step::Tombstone),
        1 => (0..3u8).prop_map(Step::Define),
        1 => (0..3u8).prop_map(Step::Drop),
        1 => Just(Step::Scavenge),
    ]
}

fn name(stream: u8) -> String {
    format!("s{}-{stream}", stream % 2)
}

fn event(choice: u8) -> NewEvent {
    let has = |bit: u8| choice & 1 << bit != 0;
    let event = match has(0) {
        true => NewEvent::json("Put", format!("{{ \"c\" : {choice} }}")),
        false => NewEvent::new("Set", vec![choice, 0, 255]),
    };
    let event = if has(1) { event.event_time(Timestamp(i64::from(choice) - 99)) } else { event };
    let event =
        if has(2) { event.tag("c", (choice % 8).to_string()).tag("k", "a=b") } else { event };
    let event = if has(3) { event.correlation("c").causation("d") } else { event };
    NewEvent { schema_version: u16::from(choice % 3), metadata: vec![choice; 3].into(), ..event }
}

fn play(store: &Embedded, clock: &ManualClock, step: &Step) {
    let store_calls = store.blocking();
    // Many are refused, such as appends to a stream with a tombstone.
    match step {
        Step::Append(events) => {
            let add = |append: Append, (stream, choice): &(u8, u8)| {
                append.event(name(*stream), event(*choice))
            };
            _ = store_calls.append(events.iter().fold(Append::new(), add));
        }
        Step::Wait(micros) => clock.advance(*micros),
        Step::Retain(stream, count) => {
            let newest = Retention { max_count: Some(*count), ..Retention::default() };
            _ = store_calls.set_retention(&name(*stream), newest);
        }
        Step::Truncate(stream, version) => {
            let cut = Retention { truncate_before: Some(*version), ..Retention::default() };
            _ = store_calls.set_retention(&name(*stream), cut);
        }
        Step::Delete(stream) => _ = store_calls.delete_stream(&name(*stream), Expected::Any),
        Step::Tombstone(stream) => _ = store_calls.tombstone_stream(&name(*stream), Expected::Any),
        Step::Define(index) => {
            let query = format!("tag:c={index} or category:s{index}").parse().unwrap();
            _ = store_calls.define_index(IndexDefinition::new(format!("i{index}"), query));
        }
        Step::Drop(index) => _ = store_calls.drop_index(&format!("i{index}")),
        Step::Scavenge => _ = store.scavenge(|_, _| {}).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_imported_store_reads_as_the_one_that_was_exported(
        steps in prop::collection::vec(step(), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let (disk, clock) = (FakeDisk::new(), Arc::new(ManualClock::at(1_000_000)));
        let source = open(&disk, &clock, 1);
        steps.iter().for_each(|step| play(&source, &clock, step));
        let (lines, copy) = (export(&source), FakeDisk::new());
        // In two runs.
        import(&copy, &lines[..cut.index(lines.len() + 1)]);
        let report = import(&copy, &lines);
        prop_assert!(report.keeps_commit_times);
        let target = open_now(&copy);
        prop_assert_eq!(kept(&target), kept(&source));
        let names = (0..5).map(name);
        for name in names {
            let state = |store: &Embedded| {
                let info = store.blocking().stream(&name).unwrap();
                info.map(|info| (info.version, info.retention, info.tombstoned))
            };
            prop_assert_eq!(state(&target), state(&source));
        }
        [&source, &target].iter().for_each(|store| store.settle().unwrap());
        let indexes = |store: &Embedded| {
            let found = store.blocking().indexes().unwrap();
            found.into_iter().map(|index| (index.name, index.query, index.ready)).collect::<Vec<_>>()
        };
        prop_assert_eq!(indexes(&target), indexes(&source));
        assert_sound(&target);
    }
}
