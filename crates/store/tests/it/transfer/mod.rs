//! Moves stores from one log to many partitions, and back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use leftfold_api::{
    Append, Coded, Cursor, Delivery, EventStore, NewEvent, Query, Retention, Subscribe,
    Subscription,
};
use leftfold_store::transfer::AppendingImport;
use pollster::block_on;

use support::{
    Line, STREAMS, append, append_round, copy, feed, fill, lines, move_to_head, partitioned,
    shown_after, total, unseen,
};

/// Checks that two stores show the same, count the same versions, and have the same definitions.
fn assert_same(store: &impl EventStore, other: &impl EventStore) {
    assert_eq!(shown_after(store, Cursor::START), shown_after(other, Cursor::START));
    assert_eq!(
        total(&lines(store, Query::System)).digest,
        total(&lines(other, Query::System)).digest
    );
    block_on(async {
        for n in 0..STREAMS {
            let name = format!("counter-{n}");
            let (one, two) =
                (store.stream(&name).await.unwrap(), other.stream(&name).await.unwrap());
            let (one, two) = (one.unwrap(), two.unwrap());
            let state =
                |info: leftfold_api::StreamInfo| (info.version, info.retention, info.tombstoned);
            assert_eq!(state(one), state(two), "{name}");
        }
        let rules = other.retention_rules().await.unwrap();
        assert_eq!(store.retention_rules().await.unwrap(), rules);
        let (one, two) = (store.indexes().await.unwrap(), other.indexes().await.unwrap());
        let definitions = |all: Vec<leftfold_api::IndexInfo>| {
            all.into_iter().map(|info| (info.name, info.query)).collect::<Vec<_>>()
        };
        assert_eq!(definitions(one), definitions(two));
    });
}

#[test]
fn a_store_goes_from_one_log_to_many_partitions_and_back() {
    let one = partitioned(1, 1);
    fill(&one);
    let exported = lines(&one, Query::System);
    let many = partitioned(8, 2);
    let report = append(&many, &exported).unwrap();
    assert!(report.is_complete && !report.keeps_commit_times, "{report:?}");
    assert_eq!(report.digest, total(&exported).digest);
    assert_eq!((report.checkpoints, report.checkpoints_left_out), (2, 0));
    assert_eq!(report.definitions, 5);
    assert_eq!(report.holes, 3 + 5 + 5 + 3);
    assert_same(&many, &one);
    assert_eq!(unseen(&many, "reader-1"), unseen(&one, "reader-1"));
    assert!(!unseen(&one, "reader-1").is_empty());

    let back = lines(&many, Query::System);
    assert_eq!(total(&back).partitions, 8);
    let (store, report) = copy(&back);
    assert!(report.keeps_commit_times && report.is_complete, "{report:?}");
    assert_eq!(report.digest, total(&exported).digest);
    assert_same(&store, &one);
    assert_eq!(unseen(&store, "reader-2"), []);
    let refused = block_on(store.append(Append::new().event("counter-2", NewEvent::new("T", ""))));
    assert!(refused.unwrap_err().to_string().contains("tombstone"));
}

#[test]
fn a_reader_keeps_its_place_in_as_many_partitions_and_sees_none_too_few_in_others() {
    let many = partitioned(8, 3);
    append_round(&many, 0);
    let cursor = block_on(many.head()).unwrap();
    append_round(&many, 1);
    // The reader has seen the second round in half of the partitions.
    let head = block_on(many.head()).unwrap();
    let mixed = cursor.positions().iter().zip(head.positions()).enumerate();
    let mixed: Vec<_> = mixed.map(|(n, (old, new))| if n % 2 == 0 { *old } else { *new }).collect();
    let to = Cursor::at_all(head.origin(), &mixed).unwrap();
    let to = leftfold_api::CheckpointMove { name: "reader-1".to_owned(), expected: None, to };
    block_on(many.append(Append::new().checkpoint(to))).unwrap();
    let wanted = unseen(&many, "reader-1");
    assert!(!wanted.is_empty() && wanted.len() < STREAMS as usize);

    let exported = lines(&many, Query::System);
    let same = partitioned(8, 4);
    append(&same, &exported).unwrap();
    assert_eq!(unseen(&same, "reader-1"), wanted);
    for partitions in [1, 2, 5] {
        let other = partitioned(partitions, 5);
        append(&other, &exported).unwrap();
        let seen_again = unseen(&other, "reader-1");
        assert!(wanted.iter().all(|event| seen_again.contains(event)), "{partitions} partitions");
        assert!(seen_again.len() < 2 * STREAMS as usize, "{partitions} partitions");
    }
}

