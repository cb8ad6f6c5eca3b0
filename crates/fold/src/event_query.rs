//! Queries for the events of one enum.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use leftfold_api::{Field, Query, Value};

use crate::event::Event;

/// A query for events of the enum `E`. The functions that `#[derive(Event)]` generates make them, so
/// that a misspelled type or tag does not compile:
///
/// ```
/// use leftfold::{Event, EventQuery, Query};
///
/// #[derive(Event)]
/// #[event(prefix = "booking.", category = "booking")]
/// enum Booking {
///     Booked { #[event(tag)] room: String, #[event(tag)] guest: u64 },
///     Moved { #[event(tag = "room")] from: String, #[event(tag = "room")] to: String },
///     Cancelled,
/// }
///
/// let text = |query: EventQuery<Booking>| query.to_string();
/// assert_eq!(text(Booking::query()), "type:booking.Booked,booking.Moved,booking.Cancelled");
/// assert_eq!(text(Booking::of_moved()), "type:booking.Moved");
/// assert_eq!(text(Booking::by_room("101")), "type:booking.Booked,booking.Moved tag:room=101");
/// assert_eq!(text(Booking::by_guest(&7)), "type:booking.Booked tag:guest=7");
/// assert_eq!(Booking::stream(5), "booking-5");
///
/// // It is a query like others.
/// let either = Booking::by_room("101").or(Booking::of_cancelled());
/// let query: Query = either.into();
/// # assert_eq!(query.to_string().parse(), Ok(query));
/// ```
pub struct EventQuery<E> {
    query: Query,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> EventQuery<E> {
    /// Selects all events of the enum.
    pub fn all() -> Self {
        let types: Vec<_> = E::KINDS.iter().map(|kind| kind.event_type).collect();
        select_types(&types)
    }
}

impl<E> EventQuery<E> {
    /// Takes any query as one for events of `E`. Nothing checks its types and tags, so use the
    /// functions of the enum where they suffice. An enum that implements [`Event`] by hand makes such
    /// functions of this one.
    pub fn untyped(query: impl Into<Query>) -> Self {
        EventQuery { query: query.into(), event: PhantomData }
    }

    /// Selects events that match this query and another one.
    pub fn and(self, other: Self) -> Self {
        EventQuery::untyped(self.query.and(other.query))
    }

    /// Selects events that match this query or another one.
    pub fn or(self, other: Self) -> Self {
        EventQuery::untyped(self.query.or(other.query))
    }
}

/// Selects the events of some types.
pub fn select_types<E>(types: &[&str]) -> EventQuery<E> {
    let types = types.iter().map(|name| Value::Exactly((*name).to_owned())).collect();
    EventQuery::untyped(Query::Is(Field::Type, types))
}

/// Selects the events of the types that have a tag, by its value.
pub fn select_tagged<E>(types: &[&str], key: &str, value: &impl Display) -> EventQuery<E> {
    select_types(types).and(EventQuery::untyped(Query::tag(key, &value.to_string())))
}

impl<E> From<EventQuery<E>> for Query {
    fn from(query: EventQuery<E>) -> Query {
        query.query
    }
}

impl<E> Clone for EventQuery<E> {
    fn clone(&self) -> Self {
        EventQuery::untyped(self.query.clone())
    }
}

impl<E> PartialEq for EventQuery<E> {
    fn eq(&self, other: &Self) -> bool {
        self.query == other.query
    }
}

impl<E> Eq for EventQuery<E> {}

impl<E> fmt::Debug for EventQuery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventQuery").field(&self.query).finish()
    }
}

impl<E> Display for EventQuery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.query.fmt(f)
    }
}
