use leftfold_api::{Append, Cursor, Expected, NewEvent, Query};

use super::cause::{Cause, derived};

/// What a handler wants written: events, and on what conditions. It is appended together with the
/// reactor's progress, all or nothing.
///
/// Events without an id get one that is derived from their cause and their number here, so a
/// handler that is called again for the same event should give the same events in the same order:
/// what is in the store already stays as it was the first time.
#[derive(Debug, Clone, Default)]
pub struct Results {
    pub(crate) events: Vec<(String, NewEvent)>,
    pub(crate) expected: Vec<(String, Expected)>,
    pub(crate) none_after: Vec<(Query, Cursor)>,
}

impl Results {
    /// Nothing to be written.
    pub fn none() -> Self {
        Results::default()
    }

    /// With an event more. Its correlation is its cause's, and its causation its cause's id, unless
    /// it says otherwise.
    pub fn event(mut self, stream: impl Into<String>, event: NewEvent) -> Self {
        self.events.push((stream.into(), event));
        self
    }

    /// On condition that a stream is where it is expected. If it is not, the handler is called
    /// again, to read again and decide again.
    pub fn expect(mut self, stream: impl Into<String>, expected: Expected) -> Self {
        self.expected.push((stream.into(), expected));
        self
    }

    /// On condition that no event after the cursor matches the query. If one does, the handler is
    /// called again.
    pub fn none_after(mut self, query: Query, cursor: Cursor) -> Self {
        self.none_after.push((query, cursor));
        self
    }

    /// With all that another has.
    pub fn and(mut self, other: Results) -> Self {
        self.events.extend(other.events);
        self.expected.extend(other.expected);
        self.none_after.extend(other.none_after);
        self
    }

    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn is_conditional(&self) -> bool {
        !self.expected.is_empty() || !self.none_after.is_empty()
    }

    /// Gives every event what it has of its cause.
    pub(crate) fn caused_by(mut self, cause: &Cause) -> Self {
        for (number, (_, event)) in (0..).zip(&mut self.events) {
            event.id.get_or_insert_with(|| derived(cause.key, number));
            if event.correlation.is_none() {
                event.correlation = cause.event.correlation().map(str::to_owned);
            }
            event.causation.get_or_insert_with(|| cause.event.id().to_string());
        }
        self
    }

    pub(crate) fn add_to(&self, mut append: Append) -> Append {
        for (stream, event) in &self.events {
            append = append.event(stream, event.clone());
        }
        for (stream, expected) in &self.expected {
            append = append.expect(stream, *expected);
        }
        for (query, cursor) in &self.none_after {
            append = append.none_after(query.clone(), cursor.clone());
        }
        append
    }
}

impl From<()> for Results {
    fn from((): ()) -> Self {
        Results::none()
    }
}
