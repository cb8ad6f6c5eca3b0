use std::fmt;

use uuid::Uuid;

use crate::cursor::Cursor;
use crate::event::NewEvent;
use crate::query::Query;

/// What is to be written, and on what conditions. All of it happens, or none.
///
/// ```
/// use leftfold_api::{Append, Expected, NewEvent};
///
/// let append = Append::new()
///     .event("order-1", NewEvent::json("OrderPlaced", r#"{"total":"9.90"}"#))
///     .event("customer-7", NewEvent::json("OrderNoted", r#"{"order":"order-1"}"#))
///     .expect("order-1", Expected::NoStream);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Append {
    pub(crate) events: Vec<(String, NewEvent)>,
    pub(crate) expected: Vec<(String, Expected)>,
    pub(crate) none_after: Vec<(Query, Cursor)>,
    pub(crate) checkpoints: Vec<CheckpointMove>,
    pub(crate) ordinals_in: Option<String>,
}

/// The parts of an append, for a store that takes them over.
#[derive(Debug)]
pub struct Parts {
    /// The events and their streams, in the order in which they are written.
    pub events: Vec<(String, NewEvent)>,
    /// The expected state of each stream.
    pub expected: Vec<(String, Expected)>,
    /// The queries that must match nothing after a cursor.
    pub none_after: Vec<(Query, Cursor)>,
    /// The checkpoint moves.
    pub checkpoints: Vec<CheckpointMove>,
    /// The named index whose ordinals the answer has.
    pub ordinals_in: Option<String>,
}

/// Where a stream is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Anywhere.
    #[default]
    Any,
    /// It has no events.
    NoStream,
    /// It has events.
    Exists,
    /// Its last event has this version.
    Exactly(u64),
}

/// Moves a named checkpoint, if it is where it is expected: whoever was overtaken can't rewind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointMove {
    /// Its name.
    pub name: String,
    /// Where it is expected; none for not yet set.
    pub expected: Option<Cursor>,
    /// Where it goes.
    pub to: Cursor,
}

impl Append {
    /// Nothing yet.
    pub fn new() -> Self {
        Append::default()
    }

    /// With an event more; events are written in the order in which they were added.
    pub fn event(mut self, stream: impl Into<String>, event: NewEvent) -> Self {
        self.events.push((stream.into(), event));
        self
    }

    /// With an expectation of a stream, whether or not events are added to it. A stream without
    /// one is expected anywhere.
    pub fn expect(mut self, stream: impl Into<String>, expected: Expected) -> Self {
        self.expected.push((stream.into(), expected));
        self
    }

    /// On condition that no event after the cursor matches the query.
    pub fn none_after(mut self, query: Query, cursor: Cursor) -> Self {
        self.none_after.push((query, cursor));
        self
    }

    /// With a checkpoint move.
    pub fn checkpoint(mut self, to: CheckpointMove) -> Self {
        self.checkpoints.push(to);
        self
    }

    /// Answers with the ordinal that each event has in a named index.
    pub fn ordinals_in(mut self, index: impl Into<String>) -> Self {
        self.ordinals_in = Some(index.into());
        self
    }

    /// The named index whose ordinals the answer has, if the caller asked for them.
    pub fn index_of_ordinals(&self) -> Option<&str> {
        self.ordinals_in.as_deref()
    }

    /// The events and their streams, in the order in which they are written.
    pub fn events(&self) -> &[(String, NewEvent)] {
        &self.events
    }

    /// What is expected of which stream.
    pub fn expectations(&self) -> &[(String, Expected)] {
        &self.expected
    }

    /// Which queries must yield nothing after which cursors.
    pub fn conditions(&self) -> &[(Query, Cursor)] {
        &self.none_after
    }

    /// The checkpoint moves.
    pub fn moves(&self) -> &[CheckpointMove] {
        &self.checkpoints
    }

    /// Takes the append apart.
    pub fn into_parts(self) -> Parts {
        let Append { events, expected, none_after, checkpoints, ordinals_in } = self;
        Parts { events, expected, none_after, checkpoints, ordinals_in }
    }

    /// Gives an id to each event that has none: then a repeat of the append is known.
    pub fn fill_ids(&mut self, mut make: impl FnMut() -> Uuid) {
        for (_, event) in &mut self.events {
            event.id.get_or_insert_with(&mut make);
        }
    }
}

impl Expected {
    /// Whether it holds for a stream whose last version is this.
    pub fn holds(self, last: Option<u64>) -> bool {
        match self {
            Expected::Any => true,
            Expected::NoStream => last.is_none(),
            Expected::Exists => last.is_some(),
            Expected::Exactly(version) => last == Some(version),
        }
    }

    /// The version that the first new event would have, where the expectation says it.
    pub fn next(self) -> Option<u64> {
        match self {
            Expected::Any | Expected::Exists => None,
            Expected::NoStream => Some(0),
            Expected::Exactly(version) => version.checked_add(1),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Any => f.write_str("anywhere"),
            Expected::NoStream => f.write_str("to have no events"),
            Expected::Exists => f.write_str("to have events"),
            Expected::Exactly(version) => write!(f, "to end with version {version}"),
        }
    }
}

/// Where an append was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// After its last event: what is read "at least" here sees it.
    pub cursor: Cursor,
    /// The positions of its first and its last event; none if it has no events.
    pub positions: Option<(u64, u64)>,
    /// The versions that its events got, stream by stream in the order of their first events.
    pub streams: Vec<Versions>,
    /// Whether it had been written before: this is what was answered then.
    pub repeated: bool,
    /// The place of each event in the named index of [`Append::ordinals_in`], `None` for one that
    /// the index does not list. Empty if no index was named.
    pub ordinals: Vec<Option<IndexOrdinal>>,
}

/// An event's place in a named index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexOrdinal {
    /// The partition; 0 in an index without partitions.
    pub partition: u32,
    /// The number of the event in its partition, from 0.
    pub ordinal: u64,
}

/// The versions that a stream's new events got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The stream.
    pub stream: String,
    /// The version of the first.
    pub first: u64,
    /// The version of the last.
    pub last: u64,
}
