//! The walk of an export: the events of a query up to the head of the store when it began, in an order in which they
//! can be imported into any store.

use leftfold_api::{
    CheckpointInfo, Cursor, EventStore, Point, Query, Read, ReadError, ReadLevel, Recorded, Start,
    StreamInfo, Streams, partition_of,
};

use super::digest::EventDigest;

/// Checkpoints of one page.
const CHECKPOINTS: usize = 1_000;
/// The most events of one page.
const EVENTS: usize = 1_000;
/// How the names of checkpoints of reactors begin. Their journals are not imported, so they begin anew.
const OF_REACTORS: &str = "reactor/";

/// A line of an export.
#[derive(Debug)]
pub enum ExportItem<'a> {
    /// An event. In a store of many partitions, the position is the sum of the positions of all partitions.
    Event {
        /// The position.
        position: u64,
        /// The event.
        event: &'a Recorded,
    },
    /// The last version of a stream whose last events are dropped.
    End {
        /// The last position of the export.
        position: u64,
        /// The stream.
        stream: &'a str,
        /// The last version.
        last_version: u64,
    },
    /// The reader with this checkpoint has seen the events so far, and no later one.
    Checkpoint {
        /// The position of the last event so far.
        position: u64,
        /// The checkpoint.
        name: &'a str,
        /// The partition of whose events this is said, in a store of many partitions.
        partition: Option<u32>,
    },
    /// The end.
    Total(ExportTotal),
}

/// The last line of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportTotal {
    /// The digest of the events.
    pub digest: EventDigest,
    /// The number of partitions of the store.
    pub partitions: u32,
}

