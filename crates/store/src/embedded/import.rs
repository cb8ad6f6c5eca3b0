//! Imports the events that another store has exported, with their ids, versions and times.
//!
//! As long as the log begins with exactly what the import writes, the import *copies*: it goes on behind that
//! with the commit times of the source. So an import that was interrupted, or one with a newer export of the
//! same store, copies what is missing. A store with other events is *merged* into: commit times are new, and
//! the store's own streams are left out.
//!
//! A version that is missing in the export gets a placeholder, so that later versions keep their numbers.

mod batch;
mod clock;
mod finish;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::names::{self, category_of};
use leftfold_api::record::{self, DROPPED_TYPE};
use leftfold_api::{AppendError, Failure, Field, Invalid, NewEvent, Recorded, Timestamp, Versions};
use leftfold_io::{Clock, Disk, OsRandom, Random, RealDisk, SystemClock};
use leftfold_log::Durability;
use pollster::block_on;

use super::draft::Author;
use super::{Embedded, Options, WriteThread, open};
use crate::error::OpenError;
use crate::transfer::{EventDigest, ExportTotal, Marks};
use batch::{Batch, NewRecord, size};
use clock::ImportClock;

/// A commit time may be ahead of this machine's clock by this many microseconds: a day.
const MAX_AHEAD: i64 = 86_400_000_000;
/// The time within which what was written is synced: an import that is interrupted is run again.
const SYNC_WITHIN: Duration = Duration::from_millis(500);

/// An event of another store.
#[derive(Debug, Clone)]
pub struct ImportEvent {
    /// Its position in the other store.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its version.
    pub version: u64,
    /// Its commit time.
    pub commit_time: Timestamp,
    /// Its event time, given or not.
    pub event_time: Timestamp,
    /// The event, with its id; its event time only if it was given.
    pub event: NewEvent,
}

/// The counts of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Events that were written.
    pub imported: u64,
    /// Events that the store had already.
    pub repeated: u64,
    /// Placeholders that were written for missing versions.
    pub holes: u64,
    /// Events that were left out, by the category of their streams.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Whether the events have the commit times of the source.
    pub keeps_commit_times: bool,
    /// Checkpoints that are where they were in the source.
    pub checkpoints: u64,
    /// Checkpoints that were left out, because the store has other events too.
    pub checkpoints_left_out: u64,
    /// Definitions of indexes and of retention that an import by appends has made; other imports copy their events.
    pub definitions: u64,
    /// The digest of the events, as the store has them.
    pub digest: EventDigest,
    /// Whether the file had the last line of an export, with the digest of the source.
    pub is_complete: bool,
}

/// An import into the store of a directory, which nothing else has open meanwhile.
pub struct Import {
    store: Embedded,
    clock: Arc<ImportClock>,
    /// The last position when the store was opened.
    found: u64,
    /// Up to this position the log has what the import would have written.
    matched: u64,
    batch: Batch,
    /// The position and the commit time of the last event.
    last: (u64, Timestamp),
    /// The events and holes of the source so far.
    seen: u64,
    marks: Marks,
    /// The digest of the events of the file.
    wanted: EventDigest,
    total: Option<ExportTotal>,
    /// Whether an event was refused: then there is nothing to compare with.
    is_stopped: bool,
    report: ImportReport,
}

