//! What a command reads: loaded, and brought up to date.

use leftfold_api::{
    Append, Appended, Cursor, EventStore, Expected, Page, Point, Query, Read, Recorded,
};
use leftfold_api::{ReadError, Timestamp};
use leftfold_io::{Clock, SystemClock};

use super::error::FoldError;
use crate::reads::{Reads, Source};
use crate::snapshot::{Anchor, Snapshot, Snapshots};
use crate::state::Every;

/// The states that a command reads, and up to where each of them is known.
pub(crate) struct Loaded<R: Reads> {
    pub(crate) states: R::States,
    pub(crate) places: Vec<Place>,
}

/// Up to where one of the sources was read.
pub(crate) struct Place {
    pub(crate) source: Source,
    pub(crate) cursor: Cursor,
    /// The last event that the state holds.
    last: Option<Anchor>,
    /// The stream's last version, where it is known to be further than what can be seen.
    hidden: Option<u64>,
    since: Since,
}

/// What was folded since the last snapshot.
#[derive(Default)]
struct Since {
    events: u64,
    bytes: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// The first event that came after what was known: its position, stream and type.
pub(crate) type News = Option<(u64, String, String)>;

impl<R: Reads> Loaded<R> {
    /// Nothing yet.
    pub(crate) fn empty(reads: &R) -> Self {
        let places = reads.sources().into_iter().map(Place::new).collect();
        Loaded { states: R::States::default(), places }
    }

    /// From the snapshots, if there are any, and the events since.
    pub(crate) async fn load(
        reads: &R,
        store: &impl EventStore,
        snapshots: Option<&dyn Snapshots>,
    ) -> Result<Self, FoldError> {
        let mut loaded = Self::empty(reads);
        for nth in 0..loaded.places.len() {
            if let Some(snapshots) = snapshots
                && let Some((name, versions, _)) = R::kept(nth)
            {
                loaded.take_up(nth, store, snapshots, name, versions).await?;
            }
            loaded.read_on(nth, store, &mut None).await?;
        }
        Ok(loaded)
    }

    /// Takes a snapshot up, if there is one that can be used.
    async fn take_up(
        &mut self,
        nth: usize,
        store: &impl EventStore,
        snapshots: &dyn Snapshots,
        name: &str,
        versions: [u32; 2],
    ) -> Result<(), FoldError> {
        let key = self.places[nth].key(name);
        // A memo that can't be read is none.
        let Ok(Some(bytes)) = snapshots.load(&key) else { return Ok(()) };
        let Some(snapshot) = Snapshot::decode(&bytes) else { return Ok(()) };
        if snapshot.key != key || snapshot.versions != versions {
            return Ok(());
        }
        let anchor = snapshot.anchor;
        let Some(page) = self.places[nth].page_at(anchor, store).await? else { return Ok(()) };
        if R::restore(&mut self.states, nth, snapshot.state) {
            self.places[nth].last = Some(anchor);
            for event in page.events.iter().skip(1) {
                self.take(nth, event)?;
            }
            self.places[nth].cursor = page.cursor;
        }
        Ok(())
    }

    /// Brings all up to date; tells the first event that was new.
    pub(crate) async fn catch_up(&mut self, store: &impl EventStore) -> Result<News, FoldError> {
        let mut news = None;
        for nth in 0..self.places.len() {
            self.read_on(nth, store, &mut news).await?;
        }
        Ok(news)
    }

    async fn read_on(
        &mut self,
        nth: usize,
        store: &impl EventStore,
        news: &mut News,
    ) -> Result<(), FoldError> {
        loop {
            let place = &self.places[nth];
            let read = Read::forward(place.source.query.clone()).after(place.cursor.clone());
            let page = store.read(read).await?;
            for event in &page.events {
                if news.as_ref().is_none_or(|(first, ..)| event.position() < *first) {
                    let (stream, what) = (event.stream().to_owned(), event.event_type().to_owned());
                    *news = Some((event.position(), stream, what));
                }
                self.take(nth, event)?;
            }
            self.places[nth].cursor = page.cursor;
            if !page.more {
                return Ok(());
            }
        }
    }

    fn take(&mut self, nth: usize, event: &Recorded) -> Result<(), FoldError> {
        let place = &mut self.places[nth];
        R::apply(&mut self.states, nth, place.source.unknown, event)?;
        place.seen(event);
        Ok(())
    }

    /// Keeps the states whose snapshots are due.
    pub(crate) fn keep(&mut self, snapshots: &dyn Snapshots) {
        for (nth, place) in self.places.iter_mut().enumerate() {
            let Some((name, versions, every)) = R::kept(nth) else { continue };
            let (Some(anchor), true) = (place.last, place.since.is_due(every)) else { continue };
            let Some(state) = R::encode(&self.states, nth) else { continue };
            let key = place.key(name);
            let snapshot = Snapshot { versions, anchor, key: &key, state: &state };
            // A snapshot that can't be kept costs time, and is tried again when the next is due.
            _ = snapshots.save(&key, &snapshot.encode());
            place.since = Since::default();
        }
    }

