use std::fmt;

use uuid::Uuid;

use crate::cursor::Cursor;
use crate::event::NewEvent;
use crate::query::Query;

/// Events, checkpoint moves and conditions that are written together or not at all.
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
    pub(crate) repeats_whole: bool,
}

/// The parts of an append, for implementations of a store.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts {
    /// The events with their streams, in the order in which they are written.
    pub events: Vec<(String, NewEvent)>,
    /// The expected state of each stream.
    pub expected: Vec<(String, Expected)>,
    /// The queries that no event after a cursor may match.
    pub none_after: Vec<(Query, Cursor)>,
    /// The checkpoint moves.
    pub checkpoints: Vec<CheckpointMove>,
    /// The named index whose ordinals the answer contains.
    pub ordinals_in: Option<String>,
    /// Whether the events were appended together before, or not at all.
    pub repeats_whole: bool,
}

/// The expected state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Any state.
    #[default]
    Any,
    /// The stream has no events.
    NoStream,
    /// The stream has events.
    Exists,
    /// The last event has this version.
    Exactly(u64),
}

/// A compare-and-set of a named checkpoint: an outdated reader can't move it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointMove {
    /// The name of the checkpoint.
    pub name: String,
    /// The expected cursor; `None` if it is not set yet.
    pub expected: Option<Cursor>,
    /// The new cursor.
    pub to: Cursor,
}

impl Append {
    /// Returns an empty append.
    pub fn new() -> Self {
        Append::default()
    }

    /// Returns an empty append with room for this many events.
    pub fn with_capacity(events: usize) -> Self {
        Append { events: Vec::with_capacity(events), ..Append::default() }
    }

    /// Adds an event. Events are written in the order in which they were added.
    pub fn event(mut self, stream: impl Into<String>, event: NewEvent) -> Self {
        self.events.push((stream.into(), event));
        self
    }

    /// Adds an expectation of a stream, which need not get events. Without one, any state is accepted.
    pub fn expect(mut self, stream: impl Into<String>, expected: Expected) -> Self {
        self.expected.push((stream.into(), expected));
        self
    }

    /// Adds the condition that no event after the cursor matches the query.
    pub fn none_after(mut self, query: Query, cursor: Cursor) -> Self {
        self.none_after.push((query, cursor));
        self
    }

    /// Adds a checkpoint move.
    pub fn checkpoint(mut self, to: CheckpointMove) -> Self {
        self.checkpoints.push(to);
        self
    }

    /// Says that the events were appended together before, in this order, or not at all: the caller made their ids
    /// for this append alone, and repeats it unchanged. The store then looks for the first id only, which is faster. It
    /// is a hint: a store may look for all of them.
    ///
    /// If it is not so, an event may be stored twice.
    pub fn repeats_whole(mut self) -> Self {
        self.repeats_whole = true;
        self
    }

    /// Asks for the ordinal of each event in a named index.
    pub fn ordinals_in(mut self, index: impl Into<String>) -> Self {
        self.ordinals_in = Some(index.into());
        self
    }

    /// Returns the named index whose ordinals the caller asked for.
    pub fn index_of_ordinals(&self) -> Option<&str> {
        self.ordinals_in.as_deref()
    }

    /// Returns the events with their streams, in the order in which they are written.
    pub fn events(&self) -> &[(String, NewEvent)] {
        &self.events
    }

    /// Returns the streams with their expected states.
    pub fn expectations(&self) -> &[(String, Expected)] {
        &self.expected
    }

    /// Returns the queries that no event after a cursor may match, with their cursors.
    pub fn conditions(&self) -> &[(Query, Cursor)] {
        &self.none_after
    }

    /// Returns the checkpoint moves.
    pub fn moves(&self) -> &[CheckpointMove] {
        &self.checkpoints
    }

    /// Splits the append into its parts.
    pub fn into_parts(self) -> Parts {
        let Append { events, expected, none_after, checkpoints, ordinals_in, repeats_whole } = self;
        Parts { events, expected, none_after, checkpoints, ordinals_in, repeats_whole }
    }

    /// Gives an id to each event that has none, so that a repeat of the append is recognized.
    pub fn fill_ids(&mut self, mut make: impl FnMut() -> Uuid) {
        for (_, event) in &mut self.events {
            event.id.get_or_insert_with(&mut make);
        }
    }
}

impl Expected {
    /// Whether the expectation holds for a stream with this last version.
    pub fn holds(self, last: Option<u64>) -> bool {
        match self {
            Expected::Any => true,
            Expected::NoStream => last.is_none(),
            Expected::Exists => last.is_some(),
            Expected::Exactly(version) => last == Some(version),
        }
    }

    /// Returns the version of the first new event, if the expectation determines it.
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

/// The answer to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The cursor behind its last event. A read with this as `at_least` sees the events.
    pub cursor: Cursor,
    /// The positions of the first and the last event; `None` if the append has no events.
    pub positions: Option<(u64, u64)>,
    /// The versions of the events, one entry for each stream, in the order of their first events.
    pub streams: Vec<Versions>,
    /// Whether the append was written before. This is then its first answer.
    pub repeated: bool,
    /// The ordinal of each event in the index of [`Append::ordinals_in`]; `None` for an event that the
    /// index does not list. Empty if no index was named.
    pub ordinals: Vec<Option<IndexOrdinal>>,
}

/// The ordinal of an event in a named index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexOrdinal {
    /// The partition; 0 in an index without partitions.
    pub partition: u32,
    /// The number of the event in its partition, from 0.
    pub ordinal: u64,
}

/// The versions of the new events of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The stream.
    pub stream: String,
    /// The version of the first event.
    pub first: u64,
    /// The version of the last event.
    pub last: u64,
}
