use std::marker::PhantomData;

use leftfold_api::Timestamp;

use super::Process;
use crate::emit::Fact;
use crate::event::Event;
use crate::given::{Given, given as given_events, must};
use crate::payload::Payload;
use crate::react::{Cause, Reaction};

/// Returns the earlier events of a process, for tests without a store.
///
/// ```
/// use leftfold::process::{self, Process};
/// use leftfold::react::{Cause, Reaction};
/// use leftfold::{Event, State, Timestamp};
///
/// #[derive(Debug, PartialEq, Event)]
/// enum Order { Placed { order: String }, Paid, Overdue }
///
/// #[derive(Default)]
/// struct Payment { paid: bool }
///
/// impl State for Payment {
///     type Event = Order;
///
///     fn apply(&mut self, event: &Order) {
///         self.paid |= *event == Order::Paid;
///     }
/// }
///
/// impl Process for Payment {
///     fn react(&self, event: &Order, cause: &Cause) -> Reaction {
///         let due = Timestamp(cause.now.micros() + 86_400_000_000);
///         match event {
///             Order::Placed { order } => Reaction::none().emit_at(order, due, Order::Overdue.to(order)),
///             _ => Reaction::none(),
///         }
///     }
/// }
///
/// let placed = Order::Placed { order: "order-1".into() };
/// let reaction = process::given::<Payment>([Order::Paid; 0]).at(Timestamp(5)).when(placed);
/// assert_eq!(reaction.timers()[0].due(), Timestamp(86_400_000_005));
/// ```
///
/// # Panics
/// If an event can't be encoded.
pub fn given<P: Process>(events: impl IntoIterator<Item = impl Fact>) -> GivenProcess<P> {
    GivenProcess {
        events: given_events(events),
        now: Timestamp(0),
        correlation: None,
        process: PhantomData,
    }
}

/// The earlier events of a process; see [`given`].
pub struct GivenProcess<P> {
    events: Given,
    now: Timestamp,
    correlation: Option<String>,
    process: PhantomData<fn() -> P>,
}

impl<P: Process> GivenProcess<P> {
    /// Adds events after these, perhaps of other streams.
    pub fn and(mut self, events: impl IntoIterator<Item = impl Fact>) -> Self {
        self.events = self.events.and(events);
        self
    }

    /// Sets the time at which the process reacts.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Sets the correlation id of the event that the process reacts to.
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.correlation = Some(id.into());
        self
    }

    /// Returns how the process reacts to an event, given the earlier ones. An event without a
    /// stream is in the stream `given`.
    ///
    /// # Panics
    /// If the event can't be encoded, or is not of the process's enum.
    pub fn when(&self, event: impl Fact) -> Reaction {
        let (stream, new) = must(event.fact());
        let payload = Payload::new(&*new.content_type, &*new.data);
        let decoded = must(P::Event::decode(&new.event_type, new.schema_version, &payload));
        let event = must(decoded.ok_or("the process does not know events of this type"));
        let stream = stream.as_deref().unwrap_or("given");
        let mut cause = Cause::of_new(stream, new).at(self.now);
        if let Some(id) = &self.correlation {
            cause = cause.correlation(id);
        }
        let mut state: P = self.events.state();
        state.apply(&event);
        state.react(&event, &cause)
    }
}