#[test]
fn an_import_that_was_interrupted_anywhere_goes_on_where_it_stopped() {
    let one = partitioned(1, 6);
    fill(&one);
    let exported = lines(&one, Query::System);
    for stop in (0..exported.len()).step_by(7) {
        let many = partitioned(8, 7);
        let mut import = AppendingImport::new(many.clone());
        feed(&mut import, &exported[..stop]).unwrap();
        drop(import);
        let report = append(&many, &exported).unwrap();
        assert_eq!(report.digest, total(&exported).digest, "stopped after {stop} lines");
        assert_same(&many, &one);
        let again = append(&many, &exported).unwrap();
        assert_eq!((again.imported, again.holes), (0, 0), "stopped after {stop} lines");
        assert_eq!(again.repeated, report.imported + report.repeated);
    }
}

#[test]
fn a_newer_export_adds_what_is_new_and_moves_readers_on() {
    let (one, many) = (partitioned(1, 8), partitioned(8, 9));
    fill(&one);
    append(&many, &lines(&one, Query::System)).unwrap();
    let event = NewEvent::new("Counted", "");
    block_on(one.append(Append::new().event("counter-9", event))).unwrap();
    move_to_head(&one, "reader-1");
    let report = append(&many, &lines(&one, Query::System)).unwrap();
    assert_eq!((report.imported, report.holes, report.checkpoints), (1, 0, 2));
    assert_same(&many, &one);
    assert_eq!(unseen(&many, "reader-1"), []);
}

#[test]
fn a_stream_with_other_events_is_refused() {
    let (one, many) = (partitioned(1, 10), partitioned(8, 11));
    append_round(&one, 0);
    append_round(&many, 0);
    let error = append(&many, &lines(&one, Query::System)).unwrap_err();
    assert_eq!(error.code(), "import_conflict");
}

#[test]
fn checkpoints_stay_away_from_a_store_with_other_events() {
    let (one, many) = (partitioned(1, 12), partitioned(8, 13));
    fill(&one);
    block_on(many.append(Append::new().event("own-1", NewEvent::new("Own", "")))).unwrap();
    let report = append(&many, &lines(&one, Query::System)).unwrap();
    assert_eq!((report.checkpoints, report.checkpoints_left_out), (0, 2));
    assert_eq!(block_on(many.checkpoint("reader-1")).unwrap(), None);
}

#[test]
fn what_the_store_does_not_return_and_what_was_changed_in_the_file_is_noticed() {
    let one = partitioned(1, 14);
    (0..3).for_each(|round| append_round(&one, round));
    let exported = lines(&one, Query::System);
    let hiding = partitioned(8, 15);
    let newest = Retention { max_count: Some(1), ..Retention::default() };
    block_on(hiding.set_retention("counter-5", newest)).unwrap();
    let error = append(&hiding, &exported).unwrap_err();
    assert_eq!(error.code(), "import_differs");

    let mut changed = exported;
    let Line::Event(event) = &mut changed[0] else { panic!("the first line is an event") };
    event.event.data = "{}".into();
    assert_eq!(append(&partitioned(8, 16), &changed).unwrap_err().code(), "import_invalid");
}

#[test]
fn placeholders_take_versions_and_no_subscription_shows_them() {
    let store = partitioned(8, 17);
    block_on(async {
        let mut live = store.subscribe(Subscribe::to(Query::stream("counter-1"))).await.unwrap();
        live.next().await.unwrap();
        let placeholder = NewEvent::placeholder(uuid::Uuid::from_u128(1));
        let append = |event: NewEvent| Append::new().event("counter-1", event);
        let first = store.append(append(placeholder.clone())).await.unwrap();
        assert!(store.append(append(placeholder)).await.unwrap().repeated);
        let second = store.append(append(NewEvent::new("T", ""))).await.unwrap();
        assert_eq!((first.streams[0].last, second.streams[0].first), (0, 1));
        let next = live.next().await.unwrap();
        assert!(matches!(&next, Delivery::Event(event, _) if event.version() == 1), "{next:?}");
        let with_data = NewEvent { data: "x".into(), ..NewEvent::placeholder(uuid::Uuid::nil()) };
        assert_eq!(store.append(append(with_data)).await.unwrap_err().code(), "name_reserved");
    });
    assert_eq!(shown_after(&store, Cursor::START), [("counter-1".to_owned(), 1)]);
}
