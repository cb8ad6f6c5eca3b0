//! Helpers: a store on a fake disk, and the events that its backup must restore.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use leftfold_api::{Append, BackupReport, EventStore, Expected, NewEvent, Query, Read};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{BackupError, BackupInfo, Embedded, Manual, OpenError, Options, restore_on};

pub(crate) type ManualStore = (Embedded, Manual);

/// Returns options with small segments and little preallocation.
fn small() -> Options {
    let mut options = Options::default();
    options.log.segment_bytes = 2_000;
    options.log.preallocate = 1024;
    options
}

pub(crate) fn open(disk: &FakeDisk, create: bool) -> Result<ManualStore, OpenError> {
    let options = Options { create, ..small() };
    let random = Arc::new(SeededRandom::new(1));
    Embedded::open_manual(Arc::new(disk.clone()), Arc::new(ManualClock::at(1)), random, options)
}

pub(crate) fn open_with_threads(disk: &FakeDisk) -> Embedded {
    let (clock, random) = (Arc::new(ManualClock::at(1)), Arc::new(SeededRandom::new(1)));
    Embedded::open_on(Arc::new(disk.clone()), clock, random, small()).unwrap()
}

/// Runs a future to its end, and lets the writer and maintenance run while it waits.
pub(crate) fn drive<T>(manual: &mut Manual, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return ready;
        }
        manual.write();
        manual.maintain();
    }
}

pub(crate) fn event(n: u64) -> NewEvent {
    let data = format!("{n}").repeat(1 + n as usize % 60);
    NewEvent::new(format!("T{}", n % 3), data).tag("n", (n % 5).to_string())
}

/// Appends events with these numbers to three streams.
pub(crate) fn append((store, manual): &mut ManualStore, numbers: impl Iterator<Item = u64>) {
    for n in numbers {
        let stream = format!("s-{}", n % 3);
        let append = Append::new().event(&stream, event(n)).expect(stream, Expected::Any);
        drive(manual, store.append(append)).unwrap();
    }
}

pub(crate) fn back_up(
    (store, _): &ManualStore,
    to: &FakeDisk,
) -> Result<BackupReport, BackupError> {
    store.backup_on(to, |done, total| assert!(done <= total))
}

pub(crate) fn restore(from: &FakeDisk, to: &FakeDisk) -> Result<BackupInfo, BackupError> {
    restore_on(from, to, &SeededRandom::new(2), |done, total| assert!(done <= total))
}

/// Returns each event as a line.
pub(crate) fn events(store: &Embedded) -> Vec<String> {
    let (mut found, mut read) = (Vec::new(), Read::forward(Query::All));
    loop {
        let page = store.blocking().read(read).unwrap();
        found.extend(page.events.iter().map(|e| format!("{e:?} {:?}", e.data())));
        if !page.more {
            return found;
        }
        read = Read::forward(Query::All).after(page.cursor);
    }
}

/// Restores the last backup of a directory, verifies the store, and returns its events.
pub(crate) fn restored(from: &FakeDisk) -> Vec<String> {
    let to = FakeDisk::new();
    let info = restore(from, &to).unwrap();
    let (store, mut manual) = open(&to, false).unwrap();
    while manual.maintain() {}
    assert_eq!(store.blocking().head(), info.head);
    let verified = store.verify(|_, _| ());
    assert_eq!(verified.problem_count, 0, "{:?}", verified.problems);
    events(&store)
}
