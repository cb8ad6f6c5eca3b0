use crate::cursor::Cursor;
use crate::query::Query;
use crate::recorded::Recorded;
use crate::retention::Retention;
use crate::time::Timestamp;

/// The direction of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the oldest to the newest event.
    #[default]
    Forward,
    /// From the newest to the oldest event.
    Backward,
}

/// How current the answer of a read must be, on a node of a cluster. The embedded store ignores it: there,
/// every read is linearizable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReadLevel {
    /// The owner of the partition answers. The read sees every append that was acknowledged before, unless
    /// the owner was deposed and has not noticed yet: then it may miss what its successor acknowledged.
    #[default]
    Committed,
    /// The copy of the node that is asked answers, also while the partition has no owner. It may lag behind
    /// the owner. It never goes back behind a cursor that the read names with [`Read::at_least`].
    Local,
    /// The owner answers after it has crossed a barrier in the log that begins after the read arrived. The
    /// read sees every append that was acknowledged before, also by another owner. The barrier takes
    /// as long as an append; reads that wait at the same time share it.
    Linearizable,
}

/// A read of one page of a query.
#[derive(Debug, Clone)]
pub struct Read {
    /// The query.
    pub query: Query,
    /// The start.
    pub from: Start,
    /// The direction.
    pub direction: Direction,
    /// The most events of the page; the limit of the store applies too.
    pub limit: usize,
    /// The bytes at which the page ends; the limit of the store applies too. A store at the other end of a network
    /// applies only its own.
    pub max_bytes: usize,
    /// Waits until the store has reached this cursor, to read your own writes.
    pub at_least: Option<Cursor>,
    /// How current the answer must be, on a node of a cluster.
    pub level: ReadLevel,
    /// Whether events come with their ordinals in the query, which must be one stream, one index or one
    /// partition of an index.
    pub with_ordinals: bool,
}

/// The start of a read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// At the oldest event; backward, at the newest.
    #[default]
    Outermost,
    /// At a point, including the events there.
    Including(Point),
    /// Beyond a point, excluding the events there.
    Excluding(Point),
}

/// A point in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// The end of a page, a subscription or an append.
    Cursor(Cursor),
    /// The event at a position.
    Position(u64),
    /// The event of a version; only for a query of exactly one stream.
    Version(u64),
    /// The n-th event, counted from 0; only for a query of one stream, one index or one partition.
    Ordinal(u64),
    /// The events with this commit time.
    CommitTime(Timestamp),
}

/// A page of events.
#[derive(Debug, Clone)]
pub struct Page {
    /// The events, in the direction of the read.
    pub events: Vec<Recorded>,
    /// The cursor behind the page. Continue with [`Read::after`].
    pub cursor: Cursor,
    /// Whether the page ended before the end of the log. An empty page can have more, since a page checks
    /// a bounded number of events.
    pub more: bool,
}

impl Read {
    /// Reads from the oldest event forward.
    pub fn forward(query: Query) -> Self {
        Read {
            query,
            from: Start::Outermost,
            direction: Direction::Forward,
            limit: usize::MAX,
            max_bytes: usize::MAX,
            at_least: None,
            level: ReadLevel::default(),
            with_ordinals: false,
        }
    }

    /// Reads from the newest event backward.
    pub fn backward(query: Query) -> Self {
        Read { direction: Direction::Backward, ..Read::forward(query) }
    }

    /// Begins at a point, including the events there.
    pub fn including(mut self, point: Point) -> Self {
        self.from = Start::Including(point);
        self
    }

    /// Begins beyond a point, excluding the events there.
    pub fn excluding(mut self, point: Point) -> Self {
        self.from = Start::Excluding(point);
        self
    }

    /// Begins after a cursor, such as that of the page before.
    pub fn after(self, cursor: Cursor) -> Self {
        self.excluding(Point::Cursor(cursor))
    }

    /// Sets the most events of the page.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the bytes at which the page ends.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Returns each event with its ordinal in the query: see
    /// [`Recorded::ordinal`](crate::Recorded::ordinal).
    pub fn with_ordinals(mut self) -> Self {
        self.with_ordinals = true;
        self
    }

    /// Waits until the store has reached a cursor.
    pub fn at_least(mut self, cursor: Cursor) -> Self {
        self.at_least = Some(cursor);
        self
    }

    /// Sets how current the answer must be, on a node of a cluster.
    pub fn level(mut self, level: ReadLevel) -> Self {
        self.level = level;
        self
    }
}

/// A subscription to a query: stored events from a point on, then new ones.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// The query.
    pub query: Query,
    /// The start; [`Start::Outermost`] is the beginning.
    pub from: Start,
    /// Whether events come with their ordinals in the query; see [`Read::with_ordinals`].
    pub with_ordinals: bool,
}

impl Subscribe {
    /// Subscribes from the beginning.
    pub fn to(query: Query) -> Self {
        Subscribe { query, from: Start::Outermost, with_ordinals: false }
    }

    /// Subscribes after a cursor.
    pub fn after(query: Query, cursor: Cursor) -> Self {
        Subscribe { from: Start::Excluding(Point::Cursor(cursor)), ..Subscribe::to(query) }
    }

    /// Delivers each event with its ordinal in the query.
    pub fn with_ordinals(mut self) -> Self {
        self.with_ordinals = true;
        self
    }
}

/// A delivery of a subscription.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// An event, and the cursor at which to resume after it.
    Event(Recorded, Cursor),
    /// The caught-up mark: all events so far have been delivered. It is repeated after the subscriber has
    /// fallen behind.
    CaughtUp(Cursor),
}

/// The state of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: String,
    /// The version of its last event.
    pub version: u64,
    /// The position of its first event.
    pub first_position: u64,
    /// The position of its last event.
    pub last_position: u64,
    /// Its own retention, without retention rules.
    pub retention: Retention,
    /// Whether it has a tombstone.
    pub tombstoned: bool,
}

impl StreamInfo {
    /// Whether all of its events so far were deleted. Version numbers continue.
    pub fn is_deleted(&self) -> bool {
        self.tombstoned || self.retention.truncate_before.is_some_and(|first| first > self.version)
    }
}

/// A list of streams: all, or those of a category, in the order in which they began.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// Only streams of this category.
    pub category: Option<String>,
    /// Whether streams of bookkeeping are listed too. Those of a category that is asked for always are.
    pub system: bool,
    /// Only streams that began after this cursor, that of the page before.
    pub after: Option<Cursor>,
    /// The most streams; 0 means the limit of the store.
    pub limit: usize,
}

/// A page of streams.
#[derive(Debug, Clone)]
pub struct StreamsPage {
    /// The streams.
    pub streams: Vec<StreamInfo>,
    /// The cursor for the next page.
    pub cursor: Cursor,
    /// Whether more streams follow.
    pub more: bool,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// Its name.
    pub name: String,
    /// Its cursor.
    pub cursor: Cursor,
}

impl CheckpointInfo {
    /// Returns a checkpoint, for implementations of a store.
    pub fn new(name: impl Into<String>, cursor: Cursor) -> Self {
        CheckpointInfo { name: name.into(), cursor }
    }
}
