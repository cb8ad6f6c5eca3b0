//! Loads the states that a command reads, and brings them up to date.

use leftfold_api::{Append, Cursor, EventStore, Expected, Page, Point, Query, Read, Recorded};
use leftfold_api::{ReadError, Timestamp};
use leftfold_io::{Clock, SystemClock};

use super::error::FoldError;
use crate::reads::{Reads, Source, Unknown};
use crate::snapshot::{Anchor, Snapshot, Snapshots};
use crate::state::SnapshotInterval;

/// The states that a command reads, and up to where each source was read.
pub(crate) struct LoadedStates<R: Reads> {
    pub(crate) states: R::States,
    pub(crate) sources: Vec<SourceProgress>,
}

/// Up to where one of the sources was read.
pub(crate) struct SourceProgress {
    pub(crate) source: Source,
    pub(crate) cursor: Cursor,
    /// The last event in the state.
    last: Option<Anchor>,
    /// The stream's last version, where a conflict reported one beyond the visible events.
    hidden: Option<u64>,
    since: SinceSnapshot,
}

/// The events folded since the last snapshot.
#[derive(Default)]
struct SinceSnapshot {
    events: u64,
    bytes: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// The first new event of a catch-up: its position, stream and type.
pub(crate) type News = Option<(u64, String, String)>;

impl<R: Reads> LoadedStates<R> {
    /// Returns the default states, before any read.
    pub(crate) fn empty(reads: &R) -> Self {
        let sources = reads.sources().into_iter().map(SourceProgress::new).collect();
        LoadedStates { states: R::States::default(), sources }
    }

    /// Loads the states from their snapshots, if there are any, and the later events.
    pub(crate) async fn load(
        reads: &R,
        store: &impl EventStore,
        snapshots: Option<&dyn Snapshots>,
    ) -> Result<Self, FoldError> {
        let mut loaded = Self::empty(reads);
        for nth in 0..loaded.sources.len() {
            if let Some(snapshots) = snapshots
                && let Some((name, versions, _)) = R::kept(nth)
            {
                loaded.restore(nth, store, snapshots, name, versions).await?;
            }
            loaded.catch_up_source(nth, store, &mut None).await?;
        }
        Ok(loaded)
    }

    /// Restores a state from its snapshot, if there is a valid one.
    async fn restore(
        &mut self,
        nth: usize,
        store: &impl EventStore,
        snapshots: &dyn Snapshots,
        name: &str,
        versions: [u32; 2],
    ) -> Result<(), FoldError> {
        let key = self.sources[nth].key(name);
        // A snapshot that cannot be read counts as missing.
        let Ok(Some(bytes)) = snapshots.load(&key) else { return Ok(()) };
        let Some(snapshot) = Snapshot::decode(&bytes) else { return Ok(()) };
        if snapshot.key != key || snapshot.versions != versions {
            return Ok(());
        }
        let anchor = snapshot.anchor;
        let Some(page) = self.sources[nth].page_at(anchor, store).await? else { return Ok(()) };
        if R::restore(&mut self.states, nth, snapshot.state) {
            self.sources[nth].last = Some(anchor);
            for event in page.events.iter().skip(1) {
                self.apply(nth, event)?;
            }
            self.sources[nth].cursor = page.cursor;
        }
        Ok(())
    }

    /// Brings all states up to date; returns the first event that was new.
    pub(crate) async fn catch_up(&mut self, store: &impl EventStore) -> Result<News, FoldError> {
        let mut news = None;
        for nth in 0..self.sources.len() {
            self.catch_up_source(nth, store, &mut news).await?;
        }
        Ok(news)
    }

    async fn catch_up_source(
        &mut self,
        nth: usize,
        store: &impl EventStore,
        news: &mut News,
    ) -> Result<(), FoldError> {
        loop {
            let progress = &self.sources[nth];
            let read = Read::forward(progress.source.query.clone()).after(progress.cursor.clone());
            let page = store.read(read).await?;
            for event in &page.events {
                if news.as_ref().is_none_or(|(first, ..)| event.position() < *first) {
                    let (stream, what) = (event.stream().to_owned(), event.event_type().to_owned());
                    *news = Some((event.position(), stream, what));
                }
                self.apply(nth, event)?;
            }
            self.sources[nth].cursor = page.cursor;
            if !page.more {
                return Ok(());
            }
        }
    }

    pub(super) fn apply(&mut self, nth: usize, event: &Recorded) -> Result<(), FoldError> {
        let progress = &mut self.sources[nth];
        R::apply(&mut self.states, nth, progress.source.unknown, event)?;
        progress.record_event(event);
        Ok(())
    }

    /// Saves snapshots of the states for which one is due.
    pub(crate) fn save_snapshots(&mut self, snapshots: &dyn Snapshots) {
        for (nth, progress) in self.sources.iter_mut().enumerate() {
            let Some((name, versions, every)) = R::kept(nth) else { continue };
            let (Some(anchor), true) = (progress.last, progress.since.is_due(every)) else {
                continue;
            };
            let Some(state) = R::encode(&self.states, nth) else { continue };
            let key = progress.key(name);
            let snapshot = Snapshot { versions, anchor, key: &key, state: &state };
            // A snapshot that cannot be saved only costs time; the next due one tries again.
            _ = snapshots.save(&key, &snapshot.encode());
            progress.since = SinceSnapshot::default();
        }
    }

    /// Returns the cursor after the last read.
    pub(crate) fn cursor(&self) -> Cursor {
        self.sources.last().map_or(Cursor::START, |progress| progress.cursor.clone())
    }

