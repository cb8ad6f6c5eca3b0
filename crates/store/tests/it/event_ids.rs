//! An index file keeps fingerprints of event ids, so the store compares each candidate in the log.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Appended, Coded, EventStore, Expected, NewEvent, Query, Read,
};
use leftfold_index::{Fingerprint, Key, KeyHasher, Kind};
use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_io::{Disk, OpenMode};
use leftfold_store::{Compression, Embedded, Manual, Options};
use uuid::Uuid;
use zerocopy::IntoBytes;

use crate::repair::support::drive;

const STREAM: &str = "a-1";

fn open(disk: &FakeDisk) -> (Embedded, Manual) {
    let mut options = Options { compression: Compression::Fast, ..Options::default() };
    options.log.segment_bytes = 4_000;
    options.log.preallocate = 4_096;
    let random = Arc::new(SeededRandom::new(1));
    Embedded::open_manual(Arc::new(disk.clone()), Arc::new(ManualClock::at(1)), random, options)
        .unwrap()
}

/// Returns two ids whose keys have the same fingerprint in the stream of a store.
fn colliding_ids(disk: &FakeDisk) -> [Uuid; 2] {
    let store = disk.bytes("STORE").unwrap();
    let hasher = KeyHasher::new(store[64..80].first_chunk().unwrap());
    let stream = hasher.key(Kind(1), &[STREAM.as_bytes()]);
    let key = |n: u128| -> Key {
        hasher.key(Kind(7), &[stream.as_bytes(), Uuid::from_u128(n).as_bytes()])
    };
    // Among four million ids there are about eight pairs.
    let mut all: Vec<_> = (0..1 << 22).map(|n| (Fingerprint::of(&key(n)), n)).collect();
    all.sort_unstable();
    let pair = all.array_windows().find(|[a, b]| a.0 == b.0).unwrap();
    pair.map(|(_, n)| Uuid::from_u128(n))
}

fn put(
    (store, manual): &mut (Embedded, Manual),
    id: Uuid,
    data: &'static str,
) -> Result<Appended, AppendError> {
    let event = NewEvent::new("Put", data).id(id);
    drive(manual, store.append(Append::new().event(STREAM, event)))
}

/// Fills segments, and seals, compresses and merges all that can be.
fn seal((store, manual): &mut (Embedded, Manual), segments: u32) {
    for n in 0..segments {
        let filler = NewEvent::new("Filler", "x".repeat(100));
        drive(manual, store.append(Append::new().event(format!("b-{n}"), filler))).unwrap();
        manual.close_segment();
    }
    while manual.maintain() {}
}

fn restart(disk: &FakeDisk, (store, manual): (Embedded, Manual)) -> (FakeDisk, (Embedded, Manual)) {
    manual.close();
    drop(store);
    let disk = disk.after(Crash::Forgets);
    let opened = open(&disk);
    (disk, opened)
}

fn check_both_are_repeats(opened: &mut (Embedded, Manual), [one, other]: [Uuid; 2]) {
    let first = put(opened, one, "same").unwrap();
    let second = put(opened, other, "same").unwrap();
    assert!(first.repeated && second.repeated);
    assert_eq!((first.streams[0].first, second.streams[0].first), (0, 1));
    assert_eq!(put(opened, other, "else").unwrap_err().code(), "event_id_reused");
    let (store, _) = opened;
    let page = store.blocking().read(Read::forward(Query::stream(STREAM))).unwrap();
    let ids: Vec<_> = page.events.iter().map(|event| event.id()).collect();
    assert!(ids.is_empty() || ids == [one, other], "{ids:?}");
    let verified = store.verify(|_, _| ());
    assert_eq!(verified.problem_count, 0, "{:?}", verified.problems);
}

