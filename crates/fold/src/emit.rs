//! An event and its target stream.

use leftfold_api::{NewEvent, Timestamp};

use crate::event::{Event, Unencodable};

/// An event of a decision and the stream that it is appended to. Made by [`Event::to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emit<E> {
    /// The stream's name.
    pub stream: String,
    /// The event.
    pub event: E,
    /// When the event happened; `None` means its commit time.
    pub event_time: Option<Timestamp>,
}

impl<E> Emit<E> {
    /// Sets the time at which the event happened.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.event_time = Some(time);
        self
    }
}

/// An item that [`given`](crate::given) accepts: an event, or an event with its stream.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of the past that `given` accepts",
    label = "neither an event nor an event with its stream",
    note = "give events of an enum with `#[derive(leftfold::Event)]`, or `event.to(stream)`"
)]
pub trait Fact {
    /// Returns the stream, if one was given, and the event as it would be stored.
    fn fact(self) -> Result<(Option<String>, NewEvent), Unencodable>;
}

impl<E: Event> Fact for E {
    fn fact(self) -> Result<(Option<String>, NewEvent), Unencodable> {
        Ok((None, self.to_new()?))
    }
}

impl<E: Event> Fact for Emit<E> {
    fn fact(self) -> Result<(Option<String>, NewEvent), Unencodable> {
        let mut event = self.event.to_new()?;
        event.event_time = self.event_time;
        Ok((Some(self.stream), event))
    }
}