    /// Records the version that the store reports for a stream; retention hides events up to it.
    pub(crate) fn note_version(&mut self, stream: &str, actual: Option<u64>) {
        let of_stream =
            |progress: &&mut SourceProgress| progress.source.stream.as_deref() == Some(stream);
        let sources = self.sources.iter_mut().filter(of_stream);
        sources.for_each(|progress| progress.hidden = progress.hidden.max(actual));
    }

    /// Records this reader's own append to the single source that is read: the number of events,
    /// their bytes, and the last one.
    pub(crate) fn record_append(
        &mut self,
        cursor: Cursor,
        [events, bytes]: [u64; 2],
        last: Option<Anchor>,
    ) {
        let Some(progress) = self.sources.first_mut() else { return };
        progress.cursor = cursor;
        if let Some(last) = last {
            progress.last = Some(last);
            // The answer has no commit time; the current time is good enough for snapshots.
            let now = Timestamp(SystemClock.now_micros());
            progress.since.add(events, bytes, now);
        }
    }

    /// Adds conditions to an append, so that it fails if anything that was read has changed.
    pub(crate) fn add_conditions(&self, mut append: Append) -> Append {
        let mut named: Vec<&str> = Vec::new();
        for progress in &self.sources {
            match &progress.source.stream {
                Some(stream) if named.contains(&stream.as_str()) => {}
                Some(stream) => {
                    named.push(stream);
                    append = append.expect(stream, progress.expected());
                }
                None => {
                    append =
                        append.none_after(progress.source.query.clone(), progress.cursor.clone())
                }
            }
        }
        append
    }
}

impl SourceProgress {
    fn new(source: Source) -> Self {
        let (cursor, since) = (Cursor::START, SinceSnapshot::default());
        SourceProgress { source, cursor, last: None, hidden: None, since }
    }

    fn key(&self, name: &str) -> String {
        // A strict fold must not begin behind an event that a lax one has skipped.
        let strict = match self.source.unknown {
            Unknown::Skip => "",
            Unknown::Fail => "strict ",
        };
        format!("{strict}{name} {}", self.source.query)
    }

    /// Returns the stream's last version as far as it is known.
    pub(crate) fn version(&self) -> Option<u64> {
        self.last.map(|last| last.version).max(self.hidden)
    }

    pub(crate) fn expected(&self) -> Expected {
        self.version().map_or(Expected::NoStream, Expected::Exactly)
    }

    fn record_event(&mut self, event: &Recorded) {
        let (position, version, id) = (event.position(), event.version(), event.id());
        self.last = Some(Anchor { position, version, id });
        self.since.add(1, event.data().len() as u64, event.commit_time());
    }

    /// Reads a page that begins with the event at an anchor, or returns `None` if another event is
    /// there.
    async fn page_at(
        &self,
        anchor: Anchor,
        store: &impl EventStore,
    ) -> Result<Option<Page>, FoldError> {
        let point = match self.source.stream {
            Some(_) => Point::Version(anchor.version),
            None => Point::Position(anchor.position),
        };
        let read = Read::forward(self.source.query.clone()).including(point);
        let page = match store.read(read).await {
            Ok(page) => page,
            // The store has no such point, so the snapshot belongs to another store.
            Err(ReadError::Invalid(_)) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let is_it = |event: &Recorded| {
            event.position() == anchor.position
                && event.version() == anchor.version
                && event.id() == anchor.id
        };
        Ok(Some(page).filter(|page| page.events.first().is_some_and(is_it)))
    }
}

impl SinceSnapshot {
    fn add(&mut self, events: u64, bytes: u64, committed: Timestamp) {
        self.events += events;
        self.bytes += bytes;
        self.first.get_or_insert(committed);
        self.last = Some(committed);
    }

    fn is_due(&self, every: SnapshotInterval) -> bool {
        let between =
            |(first, last): (Timestamp, Timestamp)| last.micros().saturating_sub(first.micros());
        let time = self.first.zip(self.last).map(between);
        let time = std::time::Duration::from_micros(u64::try_from(time.unwrap_or(0)).unwrap_or(0));
        self.events > 0
            && (self.events >= every.events || self.bytes >= every.bytes || time >= every.time)
    }
}

/// Returns the query of a handled command's events, the one that remembers a command without events
/// among them.
pub(crate) fn handled(command: uuid::Uuid) -> Query {
    Query::tag(super::COMMAND_TAG, &command.to_string()).and(Query::System)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_snapshot_is_due_by_count_size_or_time_whichever_comes_first() {
        let never = SnapshotInterval { events: u64::MAX, bytes: u64::MAX, time: Duration::MAX };
        let mut since = SinceSnapshot::default();
        assert!(!since.is_due(SnapshotInterval { events: 0, ..never }));
        since.add(1, 100, Timestamp(5_000_000));
        since.add(2, 50, Timestamp(9_000_000));
        for (every, due) in [
            (never, false),
            (SnapshotInterval { events: 3, ..never }, true),
            (SnapshotInterval { events: 4, ..never }, false),
            (SnapshotInterval { bytes: 150, ..never }, true),
            (SnapshotInterval { bytes: 151, ..never }, false),
            (SnapshotInterval { time: Duration::from_secs(4), ..never }, true),
            (SnapshotInterval { time: Duration::from_secs(5), ..never }, false),
        ] {
            assert_eq!(since.is_due(every), due, "{every:?}");
        }
    }
}
