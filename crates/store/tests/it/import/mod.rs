//! Imports of what other stores have exported.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod merge;
mod random;
mod support;

use leftfold_api::{Append, Expected, IndexDefinition, NewEvent, Retention, Timestamp};
use leftfold_io::fake::{FakeDisk, ManualClock};
use std::sync::Arc;

use support::{
    Line, assert_sound, begin, export, feed, import, kept, line, open, open_now, refused, versions,
};

/// The source of an import: indexes, a rule, retention, a deletion and a tombstone.
fn source() -> Vec<Line> {
    let (disk, clock) = (FakeDisk::new(), Arc::new(ManualClock::at(1_000_000)));
    let store = open(&disk, &clock, 1);
    let put = |stream: &str, n: i64| {
        clock.advance(1_000);
        let event = NewEvent::json("Put", format!("{{\"n\":{n}}}")).tag("n", n.to_string());
        let event = if n % 2 == 0 { event.event_time(Timestamp(n)) } else { event };
        store.blocking().append(Append::new().event(stream, event)).unwrap();
    };
    (0..6).for_each(|n| ["a-1", "b-1", "c-1", "d-1"].iter().for_each(|stream| put(stream, n)));
    let query = "category:a tag:n=5".parse().unwrap();
    store.blocking().define_index(IndexDefinition::new("fives", query)).unwrap();
    let newest = Retention { max_count: Some(2), ..Retention::default() };
    store.blocking().set_retention("a-1", newest).unwrap();
    store.blocking().delete_stream("b-1", Expected::Any).unwrap();
    store.blocking().tombstone_stream("c-1", Expected::Any).unwrap();
    put("a-1", 6);
    store.seal().unwrap();
    store.scavenge(|_, _| {}).unwrap();
    export(&store)
}

#[test]
fn an_empty_store_becomes_a_copy_whose_settings_hold() {
    let (lines, disk) = (source(), FakeDisk::new());
    let report = import(&disk, &lines);
    assert!(report.keeps_commit_times);
    assert_eq!((report.imported, report.repeated, report.holes), (2 + 6 + 4, 0, 5 + 6 + 6));
    let store = open_now(&disk);
    assert_eq!(versions(&store, "a-1"), [5, 6]);
    store.settle().unwrap();
    let fives = store.blocking().index("fives").unwrap().unwrap();
    assert!(fives.ready && fives.events == 1, "{fives:?}");
    let append = |stream: &str| {
        store.blocking().append(Append::new().event(stream, NewEvent::new("New", "")))
    };
    assert_eq!(append("b-1").unwrap().streams[0].first, 6);
    assert_eq!(versions(&store, "b-1"), [6]);
    assert!(append("c-1").unwrap_err().to_string().contains("tombstone"));
    assert_eq!(store.blocking().stream("c-1").unwrap().unwrap().version, 5);
    append("a-1").unwrap();
    assert_eq!(versions(&store, "a-1"), [6, 7]);
    assert_sound(&store);
}

#[test]
fn a_repeated_import_writes_nothing() {
    let (lines, disk) = (source(), FakeDisk::new());
    let first = import(&disk, &lines);
    let before = kept(&open_now(&disk));
    let again = import(&disk, &lines);
    assert_eq!((again.imported, again.repeated, again.holes), (0, first.imported, 0));
    assert!(again.keeps_commit_times);
    assert_eq!(kept(&open_now(&disk)), before);
}

#[test]
fn a_newer_export_goes_on_where_the_first_one_ended() {
    let (lines, disk) = (source(), FakeDisk::new());
    let (first, _) = lines.split_at(9);
    assert_eq!(import(&disk, first).imported, 9);
    let rest = import(&disk, &lines);
    assert_eq!((rest.imported, rest.repeated), (12 - 9, 9));
    assert!(rest.keeps_commit_times);
    let whole = FakeDisk::new();
    import(&whole, &lines);
    assert_eq!(kept(&open_now(&disk)), kept(&open_now(&whole)));
}

#[test]
fn the_end_of_a_stream_is_checked_like_an_event() {
    for (position, stream, version, code) in [
        (0, "a-1", 0, "import_invalid"),
        (2, "a-1", 2, "import_invalid"),
        (2, "$other-1", 0, "name_reserved"),
        (2, "", 0, "name_invalid"),
    ] {
        let lines = [Line::Event(line(1, "a-1", 0)), Line::End(position, stream.into(), version)];
        assert_eq!(refused(&FakeDisk::new(), &lines).0, code, "{position} {stream} {version}");
    }
}