/// The events are equal but for their ids, so a wrong repeat would lose the second one. It is appended when the first one is in the open segment, in a sealed one, or in a merged file.
#[test]
fn ids_with_one_fingerprint_are_different_events() {
    for segments_between in [0, 1, 12] {
        let disk = FakeDisk::new();
        let mut opened = open(&disk);
        let ids = colliding_ids(&disk);
        assert!(!put(&mut opened, ids[0], "same").unwrap().repeated);
        seal(&mut opened, segments_between);
        assert!(!put(&mut opened, ids[1], "same").unwrap().repeated, "{segments_between}");
        check_both_are_repeats(&mut opened, ids);
        // Both are in one index file, then in a merged one.
        for segments in [1, 12, 80] {
            seal(&mut opened, segments);
            check_both_are_repeats(&mut opened, ids);
        }
        let (disk, mut opened) = restart(&disk, opened);
        check_both_are_repeats(&mut opened, ids);
        drive(&mut opened.1, opened.0.delete_stream(STREAM, Expected::Any)).unwrap();
        seal(&mut opened, 1);
        assert!(opened.0.scavenge(|_, _| ()).unwrap().events > 0);
        check_both_are_repeats(&mut opened, ids);
        let (_, mut opened) = restart(&disk, opened);
        check_both_are_repeats(&mut opened, ids);
    }
}

/// One look-up in a thousand finds a candidate if there are 2^30 ids; all others need no event.
#[test]
fn a_new_id_reads_nothing_of_the_log() {
    let disk = FakeDisk::new();
    let mut opened = open(&disk);
    (0..200).for_each(|n| _ = put(&mut opened, Uuid::from_u128(n), "old").unwrap());
    seal(&mut opened, 1);
    let (disk, mut opened) = restart(&disk, opened);
    put(&mut opened, Uuid::from_u128(1000), "new").unwrap();
    let before = disk.counts().reads;
    (1001..1010).for_each(|n| _ = put(&mut opened, Uuid::from_u128(n), "new").unwrap());
    assert_eq!(disk.counts().reads - before, 0);
    assert!(put(&mut opened, Uuid::from_u128(7), "old").unwrap().repeated);
    assert!(disk.counts().reads > before, "a repeat is compared with the event in the log");
}

/// A store of an earlier release, with merged index files of version 2.
const GENERATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/generations");

/// Returns a disk with the files of a directory.
fn copied(from: &str) -> FakeDisk {
    let disk = FakeDisk::new();
    for dir in ["", "log", "index"] {
        if !dir.is_empty() {
            disk.create_dir(dir).unwrap();
        }
        for entry in std::fs::read_dir(Path::new(from).join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(from).unwrap().to_str().unwrap();
                let file = disk.open(name, OpenMode::Create).unwrap();
                file.write_at(&std::fs::read(&path).unwrap(), 0).unwrap();
                file.sync().unwrap();
            }
        }
        disk.sync_dir(dir).unwrap();
    }
    disk
}

/// Index files of version 2 have whole keys of ids. They are merged into files with fingerprints.
#[test]
fn ids_of_an_earlier_release_are_found_after_their_index_files_were_merged() {
    let disk = copied(GENERATIONS);
    let versions = || {
        let names = disk.names().into_iter().filter(|name| name.ends_with(".idx"));
        names.map(|name| disk.bytes(&name).unwrap()[8]).collect::<Vec<_>>()
    };
    assert!(versions().iter().all(|version| *version == 2));
    let mut opened = open(&disk);
    let check_ids = |(store, manual): &mut (Embedded, Manual)| {
        // One stream had got a tombstone after sixty events.
        for n in (0..180u128).filter(|n| *n < 60 || n % 7 != 3) {
            let other = NewEvent::new("Other", "").id(Uuid::from_u128(n + 1));
            let append = Append::new().event(format!("order-{}", n % 7), other);
            let refused = drive(manual, store.append(append)).unwrap_err();
            assert_eq!(refused.code(), "event_id_reused", "{n}");
        }
        let verified = store.verify(|_, _| ());
        assert_eq!(verified.problem_count, 0, "{:?}", verified.problems);
    };
    check_ids(&mut opened);
    while !(versions().contains(&2) && versions().contains(&3)) {
        assert!(opened.1.maintain(), "some are merged, and others not yet");
    }
    check_ids(&mut opened);
    seal(&mut opened, 80);
    assert!(!versions().contains(&2));
    check_ids(&mut opened);
    let (_, mut opened) = restart(&disk, opened);
    check_ids(&mut opened);
}

/// An older release would take the index files for damaged ones.
#[test]
fn a_store_with_fingerprints_is_refused_by_earlier_releases() {
    let disk = FakeDisk::new();
    let mut opened = open(&disk);
    let feature = || disk.bytes("STORE").unwrap()[24] & 4;
    put(&mut opened, Uuid::from_u128(1), "one").unwrap();
    assert_eq!(feature(), 0);
    seal(&mut opened, 1);
    assert_eq!(feature(), 4);
}
