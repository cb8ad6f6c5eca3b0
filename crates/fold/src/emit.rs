//! An event and where it goes.

use leftfold_api::{NewEvent, Timestamp};

use crate::event::{Event, Unencodable};

/// An event of a decision, and the stream that it goes into. Made by [`Event::to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emit<E> {
    /// The stream.
    pub stream: String,
    /// The event.
    pub event: E,
    /// When it happened; if not said, when it is committed.
    pub event_time: Option<Timestamp>,
}

impl<E> Emit<E> {
    /// With the time at which it happened.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.event_time = Some(time);
        self
    }
}

/// What [`given`](crate::given) takes: an event, or an event in a stream.
pub trait Fact {
    /// The stream, if it was said, and the event as it would be stored.
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
