//! Exports a store as the command does, and imports it.

use std::sync::Arc;

use bytes::Bytes;
use leftfold_api::{
    AppendError, BYTES, Coded, NewEvent, Query, Read, Recorded, Streams, Timestamp,
};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Embedded, Import, ImportEvent, ImportReport, OpenError, Options};

/// The time of the machine that imports.
pub(crate) const NOW: i64 = 1_800_000_000_000_000;

#[derive(Debug, Clone)]
pub(crate) enum Line {
    Event(Box<ImportEvent>),
    /// A stream whose last events are dropped, with its last version.
    End(u64, String, u64),
}

pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.log.segment_bytes = 4_000;
    options.log.preallocate = 1024;
    options
}

/// Opens a store on a disk, with a clock.
pub(crate) fn open(disk: &FakeDisk, clock: &Arc<ManualClock>, seed: u64) -> Embedded {
    let random = Arc::new(SeededRandom::new(seed));
    Embedded::open_on(Arc::new(disk.clone()), clock.clone(), random, options()).unwrap()
}

/// Opens a store with the time of the machine that imports.
pub(crate) fn open_now(disk: &FakeDisk) -> Embedded {
    open(disk, &Arc::new(ManualClock::at(NOW)), 7)
}

/// Returns all events that reads return, bookkeeping too.
pub(crate) fn events(store: &Embedded) -> Vec<Recorded> {
    let mut read = Read::forward(Query::System);
    let mut events = Vec::new();
    loop {
        let page = store.blocking().read(read.clone()).unwrap();
        events.extend(page.events);
        if !page.more {
            return events;
        }
        read = read.after(page.cursor);
    }
}

pub(crate) fn export(store: &Embedded) -> Vec<Line> {
    let mut lines: Vec<_> =
        events(store).iter().map(|event| Line::Event(Box::new(line_of(event)))).collect();
    let head = store.blocking().head().position().unwrap();
    let wanted = Streams { system: true, ..Streams::default() };
    for info in store.blocking().streams(&wanted).unwrap().streams {
        let read = Read::backward(Query::stream(&info.name)).limit(1);
        let last = store.blocking().read(read).unwrap().events;
        if last.first().is_none_or(|last| last.version() < info.version) {
            lines.push(Line::End(head, info.name, info.version));
        }
    }
    lines
}

fn line_of(event: &Recorded) -> ImportEvent {
    ImportEvent {
        position: event.position(),
        stream: event.stream().to_owned(),
        version: event.version(),
        commit_time: event.commit_time(),
        event_time: event.event_time(),
        event: event.into(),
    }
}

/// All that is kept of an event, but for its commit time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept(String, u64, Timestamp, NewEvent);

impl Kept {
    pub(crate) fn is_of_user(&self) -> bool {
        !self.0.starts_with('$') && self.3.event_type != "Own"
    }
}

/// Returns what an import keeps, with the commit times.
pub(crate) fn kept(store: &Embedded) -> Vec<(Kept, Timestamp)> {
    let kept = |event: &Recorded| {
        let ImportEvent { stream, version, event_time, event, commit_time, .. } = line_of(event);
        (Kept(stream, version, event_time, event), commit_time)
    };
    events(store).iter().map(kept).collect()
}

pub(crate) fn begin(disk: &FakeDisk) -> Result<Import, OpenError> {
    let (clock, random) = (Arc::new(ManualClock::at(NOW)), Arc::new(SeededRandom::new(3)));
    Import::open_on(Arc::new(disk.clone()), clock, random, options())
}

pub(crate) fn feed(import: &mut Import, lines: &[Line]) -> Result<(), AppendError> {
    lines.iter().try_for_each(|line| match line {
        Line::Event(event) => import.add(ImportEvent::clone(event)),
        Line::End(position, stream, version) => import.end_stream(*position, stream, *version),
    })
}

pub(crate) fn import(disk: &FakeDisk, lines: &[Line]) -> ImportReport {
    let mut import = begin(disk).unwrap();
    feed(&mut import, lines).unwrap();
    import.finish().unwrap()
}

/// Imports lines of which one is refused; returns its code, its message and what came before.
pub(crate) fn refused(disk: &FakeDisk, lines: &[Line]) -> (&'static str, String, ImportReport) {
    let mut import = begin(disk).unwrap();
    let error = feed(&mut import, lines).unwrap_err();
    (error.code(), error.to_string(), import.finish().unwrap())
}

/// Returns the line of a small event, at a position.
pub(crate) fn line(position: u64, stream: &str, version: u64) -> Box<ImportEvent> {
    let id = uuid::Uuid::from_u128(u128::from(position) + 1_000);
    Box::new(ImportEvent {
        position,
        stream: stream.to_owned(),
        version,
        commit_time: Timestamp(i64::try_from(position).unwrap()),
        event_time: Timestamp(i64::try_from(position).unwrap()),
        event: NewEvent {
            content_type: BYTES.to_owned(),
            ..NewEvent::new("Put", Bytes::from(format!("{stream} {version}"))).id(id)
        },
    })
}

/// Returns the versions of a stream that a read returns.
pub(crate) fn versions(store: &Embedded, stream: &str) -> Vec<u64> {
    let page = store.blocking().read(Read::forward(Query::stream(stream))).unwrap();
    page.events.iter().map(Recorded::version).collect()
}

pub(crate) fn assert_sound(store: &Embedded) {
    store.settle().unwrap();
    let report = store.verify(|_, _| {});
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
    store.seal().unwrap();
    let report = store.verify(|_, _| {});
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
}