#[test]
fn what_belongs_to_the_other_store_is_left_out_and_counted() {
    let disk = FakeDisk::new();
    let system = |position, stream: &str| {
        let mut line = line(position, stream, 0);
        line.event.event_type = "$Any".to_owned();
        Line::Event(line)
    };
    let lines = [
        Line::Event(line(1, "a-1", 0)),
        system(2, "$checkpoint-x"),
        system(3, "$lost"),
        Line::Event(line(4, "leftfold.reactor-x", 0)),
        Line::Event(line(5, "leftfold.control-x", 0)),
        Line::Event(line(6, "leftfold.connector-x", 0)),
        Line::Event(line(7, "leftfold.parked-x", 0)),
        system(8, "$audit-1"),
    ];
    let report = import(&disk, &lines);
    assert_eq!(report.imported, 3);
    let left_out: Vec<_> = report.left_out.into_iter().collect();
    let expected =
        ["$checkpoint", "$lost", "leftfold.connector", "leftfold.control", "leftfold.reactor"];
    assert_eq!(left_out, expected.map(|category| (category, 1)));
}

#[test]
fn an_event_out_of_order_stops_the_import_behind_what_came_before() {
    let good = [Line::Event(line(1, "a-1", 0)), Line::Event(line(3, "a-1", 1))];
    let at = |micros, mut event: Box<leftfold_store::ImportEvent>| {
        event.commit_time = Timestamp(micros);
        event
    };
    let mut unnamed = line(5, "a-1", 2);
    unnamed.event.id = None;
    let mut dropped = line(5, "a-1", 2);
    dropped.event.event_type = "$Dropped".to_owned();
    for (bad, code) in [
        (line(3, "a-1", 2), "import_invalid"),
        (line(2, "a-1", 2), "import_invalid"),
        (line(5, "a-1", 1), "import_invalid"),
        (line(5, "a-1", 5), "import_invalid"),
        (line(5, "b-1", 4), "import_invalid"),
        (at(2, line(5, "a-1", 2)), "import_invalid"),
        (at(support::NOW + 2 * 86_400_000_000, line(5, "a-1", 2)), "import_invalid"),
        (at(i64::MAX, line(5, "a-1", 2)), "time_invalid"),
        (unnamed, "import_invalid"),
        (dropped, "name_reserved"),
        (line(5, "$other-1", 0), "name_reserved"),
        (line(5, "", 0), "name_invalid"),
    ] {
        let disk = FakeDisk::new();
        let lines = [&good[..], &[Line::Event(bad.clone())]].concat();
        let (found, message, report) = refused(&disk, &lines);
        assert_eq!(found, code, "{bad:?}: {message}");
        assert_eq!(report.imported, 2, "{bad:?}");
        assert_eq!(versions(&open_now(&disk), "a-1"), [0, 1], "{bad:?}");
    }
}

#[test]
fn many_missing_versions_are_batches_of_placeholders() {
    let disk = FakeDisk::new();
    let report = import(&disk, &[Line::Event(line(30_002, "a-1", 30_000))]);
    assert_eq!((report.imported, report.holes), (1, 30_000));
    let store = open_now(&disk);
    let page = leftfold_api::Read::backward(leftfold_api::Query::stream("a-1"));
    let events = store.blocking().read(page).unwrap().events;
    assert_eq!(events.iter().map(leftfold_api::Recorded::version).collect::<Vec<_>>(), [30_000]);
    // Unlike lost events, missing ones are no reason for a conflict.
    let start = leftfold_api::Cursor::START;
    let put = Append::new().event("a-1", NewEvent::new("Put", ""));
    store.blocking().append(put.none_after("type:Taken".parse().unwrap(), start)).unwrap();
    assert_eq!(store.verify(|_, _| {}).lost, 0);
}

#[test]
fn an_import_holds_the_store_alone() {
    let disk = FakeDisk::new();
    let mut import = begin(&disk).unwrap();
    feed(&mut import, &[Line::Event(line(1, "a-1", 0))]).unwrap();
    let error = begin(&disk).err().unwrap();
    assert_eq!(leftfold_api::Coded::code(&error), "store_locked");
}