impl Import {
    /// Opens the store in a directory, or creates it.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let disk = RealDisk::new(&dir).map_err(|source| open::cannot_open(dir.as_ref(), source))?;
        Self::open_on(Arc::new(disk), Arc::new(SystemClock), Arc::new(OsRandom), options)
    }

    /// Opens a store on any disk, with any clock and source of randomness.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        mut options: Options,
    ) -> Result<Self, OpenError> {
        options.log.durability = Durability::Relaxed(SYNC_WITHIN);
        let clock = Arc::new(ImportClock::new(clock));
        let store = Embedded::open_on(disk, clock.clone(), random, options)?;
        Ok(Import {
            found: store.core.log.head().position,
            store,
            clock,
            matched: 0,
            batch: Batch::default(),
            last: (0, Timestamp::MIN),
            seen: 0,
            marks: Marks::default(),
            wanted: EventDigest::default(),
            total: None,
            is_stopped: false,
            report: ImportReport { keeps_commit_times: true, ..ImportReport::default() },
        })
    }

    /// Returns the counts so far.
    pub fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Adds an event. Events come in the order of the other store's log. After an error,
    /// [`finish`](Import::finish) still writes what was added before.
    ///
    /// # Errors
    /// `import_invalid` if the event is out of order, `import_conflict` if the store has something else at
    /// its version, and those of an append.
    pub fn add(&mut self, new: ImportEvent) -> Result<(), AppendError> {
        let added = self.add_event(new);
        self.is_stopped |= added.is_err();
        added
    }

    fn add_event(&mut self, new: ImportEvent) -> Result<(), AppendError> {
        self.check(&new)?;
        self.last = (new.position, new.commit_time);
        self.seen += 1;
        if self.leaves_out(&new.stream) {
            return Ok(());
        }
        self.wanted.add_import(&new);
        if self.report.keeps_commit_times {
            match self.compare(&new)? {
                Found::Same => return Ok(()),
                Found::Nothing if !self.is_behind(&new) => return self.copy(new),
                Found::Nothing | Found::Other => self.stop_copying()?,
            }
            // The store's own streams are left out from now on.
            if self.leaves_out(&new.stream) {
                return Ok(());
            }
        }
        self.merge(new)
    }

    /// Notes that a stream has had events up to a version, though the last ones are dropped.
    ///
    /// # Errors
    /// Those of [`add`](Import::add).
    pub fn end_stream(
        &mut self,
        position: u64,
        stream: &str,
        version: u64,
    ) -> Result<(), AppendError> {
        let ended = self.fill_end(position, stream, version);
        self.is_stopped |= ended.is_err();
        ended
    }

    fn fill_end(&mut self, position: u64, stream: &str, version: u64) -> Result<(), AppendError> {
        check_stream(stream)?;
        if position < self.last.0 || version >= position {
            return Err(unordered(position, stream, version, self.last.0).into());
        }
        self.last.0 = position;
        if self.is_left_out(stream).is_some() {
            return Ok(());
        }
        self.flush()?;
        let before = version + 1;
        // The time of the last event; no event was exported if all were lost.
        let time = match self.last.1 {
            Timestamp::MIN => self.clock.machine_micros(),
            Timestamp(micros) => micros,
        };
        if self.report.keeps_commit_times && !self.compare_holes(stream, before)? {
            self.stop_copying()?;
            if self.is_left_out(stream).is_some() {
                return Ok(());
            }
        }
        self.batch.commit_time = self.report.keeps_commit_times.then_some(time);
        self.batch.is_filler = true;
        self.fill(stream, before, position, time)?;
        self.flush()
    }

    fn check(&self, new: &ImportEvent) -> Result<(), Invalid> {
        let ImportEvent { position, stream, version, commit_time, event_time, event } = new;
        if event.id.is_none() {
            return Err(invalid(format!("the event of stream {stream} has no id")));
        }
        if !check_stream(stream)? {
            names::check_new("event type", &event.event_type)?;
        }
        if event.event_type == DROPPED_TYPE {
            return Err(invalid(format!("stream {stream}: {DROPPED_TYPE} is no type of an event")));
        }
        self.store.core.check_event(stream, event, Author::Import)?;
        commit_time.checked()?;
        event_time.checked()?;
        let (last, time) = self.last;
        if *position <= last || version >= position {
            return Err(unordered(*position, stream, *version, last));
        }
        let latest = Timestamp(self.clock.machine_micros().saturating_add(MAX_AHEAD));
        if !(time..=latest.max(time)).contains(commit_time) {
            return Err(invalid(format!(
                "the event at position {position} has the commit time {commit_time}; expected is one \
                 from {time}, that of the event before it, to {latest}"
            )));
        }
        Ok(())
    }

    /// Whether an event of a stream is left out; counts it.
    fn leaves_out(&mut self, stream: &str) -> bool {
        let category = self.is_left_out(stream);
        if let Some(category) = category {
            *self.report.left_out.entry(category).or_default() += 1;
        }
        category.is_some()
    }

    /// Returns the category of a stream whose events are left out.
    fn is_left_out(&self, stream: &str) -> Option<&'static str> {
        let category = category_of(stream);
        let mut known = names::OF_SYSTEM.into_iter().chain(names::OF_LEFTFOLD);
        let category = known.find(|known| *known == category)?;
        // Progress is a position in the other store, and a deleted checkpoint belongs to that store.
        let never = [names::CHECKPOINTS, names::LOST].into_iter().chain(names::OF_ONE_STORE);
        let is_merging = !self.report.keeps_commit_times;
        let is_left_out = never.into_iter().any(|one| one == category)
            || is_merging && category.starts_with(names::SYSTEM);
        is_left_out.then_some(category)
    }

    /// Compares an event, and the holes before it, with what the log has next.
    fn compare(&mut self, new: &ImportEvent) -> Result<Found, AppendError> {
        if !self.compare_holes(&new.stream, new.version)? {
            return Ok(Found::Other);
        }
        if self.matched == self.found {
            return Ok(Found::Nothing);
        }
        let stored = self.store.core.event_at(self.matched + 1)?;
        let is_same = stored.stream() == new.stream
            && stored.version() == new.version
            && stored.commit_time() == new.commit_time
            && stored.event_time() == new.event_time
            && self.is_same(&stored, &new.event);
        if !is_same {
            return Ok(Found::Other);
        }
        self.matched += 1;
        self.repeat(&stored, new);
        Ok(Found::Same)
    }

    /// Compares the holes of a stream before a version with what the log has.
    fn compare_holes(&mut self, stream: &str, before: u64) -> Result<bool, AppendError> {
        let core = &self.store.core;
        let key = core.keys.of(Field::Stream, stream);
        while self.matched < self.found {
            let next = core.index.set.load().count(&key, self.matched).map_err(Failure::from)?;
            if next >= before {
                break;
            }
            let stored = core.event_at(self.matched + 1)?;
            if stored.stream() != stream || stored.event_type() != DROPPED_TYPE {
                return Ok(false);
            }
            self.matched += 1;
            self.seen += 1;
        }
        Ok(true)
    }

    fn is_same(&self, stored: &Recorded, event: &NewEvent) -> bool {
        let hash_key = &self.store.core.log.header().hash_key;
        Some(stored.id()) == event.id && stored.digest() == record::digest(event, hash_key)
    }

    /// Whether the log ends with a later commit time than that of an event.
    fn is_behind(&self, new: &ImportEvent) -> bool {
        // Events of a batch are in order.
        self.batch.is_empty() && {
            self.clock.show(new.commit_time.0);
            self.store.core.log.clock_behind_micros() > 0
        }
    }

    /// From now on, commit times are new.
    fn stop_copying(&mut self) -> Result<(), AppendError> {
        self.flush()?;
        self.report.keeps_commit_times = false;
        self.clock.follow_machine();
        Ok(())
    }

    /// Writes an event as it was in the other store.
    fn copy(&mut self, new: ImportEvent) -> Result<(), AppendError> {
        let next = self.next_version(&new.stream)?;
        if new.version < next {
            let ImportEvent { position, stream, version, .. } = new;
            return Err(invalid(format!(
                "the event at position {position} has version {version} of stream {stream}; expected \
                 is at least {next}"
            ))
            .into());
        }
        let time = Some(new.commit_time.0);
        let changes = [names::INDEXES, names::RETENTION_RULES, names::STREAM_SETTINGS];
        let is_change = changes.contains(&category_of(&new.stream));
        if is_change || self.batch.commit_time != time {
            self.flush()?;
            self.batch.commit_time = time;
        }
        self.fill(&new.stream, new.version, new.position, new.commit_time.0)?;
        if !is_change {
            return self.push(NewRecord::of(new));
        }
        // A change of the store itself is the only event of its append.
        self.flush()?;
        self.batch.commit_time = time;
        self.store.core.require_current_format()?;
        self.push(NewRecord::of(new))?;
        self.flush()
    }

    /// Adds an event to a store that has others.
    fn merge(&mut self, new: ImportEvent) -> Result<(), AppendError> {
        if self.next_version(&new.stream)? <= new.version {
            self.fill(&new.stream, new.version, new.position, new.event_time.0)?;
            return self.push(NewRecord::of(new));
        }
        if self.batch.next_version(&new.stream).is_some() {
            self.flush()?;
        }
        let stored = self.stored(&new.stream, new.version)?;
        if !self.is_same(&stored, &new.event) {
            let ImportEvent { position, stream, version, .. } = &new;
            return Err(conflict(*position, stream, *version, &describe(&stored)).into());
        }
        self.repeat(&stored, &new);
        Ok(())
    }

    /// Counts an event that the store has already.
    fn repeat(&mut self, stored: &Recorded, new: &ImportEvent) {
        self.report.repeated += 1;
        match stored.is_scavenged() {
            // Its record has the digest of what it was.
            true => self.report.digest.add_import(new),
            false => self.report.digest.add(stored),
        }
    }

    /// Returns the event of a version that the stream has.
    fn stored(&self, stream: &str, version: u64) -> Result<Recorded, AppendError> {
        let core = &self.store.core;
        block_on(core.wait_for_admitted())?;
        let (key, head) = (core.keys.of(Field::Stream, stream), core.log.head().position);
        let position = core.index.set.load().nth(&key, version, head).map_err(Failure::from)?;
        let what = "the index does not list a version of a stream";
        let position = position.ok_or(Failure::Record { position: head, what })?;
        Ok(core.event_at(position)?)
    }

    /// Returns the version that the next event of a stream gets.
    fn next_version(&self, stream: &str) -> Result<u64, Failure> {
        if let Some(next) = self.batch.next_version(stream) {
            return Ok(next);
        }
        let core = &self.store.core;
        let last = core.index.version(&core.keys.of(Field::Stream, stream), core.last_known())?;
        Ok(last.map_or(0, |last| last + 1))
    }

    /// Adds placeholders for the versions of a stream that are missing before one.
    fn fill(
        &mut self,
        stream: &str,
        before: u64,
        position: u64,
        time: i64,
    ) -> Result<(), AppendError> {
        let next = self.next_version(stream)?;
        let holes = before.saturating_sub(next);
        // Each of them had a position of its own before this one.
        if self.seen.saturating_add(holes) > position {
            return Err(invalid(format!(
                "position {position}: versions {next} to {before} of stream {stream} are missing, which \
                 are more events than the other store can have had"
            ))
            .into());
        }
        self.seen += holes;
        for version in next..before {
            let (stream, default_time) = (stream.to_owned(), Some(time));
            self.push(NewRecord { stream, version, event: None, default_time })?;
        }
        Ok(())
    }

    fn push(&mut self, new: NewRecord) -> Result<(), AppendError> {
        let bytes = size(&new.stream, new.event.as_ref());
        if !self.batch.has_room(bytes, self.store.core.limits.append_events) {
            let full = std::mem::take(&mut self.batch);
            self.batch.commit_time = full.commit_time;
            self.batch.is_filler = full.is_filler;
            self.write(full)?;
        }
        self.batch.push(new, bytes, !self.report.keeps_commit_times);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), AppendError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() { Ok(()) } else { self.write(batch) }
    }

    fn write(&mut self, batch: Batch) -> Result<(), AppendError> {
        let copies = self.report.keeps_commit_times;
        let author = if copies { Author::Import } else { Author::Store };
        let Batch { append, times, next, .. } = batch;
        let mut draft = self.store.core.draft(append, author)?;
        for (event, time) in draft.events.iter_mut().zip(times) {
            event.default_time = time;
        }
        draft.is_filler = batch.is_filler;
        if let Some(time) = batch.commit_time {
            self.clock.show(time);
        }
        let written = block_on(self.store.write_draft(draft, WriteThread::Caller))?;
        if let (true, Some(first)) = (written.repeated, written.streams.first()) {
            let Versions { stream, first, last } = first;
            let next = next.get(stream).copied().unwrap_or_default();
            let version = next.saturating_sub(last - first + 1);
            let found = format!("nothing yet, but an event with its id as version {first}");
            return Err(conflict(self.last.0, stream, version, &found).into());
        }
        self.report.imported += batch.events;
        self.report.holes += batch.holes;
        Ok(())
    }
}

