use leftfold_api::{
    Append, AppendError, CheckpointMove, Coded, Conflict, Cursor, EventStore, Expected, NewEvent,
    Query, Read, Retention, RetentionRule,
};
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_store::{Compression, Manual, RepairMode};

use super::support::{bytes, drive, event, filled, open, repair};

/// The kept index file lists the type and the tag of a lost event, so conditions on them conflict.
#[test]
fn conditions_that_a_lost_event_matched_still_conflict() {
    let (disk, truth) = filled(Compression::Off);
    let name = disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    disk.rot(&name, 250, 1);
    let report = repair(&disk, RepairMode::Quarantine).unwrap();
    let [lost] = &report.lost[..] else { panic!("{report:?}") };
    let (store, mut manual) = open(&disk, Compression::Off).unwrap();
    let position = lost.position;
    let line = &truth[&position].2;
    let kind = line.split("type: \"").nth(1).unwrap().split('"').next().unwrap();
    let guarded = |query: Query| {
        Append::new().event("new-1", NewEvent::new("New", "")).none_after(query, Cursor::START)
    };
    let number: u64 = kind[1..].parse().unwrap();
    let tag = format!("tag:n={} type:{kind}", number % 5).parse().unwrap();
    let scanned = format!("not type:T* not category:$lost,new,{}", "x").parse().unwrap();
    for query in [Query::event_type(kind), tag, scanned] {
        let answer = drive(&mut manual, store.append(guarded(query.clone())));
        match answer {
            Err(AppendError::Conflict(Conflict::Query { position: found, .. })) => {
                assert_eq!(found, position, "{query}");
            }
            other => panic!("{query}: {other:?}"),
        }
        assert!(store.blocking().read(Read::forward(query)).unwrap().events.is_empty());
    }
    drive(&mut manual, store.append(guarded(Query::event_type("Other")))).unwrap();
}

/// The kept index file has the fingerprint of the id of a lost event, whose content nobody can compare.
#[test]
fn the_id_of_a_lost_event_is_still_taken() {
    let disk = FakeDisk::new();
    let (store, mut manual) = open(&disk, Compression::Off).unwrap();
    let with_id = |stream: &str, n: u64| {
        Append::new().event(stream, event(n).id(uuid::Uuid::from_u128(u128::from(n))))
    };
    for n in 1..60 {
        drive(&mut manual, store.append(with_id("s-1", n))).unwrap();
    }
    while manual.maintain() {}
    manual.close();
    drop(store);
    let name = disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    disk.rot(&name, 250, 1);
    let report = repair(&disk, RepairMode::Quarantine).unwrap();
    let [lost] = &report.lost[..] else { panic!("{report:?}") };
    let (store, mut manual) = open(&disk, Compression::Off).unwrap();
    let again = drive(&mut manual, store.append(with_id("s-1", lost.position)));
    assert_eq!(again.unwrap_err().code(), "event_id_reused");
    assert!(drive(&mut manual, store.append(with_id("s-1", lost.position + 1))).unwrap().repeated);
    assert!(!drive(&mut manual, store.append(with_id("s-2", lost.position))).unwrap().repeated);
    assert!(!drive(&mut manual, store.append(with_id("s-1", 1000))).unwrap().repeated);
}

#[test]
fn a_repaired_store_is_a_new_incarnation_with_a_new_backup_directory() {
    let (disk, _) = filled(Compression::Fast);
    let (store, manual) = open(&disk, Compression::Fast).unwrap();
    let target = FakeDisk::new();
    store.backup_on(&target, |_, _| ()).unwrap();
    manual.close();
    drop(store);
    let before = bytes(&target);
    let name = disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let original = disk.bytes(&name).unwrap();
    disk.rot(&name, 250, 1);
    let report = repair(&disk, RepairMode::Quarantine).unwrap();
    let mut expected = original;
    expected[250] ^= 1;
    let aside = report.quarantined.iter().filter(|aside| aside.ends_with(&name.replace('/', ".")));
    let aside: Vec<_> = aside.map(|aside| disk.bytes(aside).unwrap()).collect();
    assert_eq!((&report.damaged[0].file, aside), (&name, vec![expected]), "the whole file");
    let (store, _manual) = open(&disk.after(Crash::Forgets), Compression::Fast).unwrap();
    let refused = store.backup_on(&target, |_, _| ()).unwrap_err();
    assert_eq!(refused.code(), "backup_foreign");
    assert_eq!(bytes(&target), before, "the backup before the repair is unchanged");
}

