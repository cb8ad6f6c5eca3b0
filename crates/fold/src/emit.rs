//! What a decision wants written.

use leftfold_api::{NewEvent, Timestamp};

use crate::event::{Event, Unencodable};
use crate::timer::Timer;

/// What a decision wants written: an event with its target stream, made by [`Event::to`], or a
/// timer that is set or cancelled. All of a decision is written together or not at all.
///
/// A timer needs a [running](crate::timer::timers) reactor. A stream can't be given a tombstone by a
/// decision, because an append holds only events: call `tombstone_stream` afterwards, for example in
/// a reactor to the event that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Emit<E> {
    /// Appends an event.
    Event {
        /// The stream's name.
        stream: String,
        /// The event.
        event: E,
        /// When the event happened; `None` means its commit time.
        event_time: Option<Timestamp>,
    },
    /// Sets a timer that appends an event when it is due.
    Timer {
        /// The timer's name.
        name: String,
        /// When the event is appended.
        due: Timestamp,
        /// The stream that the event is appended to.
        stream: String,
        /// The event.
        event: E,
    },
    /// Cancels a timer.
    CancelTimer {
        /// The timer's name.
        name: String,
    },
}

impl<E> Emit<E> {
    /// Sets a timer: the event is appended to the stream at `due`. Setting a timer of the same name
    /// again before it has fired replaces it. See [`timer`](crate::timer).
    pub fn timer(
        name: impl Into<String>,
        due: Timestamp,
        stream: impl Into<String>,
        event: E,
    ) -> Self {
        Emit::Timer { name: name.into(), due, stream: stream.into(), event }
    }

    /// Cancels a timer. It has no effect after the timer has fired.
    pub fn cancel_timer(name: impl Into<String>) -> Self {
        Emit::CancelTimer { name: name.into() }
    }

    /// Sets the time at which the event happened; that of a timer's event is when it is due.
    pub fn at(mut self, time: Timestamp) -> Self {
        if let Emit::Event { event_time, .. } = &mut self {
            *event_time = Some(time);
        }
        self
    }

    /// Returns the event that is appended at once, with its stream.
    pub(crate) fn event(&self) -> Option<(&str, &E)> {
        match self {
            Emit::Event { stream, event, .. } => Some((stream, event)),
            Emit::Timer { .. } | Emit::CancelTimer { .. } => None,
        }
    }
}

impl<E: Event> Emit<E> {
    /// Returns what is appended, and its stream.
    pub(crate) fn to_new(&self) -> Result<(String, NewEvent), Unencodable> {
        match self {
            Emit::Event { stream, event, event_time } => {
                let mut event = event.to_new()?;
                event.event_time = *event_time;
                Ok((stream.clone(), event))
            }
            Emit::Timer { name, due, stream, event } => {
                Ok(Timer::new(name, *due, stream, event.to_new()?).set())
            }
            Emit::CancelTimer { name } => Ok(Timer::cancel(name)),
        }
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
        let (stream, event) = self.to_new()?;
        Ok((Some(stream), event))
    }
}
