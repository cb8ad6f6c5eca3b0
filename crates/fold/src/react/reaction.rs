use leftfold_api::{Append, Cursor, Expected, NewEvent, Query};

use super::cause::{Cause, derived};

/// The events and conditions that a handler wants appended. They are appended together with the
/// reactor's progress, all or nothing.
///
/// An event without an id gets one that derives from its cause and its number in this list. So a
/// handler that is called again for the same event should return the same events in the same order:
/// an event that is already in the store stays unchanged.
#[derive(Debug, Clone, Default)]
pub struct Reaction {
    pub(crate) events: Vec<(String, NewEvent)>,
    pub(crate) expected: Vec<(String, Expected)>,
    pub(crate) none_after: Vec<(Query, Cursor)>,
}

impl Reaction {
    /// Returns empty results.
    pub fn none() -> Self {
        Reaction::default()
    }

    /// Adds an event. By default its correlation id is its cause's, and its causation id is its
    /// cause's id.
    pub fn event(mut self, stream: impl Into<String>, event: NewEvent) -> Self {
        self.events.push((stream.into(), event));
        self
    }

    /// Adds the condition that a stream is at an expected version. If it is not, the handler is
    /// called again, so that it reads and decides again.
    pub fn expect(mut self, stream: impl Into<String>, expected: Expected) -> Self {
        self.expected.push((stream.into(), expected));
        self
    }

    /// Adds the condition that no event after the cursor matches the query. If one does, the
    /// handler is called again.
    pub fn none_after(mut self, query: impl Into<Query>, cursor: Cursor) -> Self {
        self.none_after.push((query.into(), cursor));
        self
    }

    /// Adds the events and conditions of other results.
    pub fn and(mut self, other: Reaction) -> Self {
        self.events.extend(other.events);
        self.expected.extend(other.expected);
        self.none_after.extend(other.none_after);
        self
    }

    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn is_conditional(&self) -> bool {
        !self.expected.is_empty() || !self.none_after.is_empty()
    }

    /// Sets ids, correlation and causation of the events from their cause.
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

impl From<()> for Reaction {
    fn from((): ()) -> Self {
        Reaction::none()
    }
}