/// Walks over the events of a query, up to the head of the store, and passes each line on. If the query asks for
/// everything, checkpoints and the ends of streams are lines too.
///
/// A node of a cluster answers from its own copies, which have everything up to the head that their owners know.
///
/// # Errors
/// Those of reads, and those of the function.
pub async fn export<S, E>(
    store: &S,
    query: Query,
    mut write: impl FnMut(ExportItem<'_>) -> Result<(), E>,
) -> Result<(), E>
where
    S: EventStore,
    E: From<ReadError>,
{
    let is_whole = query == Query::System;
    // What a reader has seen is part of the export, so checkpoints are older than the head.
    let checkpoints = if is_whole { checkpoints(store).await? } else { Vec::new() };
    let mut walk = Walk::new(store.head().await?, &checkpoints);
    let mut from = Start::Outermost;
    loop {
        let (level, at_least) = (ReadLevel::Local, Some(walk.head.clone()));
        let read = Read { from, level, at_least, ..Read::forward(query.clone()).limit(EVENTS) };
        let page = store.read(read).await?;
        page.events.iter().try_for_each(|event| walk.event(event, &mut write))?;
        if !page.more || page.cursor.covers(&walk.head) {
            break;
        }
        from = Start::Excluding(Point::Cursor(page.cursor));
    }
    walk.pass_all(&mut write)?;
    if is_whole {
        ends(store, &walk, &mut write).await?;
    }
    write(ExportItem::Total(ExportTotal { digest: walk.digest, partitions: walk.partitions() }))
}

/// How far an export has come.
struct Walk<'a> {
    head: Cursor,
    /// The last exported position of each partition.
    last: Vec<u64>,
    /// For each partition, the checkpoints that are not passed yet, the earliest one last.
    checkpoints: Vec<Vec<(u64, &'a str)>>,
    digest: EventDigest,
    /// The number of exported events.
    events: u64,
}

impl<'a> Walk<'a> {
    fn new(head: Cursor, all: &'a [CheckpointInfo]) -> Self {
        let count = head.positions().len();
        let at = |partition: usize| {
            let position = |cursor: &Cursor| cursor.positions().get(partition).copied();
            let position = |info: &CheckpointInfo| position(&info.cursor).unwrap_or_default();
            let mut found: Vec<_> =
                all.iter().map(|info| (position(info), info.name.as_str())).collect();
            found.sort_unstable_by(|a, b| b.cmp(a));
            found
        };
        Walk {
            last: vec![0; count],
            checkpoints: (0..count).map(at).collect(),
            digest: EventDigest::default(),
            events: 0,
            head,
        }
    }

    fn partitions(&self) -> u32 {
        self.last.len() as u32
    }

    /// Returns the partition of a stream.
    fn partition_of(&self, stream: &str) -> usize {
        partition_of(stream, self.partitions()) as usize
    }

    /// Returns the last position in a partition that the export has.
    fn end(&self, partition: usize) -> u64 {
        match self.head.is_start() {
            true => 0,
            false => self.head.positions().get(partition).copied().unwrap_or_default(),
        }
    }

    /// Returns the position of the last line.
    fn position(&self) -> u64 {
        self.last.iter().fold(0, |sum, position| sum.saturating_add(*position))
    }

    fn event<E>(
        &mut self,
        event: &Recorded,
        write: &mut impl FnMut(ExportItem<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let partition = self.partition_of(event.stream());
        if event.position() > self.end(partition) {
            return Ok(());
        }
        self.pass(partition, event.position(), write)?;
        if let Some(last) = self.last.get_mut(partition) {
            *last = event.position();
        }
        self.events += 1;
        self.digest.add(event);
        write(ExportItem::Event { position: self.position(), event })
    }

    /// Writes the checkpoints of a partition that lie before a position.
    fn pass<E>(
        &mut self,
        partition: usize,
        before: u64,
        write: &mut impl FnMut(ExportItem<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (position, is_one) = (self.position(), self.last.len() == 1);
        let Some(waiting) = self.checkpoints.get_mut(partition) else { return Ok(()) };
        while let Some((_, name)) = waiting.pop_if(|(at, _)| *at < before) {
            let partition = (!is_one).then_some(partition as u32);
            write(ExportItem::Checkpoint { position, name, partition })?;
        }
        Ok(())
    }

    fn pass_all<E>(
        &mut self,
        write: &mut impl FnMut(ExportItem<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        (0..self.last.len()).try_for_each(|partition| self.pass(partition, u64::MAX, write))
    }
}

/// Returns all checkpoints but those of reactors.
async fn checkpoints(store: &impl EventStore) -> Result<Vec<CheckpointInfo>, ReadError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.checkpoints(after, CHECKPOINTS).await?;
        after = page.last().map(|info| info.name.clone());
        all.extend(page.into_iter().filter(|info| !info.name.starts_with(OF_REACTORS)));
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// Writes the last version of each stream whose last event is dropped: its versions continue behind that.
async fn ends<S, E>(
    store: &S,
    walk: &Walk<'_>,
    write: &mut impl FnMut(ExportItem<'_>) -> Result<(), E>,
) -> Result<(), E>
where
    S: EventStore,
    E: From<ReadError>,
{
    let mut events = 0_u64;
    let mut listing = Listing::default();
    while let Some(info) = listing.next(store, walk).await? {
        events = events.saturating_add(end_at(store, &info, walk).await? + 1);
    }
    // If each version of each stream was written, no stream ends with a dropped one.
    if events == walk.events {
        return Ok(());
    }
    // Placeholders of lost events without a stream are no stream of the export.
    let position = walk.position();
    let mut listing = Listing::default();
    while let Some(info) = listing.next(store, walk).await? {
        let last_version = end_at(store, &info, walk).await?;
        let shown = last_shown(store, &info.name, walk).await?;
        if shown.is_none_or(|shown| shown < last_version) {
            // It was dropped before the head of the export, which may lie behind the last event.
            let position = position.max(walk.head.positions().iter().sum());
            write(ExportItem::End { position, stream: &info.name, last_version })?;
        }
    }
    Ok(())
}

/// The streams that began before the head of an export.
#[derive(Default)]
struct Listing {
    page: std::vec::IntoIter<StreamInfo>,
    after: Option<Cursor>,
    is_over: bool,
}

impl Listing {
    async fn next(
        &mut self,
        store: &impl EventStore,
        walk: &Walk<'_>,
    ) -> Result<Option<StreamInfo>, ReadError> {
        loop {
            let is_part =
                |info: &StreamInfo| info.first_position <= walk.end(walk.partition_of(&info.name));
            if let Some(info) = self.page.find(is_part) {
                return Ok(Some(info));
            }
            if self.is_over {
                return Ok(None);
            }
            let wanted = Streams { system: true, after: self.after.take(), ..Streams::default() };
            let page = store.streams(wanted).await?;
            // In a store of one log, all further streams begin behind the head too.
            let is_behind = walk.partitions() == 1
                && page.streams.last().is_some_and(|info| info.first_position > walk.end(0));
            self.is_over = !page.more || is_behind;
            self.after = Some(page.cursor);
            self.page = page.streams.into_iter();
        }
    }
}

/// Returns the last version that a stream had at the head of the export.
async fn end_at(
    store: &impl EventStore,
    info: &StreamInfo,
    walk: &Walk<'_>,
) -> Result<u64, ReadError> {
    if info.last_position <= walk.end(walk.partition_of(&info.name)) {
        return Ok(info.version);
    }
    let behind = Start::Excluding(Point::Cursor(walk.head.clone()));
    let next = store.ordinal(Query::stream(&info.name), behind).await?;
    Ok(next.saturating_sub(1))
}

/// Returns the last version of a stream that a read up to the head of the export shows.
async fn last_shown(
    store: &impl EventStore,
    stream: &str,
    walk: &Walk<'_>,
) -> Result<Option<u64>, ReadError> {
    let first = Read {
        level: ReadLevel::Local,
        at_least: Some(walk.head.clone()),
        ..Read::backward(Query::stream(stream)).limit(1)
    };
    let mut read = first.clone().including(Point::Cursor(walk.head.clone()));
    loop {
        let page = store.read(read).await?;
        if let Some(event) = page.events.first() {
            return Ok(Some(event.version()));
        }
        if !page.more {
            return Ok(None);
        }
        read = first.clone().after(page.cursor);
    }
}
