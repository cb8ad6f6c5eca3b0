//! Errors of a broken store, which the conformance suite can't provoke.

use std::task::Poll;

use crate::faults::support::{append, drive, manual, open, poll, settle, small};
use leftfold_api::{Append, CheckpointMove, Coded, EventStore, Expected, Query, Read, ReadError};
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_store::{Embedded, Options};

fn check(error: impl Coded, code: &str, words: &str) {
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

fn filled(disk: &FakeDisk) -> Embedded {
    let store = open(disk, small()).unwrap();
    for n in 0..50 {
        store.blocking().append(append("a-1", Expected::Any, n)).unwrap();
    }
    store
}

#[test]
fn a_store_can_be_open_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::open(dir.path(), Options::default()).unwrap();
    let second = Embedded::open(dir.path(), Options::default()).err().unwrap();
    assert!(second.can_retry());
    check(second, "store_locked", "is open in another process; close that one first");
    first.close();
    Embedded::open(dir.path(), Options::default()).unwrap();
}

#[test]
fn opening_a_missing_store_for_reading_does_not_create_it() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Embedded::open_existing(dir.path(), Options::default()).err().unwrap();
    check(missing, "store_missing", "there is no store in");
    let nowhere = dir.path().join("nowhere");
    let missing = Embedded::open_existing(&nowhere, Options::default()).err().unwrap();
    check(missing, "store_missing", "nowhere; check the path");
    assert!(!nowhere.exists());
}

#[test]
fn a_damaged_header_or_manifest_is_named() {
    for (file, words) in [("STORE", "STORE can't be used"), ("MANIFEST", "MANIFEST can't be used")]
    {
        let disk = FakeDisk::new();
        drop(filled(&disk));
        disk.rot(file, 9, 1);
        check(open(&disk, small()).err().unwrap(), "store_unusable", words);
    }
    let disk = FakeDisk::new();
    drop(filled(&disk));
    leftfold_io::Disk::remove(&disk, "MANIFEST").unwrap();
    check(open(&disk, small()).err().unwrap(), "store_unusable", "it is missing, yet there are");
    leftfold_io::Disk::remove(&disk, "STORE").unwrap();
    check(open(&disk, small()).err().unwrap(), "store_unusable", "it is missing, yet there are");
}

