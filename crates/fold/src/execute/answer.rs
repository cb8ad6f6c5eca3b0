use leftfold_api::Cursor;

/// What a command has led to. All of it is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Executed<E> {
    /// Its events, in the order of the decision.
    pub events: Vec<Done<E>>,
    /// Whoever reads at least here sees them, and all that the decision rested on.
    pub cursor: Cursor,
    /// How often it was decided: 1 if nothing came in between, 0 if it had been handled before.
    pub attempts: u32,
    /// Whether it had been handled before: these are the events of then.
    pub repeated: bool,
}

/// An event and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<E> {
    /// Its place in the log.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its number in the stream, from 0.
    pub version: u64,
    /// The event.
    pub event: E,
}