/// Nothing is lost but one event in the middle: whoever kept a cursor goes on.
#[test]
fn a_repair_keeps_the_cursors_of_what_is_still_there() {
    let (disk, _) = filled(Compression::Off);
    let (store, manual) = open(&disk, Compression::Off).unwrap();
    let head = store.blocking().head();
    manual.close();
    drop(store);
    let name = disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    disk.rot(&name, 250, 1);
    assert!(!repair(&disk, RepairMode::Quarantine).unwrap().lost.is_empty());
    let (store, mut manual) = open(&disk, Compression::Off).unwrap();
    let append = Append::new().event("new-1", NewEvent::new("New", ""));
    drive(&mut manual, store.append(append)).unwrap();
    let page = store.blocking().read(Read::forward(Query::All).after(head.clone())).unwrap();
    assert_eq!(page.events.len(), 1);
    assert_ne!(page.cursor.origin(), head.origin());
}

/// The repair cuts off the end of the log, and the store grows beyond it.
#[test]
fn a_repair_refuses_the_cursors_of_what_it_cut_off() {
    let (disk, _) = filled(Compression::Off);
    let (store, manual) = open(&disk, Compression::Off).unwrap();
    let before = store.blocking().head();
    manual.close();
    drop(store);
    let last = disk.names().into_iter().rfind(|name| name.ends_with(".seg")).unwrap();
    let length = disk.bytes(&last).unwrap().len() as u64;
    let mut refused = 0;
    for at in (0..length).step_by(31) {
        let copy = disk.after(Crash::Keeps);
        for byte in at..length {
            copy.rot(&last, byte, 0xff);
        }
        let report = repair(&copy, RepairMode::Quarantine).unwrap();
        if report.damaged.is_empty() {
            // A torn end, as after a power cut: there was nothing to repair.
            continue;
        }
        let Ok((store, mut manual)) = open(&copy, Compression::Off) else { continue };
        let head = store.blocking().head();
        while store.blocking().head().position() <= before.position() {
            let append = Append::new().event("new-1", NewEvent::new("New", ""));
            drive(&mut manual, store.append(append)).unwrap();
        }
        let read = store.blocking().read(Read::forward(Query::All).after(before.clone()));
        if head.position() < before.position() {
            refused += 1;
            assert_eq!(read.unwrap_err().code(), "cursor_of_lost_history", "cut at {at}");
        } else {
            read.unwrap();
        }
    }
    assert!(refused > 0);
}

/// Damages definitions, retention settings and checkpoint moves, which can be lost like any event.
#[test]
fn a_store_that_has_lost_system_events_opens_and_verifies() {
    let disk = FakeDisk::new();
    let (store, mut manual) = open(&disk, Compression::Fast).unwrap();
    let mut checkpoint = None;
    for n in 0..12u64 {
        let to = store.blocking().head();
        let name = "reader".to_owned();
        let moved = CheckpointMove { name, expected: checkpoint, to: to.clone() };
        let append = Append::new().event(format!("s-{}", n % 3), event(n)).checkpoint(moved);
        checkpoint = Some(to);
        drive(&mut manual, store.append(append)).unwrap();
        let retention = Retention::default().max_count(9);
        match n {
            2 => drive_with_maintenance(
                &mut manual,
                store.define_index(leftfold_api::IndexDefinition::new("odd", Query::tag("n", "1"))),
            ),
            4 => drive(&mut manual, store.set_retention("s-1", retention)),
            _ => Ok(()),
        }
        .unwrap();
    }
    let retention = Retention::default().max_count(9);
    let (name, query) = ("r".to_owned(), Query::category("s"));
    drive(&mut manual, store.set_retention_rule(RetentionRule { name, query, retention })).unwrap();
    drive(&mut manual, store.tombstone_stream("s-0", Expected::Any)).unwrap();
    manual.close();
    drop(store);
    let mut uncertain = 0;
    for settled in [false, true] {
        if settled {
            let (_store, mut manual) = open(&disk, Compression::Fast).unwrap();
            while manual.maintain() {}
        }
        let segments: Vec<_> = disk.names().into_iter().filter(|n| n.ends_with(".seg")).collect();
        for name in &segments {
            for at in (64..disk.bytes(name).unwrap().len() as u64).step_by(37) {
                let copy = disk.after(Crash::Keeps);
                copy.rot(name, at, 1);
                let report = repair(&copy, RepairMode::Quarantine).unwrap();
                uncertain += u64::from(report.checkpoints_uncertain);
                let (store, mut manual) = open(&copy, Compression::Fast).unwrap();
                while manual.maintain() {}
                let verified = store.verify(|_, _| ());
                assert_eq!(verified.problem_count, 0, "{name} at {at}: {:?}", verified.problems);
                for stream in ["s-0", "s-1", "s-2"] {
                    let append = Append::new().event(stream, event(1));
                    if let Err(error) = drive(&mut manual, store.append(append)) {
                        assert_eq!(error.code(), "stream_tombstoned", "{name} at {at}");
                    }
                }
            }
        }
    }
    assert!(uncertain > 20, "{uncertain}");
}

fn drive_with_maintenance<T>(manual: &mut Manual, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(ready) = future.as_mut().poll(&mut context) {
            return ready;
        }
        manual.write();
        manual.maintain();
    }
}
