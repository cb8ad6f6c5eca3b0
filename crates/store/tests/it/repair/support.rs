//! Helpers: a store on a fake disk, its events before the damage, and checks of its repair.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use leftfold_api::{Append, EventStore, Expected, NewEvent, Query, Read};
use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{
    Compression, Embedded, Manual, OpenError, Options, RepairMode, RepairReport, repair_on,
};

/// The events of a store: by position, the stream, the version, and the event as a line.
pub(crate) type Truth = BTreeMap<u64, (String, u64, String)>;

pub(crate) fn open(
    disk: &FakeDisk,
    compression: Compression,
) -> Result<(Embedded, Manual), OpenError> {
    let mut options = Options { compression, ..Options::default() };
    options.log.segment_bytes = 2_500;
    options.log.preallocate = 512;
    let random = Arc::new(SeededRandom::new(1));
    Embedded::open_manual(Arc::new(disk.clone()), Arc::new(ManualClock::at(1)), random, options)
}

pub(crate) fn drive<T>(manual: &mut Manual, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return ready;
        }
        manual.write();
    }
}

pub(crate) fn event(n: u64) -> NewEvent {
    let data = format!("payload of {n} ").repeat(1 + n as usize % 9);
    NewEvent::new(format!("T{n}"), data).tag("n", (n % 5).to_string())
}

/// Returns a store with sealed segments, two closed ones and an open one, after appends of one and of three
/// events.
pub(crate) fn filled(compression: Compression) -> (FakeDisk, Truth) {
    let disk = FakeDisk::new();
    let (store, mut manual) = open(&disk, compression).unwrap();
    for n in 0..48u64 {
        let events = if n % 4 == 0 { 0..3 } else { 0..1 };
        let append = events.fold(Append::new(), |append, i| {
            let n = 3 * n + i;
            append.event(format!("s-{}", n % 7), event(n))
        });
        drive(&mut manual, store.append(append)).unwrap();
        if n == 30 {
            while manual.maintain() {}
        }
    }
    let truth = read(&store);
    manual.close();
    drop(store);
    (disk.after(Crash::Forgets), truth)
}

pub(crate) fn read(store: &Embedded) -> Truth {
    let (mut truth, mut read) = (Truth::new(), Read::forward(Query::All));
    loop {
        let page = store.blocking().read(read).unwrap();
        for event in &page.events {
            let line = format!("{event:?} {:?}", event.data());
            truth.insert(event.position(), (event.stream().to_owned(), event.version(), line));
        }
        if !page.more {
            return truth;
        }
        read = Read::forward(Query::All).after(page.cursor);
    }
}

pub(crate) fn repair(disk: &FakeDisk, mode: RepairMode) -> Result<RepairReport, OpenError> {
    repair_on(Arc::new(disk.clone()), &SeededRandom::new(3), mode, |done, total| {
        assert!(done <= total);
    })
}

/// Returns the bytes of all files.
pub(crate) fn bytes(disk: &FakeDisk) -> BTreeMap<String, Vec<u8>> {
    disk.names().into_iter().map(|name| (name.clone(), disk.bytes(&name).unwrap())).collect()
}

/// Returns the bytes of all files of a store, without what repairs have put aside.
pub(crate) fn store_bytes(disk: &FakeDisk) -> BTreeMap<String, Vec<u8>> {
    let mut files = bytes(disk);
    files.retain(|name, _| !name.starts_with("quarantine/"));
    files
}

/// Checks that a report changes nothing, that quarantine reports the same, and that the store is then whole.
pub(crate) fn check(
    disk: &FakeDisk,
    compression: Compression,
    truth: &Truth,
    what: &str,
) -> RepairReport {
    let before = bytes(disk);
    let told = repair(disk, RepairMode::Report).unwrap();
    assert_eq!(bytes(disk), before, "{what}");
    assert!(told.quarantined.is_empty());
    let report = repair(disk, RepairMode::Quarantine).unwrap();
    assert_eq!((&report.lost, &report.damaged), (&told.lost, &told.damaged), "{what}");
    if !report.damaged.is_empty() {
        assert!(!report.quarantined.is_empty(), "{what}");
        let again = repair(disk, RepairMode::Report).unwrap();
        assert!(again.damaged.is_empty() && again.lost.is_empty(), "{what}: {again:?}");
    }
    names_what_is_lost(&report, truth, what);
    is_whole(disk, compression, truth, &report, what);
    report
}

