use leftfold_api::Cursor;

/// The answer to a command. All of its events are durable.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Executed<E> {
    /// Its events, in the order of the decision.
    pub events: Vec<WrittenEvent<E>>,
    /// A read at least up to here sees them, and all that the decision rested on.
    pub cursor: Cursor,
    /// How often it was decided: 1 without conflicts, 0 if it had been handled before.
    pub attempts: u32,
    /// Whether it had been handled before: then these are its first events.
    pub repeated: bool,
}

/// An event with its stream, version and position.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenEvent<E> {
    /// Its position in the log.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its version: its number in the stream, from 0.
    pub version: u64,
    /// The event.
    pub event: E,
}

impl<E> Executed<E> {
    /// Returns the answer to a command that was decided once, for tests.
    pub fn new(events: Vec<WrittenEvent<E>>, cursor: Cursor) -> Self {
        Executed { events, cursor, attempts: 1, repeated: false }
    }
}

impl<E> WrittenEvent<E> {
    /// Returns an event at a position, as a version of a stream, for tests.
    pub fn new(position: u64, stream: impl Into<String>, version: u64, event: E) -> Self {
        WrittenEvent { position, stream: stream.into(), version, event }
    }
}
