use crate::cursor::Cursor;
use crate::query::Query;
use crate::recorded::Recorded;
use crate::retention::Retention;
use crate::time::Timestamp;

/// Which way a read goes through the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From old to new.
    #[default]
    Forward,
    /// From new to old.
    Backward,
}

/// One page of what a query yields.
#[derive(Debug, Clone)]
pub struct Read {
    /// Which events.
    pub query: Query,
    /// From where on.
    pub from: From,
    /// Which way.
    pub direction: Direction,
    /// At most so many events; larger than the store's limit means the store's limit.
    pub limit: usize,
    /// Waits until the store is at least here: read your own writes.
    pub at_least: Option<Cursor>,
    /// Whether each event comes with its ordinal in the query, which must be one stream, one index
    /// or one partition of an index.
    pub with_ordinals: bool,
}

/// Where a read begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum From {
    /// At the oldest event, or, backward, at the newest.
    #[default]
    Outermost,
    /// At this point, what lies there included.
    Including(Point),
    /// Beyond this point, what lies there excluded.
    Excluding(Point),
}

/// A point in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// Where a page, a subscription or an append ended.
    Cursor(Cursor),
    /// The event at a position.
    Position(u64),
    /// The event of a version; for a query that is one stream and no more.
    Version(u64),
    /// The n-th event, counted from 0; for a query that is one stream or one named index.
    Ordinal(u64),
    /// The events that were committed at this time.
    CommitTime(Timestamp),
}

/// What a read found.
#[derive(Debug, Clone)]
pub struct Page {
    /// The events, in the direction of the read.
    pub events: Vec<Recorded>,
    /// Where to go on, excluding.
    pub cursor: Cursor,
    /// Whether the page ended before the log did. It may have no events and yet more may follow:
    /// a page looks at a bounded number of events.
    pub more: bool,
}

impl Read {
    /// What a query yields, from the oldest on.
    pub fn forward(query: Query) -> Self {
        Read {
            query,
            from: From::Outermost,
            direction: Direction::Forward,
            limit: usize::MAX,
            at_least: None,
            with_ordinals: false,
        }
    }

    /// What a query yields, from the newest back.
    pub fn backward(query: Query) -> Self {
        Read { direction: Direction::Backward, ..Read::forward(query) }
    }

    /// From this point on, what lies there included.
    pub fn including(mut self, point: Point) -> Self {
        self.from = From::Including(point);
        self
    }

    /// Beyond this point, what lies there excluded.
    pub fn excluding(mut self, point: Point) -> Self {
        self.from = From::Excluding(point);
        self
    }

    /// After a cursor: the next page.
    pub fn after(self, cursor: Cursor) -> Self {
        self.excluding(Point::Cursor(cursor))
    }

    /// At most so many events.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Returns each event with its ordinal in the query: see
    /// [`Recorded::ordinal`](crate::Recorded::ordinal).
    pub fn with_ordinals(mut self) -> Self {
        self.with_ordinals = true;
        self
    }

    /// Not before the store is at least here.
    pub fn at_least(mut self, cursor: Cursor) -> Self {
        self.at_least = Some(cursor);
        self
    }
}

/// Everything that a query yields from some point on, and then what comes.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// Which events.
    pub query: Query,
    /// From where on: [`From::Outermost`] is the beginning.
    pub from: From,
    /// Whether each event comes with its ordinal in the query; see [`Read::with_ordinals`].
    pub with_ordinals: bool,
}

impl Subscribe {
    /// From the beginning.
    pub fn to(query: Query) -> Self {
        Subscribe { query, from: From::Outermost, with_ordinals: false }
    }

    /// After a cursor.
    pub fn after(query: Query, cursor: Cursor) -> Self {
        Subscribe { from: From::Excluding(Point::Cursor(cursor)), ..Subscribe::to(query) }
    }
}

impl Subscribe {
    /// Delivers each event with its ordinal in the query.
    pub fn with_ordinals(mut self) -> Self {
        self.with_ordinals = true;
        self
    }
}

/// What a subscription delivers.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// An event. Once it is handled, its cursor is where to resume.
    Event(Recorded, Cursor),
    /// All events so far have been delivered; what follows is new. Comes again after the
    /// subscriber has fallen behind.
    CaughtUp(Cursor),
}

/// A stream, as it is now.
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
    /// What of it is kept; without the rules that it falls under.
    pub retention: Retention,
    /// Whether it was closed with a tombstone.
    pub tombstoned: bool,
}

impl StreamInfo {
    /// Whether all of its events so far were deleted. It goes on counting.
    pub fn is_deleted(&self) -> bool {
        self.tombstoned || self.retention.truncate_before.is_some_and(|first| first > self.version)
    }
}

/// Which streams are wanted: all, or those of a category, in the order in which they began.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// Only this category's.
    pub category: Option<String>,
    /// Only those that began after it; the last page's cursor.
    pub after: Option<Cursor>,
    /// At most so many; 0 means the store's limit.
    pub limit: usize,
}

/// Some streams.
#[derive(Debug, Clone)]
pub struct StreamsPage {
    /// The streams.
    pub streams: Vec<StreamInfo>,
    /// Where to go on.
    pub cursor: Cursor,
    /// Whether there are more.
    pub more: bool,
}