    /// After the last read.
    pub(crate) fn cursor(&self) -> Cursor {
        self.places.last().map_or(Cursor::START, |place| place.cursor.clone())
    }

    /// The store says that a stream is at a version: what of that can't be seen, retention hides.
    pub(crate) fn found_at(&mut self, stream: &str, actual: Option<u64>) {
        let of_stream = |place: &&mut Place| place.source.stream.as_deref() == Some(stream);
        let places = self.places.iter_mut().filter(of_stream);
        places.for_each(|place| place.hidden = place.hidden.max(actual));
    }

    /// The one stream that is read has been appended to, by whom reads it: so many events with so
    /// many bytes, the last with this id at this position.
    pub(crate) fn has_written(
        &mut self,
        appended: &Appended,
        [events, bytes]: [u64; 2],
        last: Option<(uuid::Uuid, u64)>,
    ) {
        let Some(place) = self.places.first_mut() else { return };
        place.cursor = appended.cursor.clone();
        let stream = place.source.stream.as_deref();
        let versions = appended.streams.iter().find(|it| Some(it.stream.as_str()) == stream);
        if let (Some((id, position)), Some(versions)) = (last, versions) {
            place.last = Some(Anchor { position, version: versions.last, id });
            // When it was committed, the answer does not say; for a snapshot now is as good.
            let now = Timestamp(SystemClock.now_micros());
            place.since.add(events, bytes, now);
        }
    }

    /// An append that goes through only if nothing that was read has changed.
    pub(crate) fn guard(&self, mut append: Append) -> Append {
        let mut named: Vec<&str> = Vec::new();
        for place in &self.places {
            match &place.source.stream {
                Some(stream) if named.contains(&stream.as_str()) => {}
                Some(stream) => {
                    named.push(stream);
                    append = append.expect(stream, place.expected());
                }
                None => {
                    append = append.none_after(place.source.query.clone(), place.cursor.clone())
                }
            }
        }
        append
    }
}

impl Place {
    fn new(source: Source) -> Self {
        let (cursor, since) = (Cursor::START, Since::default());
        Place { source, cursor, last: None, hidden: None, since }
    }

    fn key(&self, name: &str) -> String {
        format!("{name} {}", self.source.query)
    }

    /// Where the stream is, as far as it is known.
    pub(crate) fn version(&self) -> Option<u64> {
        self.last.map(|last| last.version).max(self.hidden)
    }

    pub(crate) fn expected(&self) -> Expected {
        self.version().map_or(Expected::NoStream, Expected::Exactly)
    }

    fn seen(&mut self, event: &Recorded) {
        let (position, version, id) = (event.position(), event.version(), event.id());
        self.last = Some(Anchor { position, version, id });
        self.since.add(1, event.data().len() as u64, event.commit_time());
    }

    /// A page that begins with the event at an anchor; none if another one stands there.
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
            // A point that this store does not have is one of another store.
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

impl Since {
    fn add(&mut self, events: u64, bytes: u64, committed: Timestamp) {
        self.events += events;
        self.bytes += bytes;
        self.first.get_or_insert(committed);
        self.last = Some(committed);
    }

    fn is_due(&self, every: Every) -> bool {
        let between =
            |(first, last): (Timestamp, Timestamp)| last.micros().saturating_sub(first.micros());
        let time = self.first.zip(self.last).map(between);
        let time = std::time::Duration::from_micros(u64::try_from(time.unwrap_or(0)).unwrap_or(0));
        self.events > 0
            && (self.events >= every.events || self.bytes >= every.bytes || time >= every.time)
    }
}

/// The events of a command, if it was handled.
pub(crate) fn handled(command: uuid::Uuid) -> Query {
    Query::tag(super::COMMAND_TAG, &command.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_snapshot_is_due_by_count_size_or_time_whichever_comes_first() {
        let never = Every { events: u64::MAX, bytes: u64::MAX, time: Duration::MAX };
        let mut since = Since::default();
        assert!(!since.is_due(Every { events: 0, ..never }));
        since.add(1, 100, Timestamp(5_000_000));
        since.add(2, 50, Timestamp(9_000_000));
        for (every, due) in [
            (never, false),
            (Every { events: 3, ..never }, true),
            (Every { events: 4, ..never }, false),
            (Every { bytes: 150, ..never }, true),
            (Every { bytes: 151, ..never }, false),
            (Every { time: Duration::from_secs(4), ..never }, true),
            (Every { time: Duration::from_secs(5), ..never }, false),
        ] {
            assert_eq!(since.is_due(every), due, "{every:?}");
        }
    }
}