fn names_what_is_lost(report: &RepairReport, truth: &Truth, what: &str) {
    let lost: BTreeSet<u64> = report.lost.iter().map(|event| event.position).collect();
    assert_eq!(lost.len(), report.lost.len());
    let of = |position| (&truth[position].0, truth[position].1);
    let gone: BTreeSet<_> = lost.iter().map(of).collect();
    let mut named = BTreeSet::new();
    for event in &report.lost {
        let Some((stream, version)) = &event.stream else { continue };
        assert!(gone.contains(&(stream, *version)), "{what}: {event:?} is not lost");
        assert!(named.insert((stream, *version)), "{what}: {event:?} is reported twice");
        assert!(!event.certain || of(&event.position) == (stream, *version), "{what}: {event:?}");
    }
    // A lost event that is followed by another event of its stream is always named.
    let left = |stream: &str, version: u64| {
        let later = |(position, (of, v, _)): (&u64, &(String, u64, String))| {
            of == stream && *v > version && !lost.contains(position)
        };
        truth.iter().any(later)
    };
    for (stream, version) in gone.iter().filter(|(stream, version)| left(stream, *version)) {
        assert!(named.contains(&(*stream, *version)), "{what}: {stream} {version} is not named");
    }
}

fn is_whole(
    disk: &FakeDisk,
    compression: Compression,
    truth: &Truth,
    report: &RepairReport,
    what: &str,
) {
    let (store, mut manual) = open(disk, compression).unwrap();
    while manual.maintain() {}
    let verified = store.verify(|_, _| ());
    assert_eq!(verified.problem_count, 0, "{what}: {:?}", verified.problems);
    let lost: BTreeSet<u64> = report.lost.iter().map(|event| event.position).collect();
    let mut expected = truth.clone();
    expected.retain(|position, _| !lost.contains(position));
    let found = read(&store);
    let wrong = |position: &u64| found.get(position) != expected.get(position);
    let wrong: Vec<_> = truth.keys().filter(|position| wrong(position)).collect();
    assert!(wrong.is_empty() && found.len() == expected.len(), "{what}: {wrong:?}");
    // Each stream by itself is right, and continues at the right version.
    let streams: BTreeSet<_> = truth.values().map(|(stream, ..)| stream.clone()).collect();
    for stream in streams {
        let read = Read::forward(Query::stream(&stream)).limit(1_000);
        let found = store.blocking().read(read).unwrap().events;
        let of_it =
            expected.values().filter(|(of, ..)| *of == stream).map(|(_, version, _)| *version);
        assert_eq!(
            found.iter().map(|e| e.version()).collect::<Vec<_>>(),
            of_it.collect::<Vec<_>>()
        );
        // If the last events of a stream are lost without an index file, its last version is unknown.
        let named = |version: u64| {
            report.lost.iter().any(|event| event.stream == Some((stream.clone(), version)))
        };
        let of_it = truth.iter().filter(|(_, (of, ..))| *of == stream);
        let mut gone = of_it.filter(|(position, _)| lost.contains(position));
        if gone.all(|(_, (_, version, _))| named(*version)) {
            let last = truth.values().filter(|(of, ..)| *of == stream).map(|(_, v, _)| *v).max();
            let expected = Expected::Exactly(last.unwrap());
            let append = Append::new().event(&stream, event(999)).expect(&stream, expected);
            let done = drive(&mut manual, store.append(append));
            assert!(done.is_ok(), "{what}: {stream} {done:?} {:?}", report.lost);
        }
    }
}