/// What the log has where an event belongs.
enum Found {
    /// The event.
    Same,
    /// Nothing: the log ends before it.
    Nothing,
    /// Something else.
    Other,
}

/// Checks the name of a stream; returns whether it is one of the store's or the server's own.
fn check_stream(stream: &str) -> Result<bool, Invalid> {
    let is_system = names::OF_SYSTEM.contains(&category_of(stream));
    let check = if is_system { names::check_system } else { names::check_new };
    check("stream", stream).map(|()| is_system)
}

fn invalid(message: String) -> Invalid {
    Invalid::new("import_invalid", message)
}

fn unordered(position: u64, stream: &str, version: u64, last: u64) -> Invalid {
    invalid(format!(
        "version {version} of stream {stream} at position {position} comes after position {last}; \
         expected are growing positions, each greater than the version"
    ))
}

fn conflict(position: u64, stream: &str, version: u64, found: &str) -> Invalid {
    let message = format!(
        "the event at position {position} is version {version} of stream {stream}, where the store has \
         {found}; import into another store"
    );
    Invalid::new("import_conflict", message)
}

/// Describes an event that is in the place of another.
fn describe(stored: &Recorded) -> String {
    match stored.event_type() {
        DROPPED_TYPE => "the placeholder of a dropped event".to_owned(),
        event_type => format!("event {} of type {event_type}", stored.id()),
    }
}