#[test]
fn damaged_events_and_postings_are_never_served() {
    let disk = FakeDisk::new();
    filled(&disk).close();
    let open_segment = disk.names().into_iter().rfind(|name| name.ends_with(".seg")).unwrap();
    let rotten = disk.after(Crash::Keeps);
    rotten.rot(&open_segment, 200, 1);
    check(open(&rotten, small()).err().unwrap(), "data_damaged", "nothing was changed");

    settle(&disk, small());
    disk.rot("log/0000000000000001.1.seg", 200, 1);
    let store = open(&disk, small()).unwrap();
    let error = store.blocking().read(Read::forward(Query::All)).unwrap_err();
    check(error, "data_damaged", "is damaged at offset");
    let verified = store.verify(|_, _| ());
    assert!(
        verified.problem_count > 0
            && verified.problems[0].message.contains("000001.1.seg is damaged")
    );

    let disk = FakeDisk::new();
    filled(&disk).close();
    settle(&disk, small());
    let index = &*disk.names().into_iter().find(|name| name.ends_with(".idx")).unwrap();
    let store = open(&disk, Options { index_cache_bytes: 0, ..small() }).unwrap();
    for offset in (4_100..20_000).step_by(50) {
        disk.rot(index, offset, 1);
    }
    let error = store.blocking().read(Read::forward(Query::tag("n", "3"))).unwrap_err();
    check(error, "index_damaged", &format!("{index} is damaged at offset"));
    assert!(store.verify(|_, _| ()).problem_count > 0);
    drop(store);
    match open(&disk, small()) {
        Err(error) => check(error, "index_damaged", "delete the file and open the store again"),
        Ok(store) => drop(store),
    }
    leftfold_io::Disk::remove(&disk, index).unwrap();
    let store = open(&disk, small()).unwrap();
    assert_eq!(store.blocking().read(Read::forward(Query::tag("n", "3"))).unwrap().events.len(), 1);
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads_until_there_is_space() {
    let disk = FakeDisk::new();
    filled(&disk).close();
    settle(&disk, small());
    // No maintenance runs from here on, which would free or take space at any time.
    let (store, mut writer) = manual(&disk, small()).unwrap();
    disk.set_capacity(Some(disk.used()));
    let large = || {
        let event = leftfold_api::NewEvent::new("L", vec![1; 9_000]);
        Append::new().event("a-1", event.id(uuid::Uuid::from_u128(1_000)))
    };
    let refused = drive(&mut writer, store.append(large())).unwrap_err();
    check(refused, "disk_full", "free space, and appends go on by themselves");
    let next = drive(&mut writer, store.append(append("a-1", Expected::Any, 77))).unwrap_err();
    assert_eq!(next.code(), "disk_full");
    assert_eq!(store.failure().map(|failure| failure.code()), Some("disk_full"));
    let page = store.blocking().read(Read::forward(Query::stream("a-1"))).unwrap();
    assert_eq!(page.events.len(), 50);
    disk.set_capacity(None);
    let stored = drive(&mut writer, store.append(large())).unwrap();
    assert!(store.failure().is_none());
    let appended = append("a-1", Expected::Exactly(stored.streams[0].last), 77);
    let appended = drive(&mut writer, store.append(appended)).unwrap();
    assert_eq!(appended.streams[0].first, 51);
    let page = store.blocking().read(Read::forward(Query::stream("a-1"))).unwrap();
    assert_eq!(page.events.len(), 52);
}

#[test]
fn on_a_full_disk_no_call_waits_for_space() {
    let disk = FakeDisk::new();
    let (store, mut writer) = manual(&disk, small()).unwrap();
    drive(&mut writer, store.append(append("a-1", Expected::Any, 1))).unwrap();
    disk.set_capacity(Some(disk.used()));
    // Of one batch: the second is refused because of the first, which is not stored either.
    let large = leftfold_api::NewEvent::new("L", vec![1; 9_000]);
    let large = Append::new().event("b-1", large).expect("b-1", Expected::NoStream);
    let mut first = Box::pin(store.append(large));
    let mut second = Box::pin(store.append(append("b-1", Expected::NoStream, 2)));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    writer.write();
    for waiting in [&mut first, &mut second] {
        match poll(waiting) {
            Poll::Ready(Err(error)) => assert_eq!(error.code(), "disk_full"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_store_with_threads_goes_on_after_a_full_disk() {
    let disk = FakeDisk::new();
    let store = filled(&disk);
    store.settle().unwrap();
    disk.set_capacity(Some(disk.used()));
    let put = |n: u128, bytes: usize| {
        let event = leftfold_api::NewEvent::new("L", vec![1; bytes]).id(uuid::Uuid::from_u128(n));
        store.blocking().append(Append::new().event("b-1", event))
    };
    let mut refused = 0;
    for n in 1_000..1_020 {
        refused += usize::from(put(n, 9_000).is_err());
    }
    assert!(refused > 0);
    disk.set_capacity(None);
    // Each is sent again, as a client would. The jobs of the segments that were closed meanwhile go on too.
    for n in 1_000..1_020 {
        put(n, 9_000).unwrap();
    }
    let page = store.blocking().read(Read::forward(Query::stream("b-1"))).unwrap();
    assert_eq!(page.events.len(), 20);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while store.seal().is_err() {
        assert!(std::time::Instant::now() < until, "jobs are done again once there is space");
        std::thread::yield_now();
    }
    assert!(store.failure().is_none());
    assert!(store.stat().unwrap().maintenance_failure.is_none());
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
}

#[test]
fn a_failed_sync_stops_all_writing() {
    let disk = FakeDisk::new();
    let (store, mut manual) = manual(&disk, Options::default()).unwrap();
    disk.fail_syncs(1);
    let error = drive(&mut manual, store.append(append("a", Expected::Any, 1))).unwrap_err();
    check(error, "write_failed", "may or may not be found after reopening");
    let error = drive(&mut manual, store.append(append("a", Expected::Any, 2))).unwrap_err();
    check(error, "write_failed", "syncing the log");
    manual.close();
    let error = pollster::block_on(store.append(append("a", Expected::Any, 2))).unwrap_err();
    check(error, "store_closed", "the store is closed");
}

#[test]
fn a_failed_write_of_an_index_file_is_reported() {
    let disk = FakeDisk::new();
    let (store, mut manual) = manual(&disk, small()).unwrap();
    drive(&mut manual, store.append(append("a", Expected::Any, 1))).unwrap();
    let mut defining =
        Box::pin(store.define_index(leftfold_api::IndexDefinition::new("i", Query::category("a"))));
    assert!(poll(&mut defining).is_pending());
    manual.write();
    disk.fail_writes(1);
    manual.maintain();
    let Poll::Ready(outcome) = poll(&mut defining) else { unreachable!("it has been tried") };
    check(outcome.unwrap_err(), "disk_failed", "writing an index file");
    assert!(store.stat().unwrap().maintenance_failure.is_some());
    let read = store.blocking().read(Read::forward(Query::index("i"))).unwrap_err();
    check(read, "index_building", "writing an index file: this write fails");
}

#[test]
fn an_append_that_is_always_overtaken_fails_as_busy() {
    let disk = FakeDisk::new();
    let (store, mut manual) = manual(&disk, Options::default()).unwrap();
    let a = drive(&mut manual, store.append(append("a", Expected::Any, 1))).unwrap().cursor;
    let b = drive(&mut manual, store.append(append("a", Expected::Any, 2))).unwrap().cursor;
    let to = |expected, to| {
        Append::new().checkpoint(CheckpointMove { name: "c".to_owned(), expected, to })
    };
    drive(&mut manual, store.append(to(None, a.clone()))).unwrap();
    // The checkpoint is at `a` at each check, and at `b` at each admission.
    let mut overtaken = Box::pin(store.append(to(Some(a.clone()), b.clone())));
    for _ in 0..100 {
        let mut away = Box::pin(store.append(to(Some(a.clone()), b.clone())));
        assert!(poll(&mut away).is_pending());
        match poll(&mut overtaken) {
            Poll::Pending => {}
            Poll::Ready(outcome) => {
                let error = outcome.unwrap_err();
                assert!(error.can_retry());
                return check(error, "store_busy", "overtaken 64 times");
            }
        }
        manual.write();
        assert!(matches!(poll(&mut away), Poll::Ready(Ok(_))));
        drive_only(&mut manual, &store, to(Some(b.clone()), a.clone()));
    }
    unreachable!("the append was tried a hundred times");
}

/// Appends, and polls no other append.
fn drive_only(manual: &mut leftfold_store::Manual, store: &Embedded, append: Append) {
    drive(manual, store.append(append)).unwrap();
}

#[test]
fn checkpoints_and_indexes_are_counted() {
    let disk = FakeDisk::new();
    let mut options = small();
    options.limits.checkpoints = 2;
    options.limits.indexes = 1;
    let store = open(&disk, options).unwrap();
    let to = store.blocking().append(append("a", Expected::Any, 1)).unwrap().cursor;
    let checkpoint = |name: &str, expected| {
        Append::new().checkpoint(CheckpointMove { name: name.to_owned(), expected, to: to.clone() })
    };
    store.blocking().append(checkpoint("one", None)).unwrap();
    store.blocking().append(checkpoint("two", None)).unwrap();
    let error = store.blocking().append(checkpoint("three", None)).unwrap_err();
    check(error, "too_many_checkpoints", "at most 2 are allowed");
    store.blocking().append(checkpoint("two", Some(to.clone()))).unwrap();
    store.blocking().define_index(leftfold_api::IndexDefinition::new("i", Query::All)).unwrap();
    let error = store
        .blocking()
        .define_index(leftfold_api::IndexDefinition::new("j", Query::All))
        .unwrap_err();
    check(error, "too_many_indexes", "at most 1 are allowed");
}

#[test]
fn verify_finds_nothing_wrong_with_long_lists_in_sealed_and_merged_files() {
    let disk = FakeDisk::new();
    let options = || {
        let mut options = small();
        options.log.segment_bytes = 200_000;
        options
    };
    let store = open(&disk, options()).unwrap();
    for n in 0..80 {
        let events = (n * 100..(n + 1) * 100).map(|n| ("a", crate::faults::support::event(n)));
        let append =
            events.fold(Append::new(), |append, (stream, event)| append.event(stream, event));
        store.blocking().append(append).unwrap();
    }
    store.seal().unwrap();
    assert!(store.stat().unwrap().index_files < store.stat().unwrap().sealed);
    let verified = store.verify(|_, _| ());
    assert_eq!((verified.problem_count, verified.events), (0, 8_000), "{:?}", verified.problems);
}

#[test]
fn without_descriptors_reads_say_retry_and_go_on_when_there_are_some() {
    let disk = FakeDisk::new();
    filled(&disk).close();
    settle(&disk, small());
    let (store, mut writer) = manual(&disk, small()).unwrap();
    disk.refuse_opens(Some(""));
    for _ in 0..3 {
        let error = store.blocking().read(Read::forward(Query::stream("a-1"))).unwrap_err();
        assert!(error.can_retry());
        check(error, "descriptors_exhausted", "no file descriptor is left");
    }
    assert!(store.failure().is_none(), "the store itself has not failed");
    // What the open segment has room for is appended.
    drive(&mut writer, store.append(append("b-1", Expected::NoStream, 77))).unwrap();
    disk.refuse_opens(None);
    let page = store.blocking().read(Read::forward(Query::stream("a-1"))).unwrap();
    assert_eq!(page.events.len(), 50);
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
}

#[test]
fn without_descriptors_appends_say_retry_and_nothing_of_them_is_written() {
    let disk = FakeDisk::new();
    let store = open(&disk, small()).unwrap();
    disk.refuse_opens(Some(""));
    let mut written = 0;
    let refused = loop {
        match store.blocking().append(append("a-1", Expected::Any, written)) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.can_retry());
    check(refused, "descriptors_exhausted", "nothing of the append was written");
    assert_eq!(store.failure().map(|failure| failure.code()), Some("descriptors_exhausted"));
    disk.refuse_opens(None);
    // The writer tries again with the next append, and by itself.
    let appended = store.blocking().append(append("a-1", Expected::Any, written)).unwrap();
    assert_eq!(u128::from(appended.streams[0].first), written);
    assert!(store.failure().is_none());
}

#[test]
fn maintenance_without_descriptors_is_done_again() {
    let disk = FakeDisk::new();
    let store = open(&disk, small()).unwrap();
    disk.refuse_opens(Some(".idx"));
    for n in 0..50 {
        store.blocking().append(append("a-1", Expected::Any, n)).unwrap();
    }
    let waits = store.settle().unwrap_err();
    check(ReadError::from(waits), "descriptors_exhausted", "writing an index file");
    disk.refuse_opens(None);
    // It waits for a second before it is done again, and says so until then.
    let began = std::time::Instant::now();
    while let Err(waits) = store.settle() {
        assert_eq!(waits.code(), "descriptors_exhausted");
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{waits}");
        std::thread::yield_now();
    }
    assert!(disk.names().iter().any(|name| name.ends_with(".idx")));
    let page = store.blocking().read(Read::forward(Query::tag("n", "3"))).unwrap();
    assert_eq!(page.events.len(), 1);
}
