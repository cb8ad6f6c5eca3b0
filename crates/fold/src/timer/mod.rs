//! Durable timers: an event is appended at a time, also after crashes and restarts.
//!
//! A timer is set by an event in a stream of its own, `leftfold.timer-NAME`. When it is due,
//! another event in that stream records that it has fired, in the same append as the requested
//! event. So it fires once, and a deadline survives a restart. A timer that is set again or
//! cancelled before it has fired gets another event in its stream; only the last setting fires.
//!
//! ```
//! # use leftfold::timer::{self, Timer};
//! # use leftfold::{Append, NewEvent, Timestamp};
//! let unpaid = NewEvent::json("PaymentTimedOut", "{}");
//! let timer = Timer::new("order-1/payment", Timestamp(1_700_000_000_000_000), "order-1", unpaid);
//! let (stream, event) = timer.set();
//! let append = Append::new().event("order-1", NewEvent::json("OrderPlaced", "{}")).event(stream, event);
//! # drop(append);
//! ```
//!
//! The event of a timer has the correlation id, the causation id and the metadata that it was given, or
//! those of the event that set the timer.
//!
//! One process among all that use the store must run [`timers`]. Pending timers are in memory, at
//! most [`held_lanes`](crate::react::ReactorLimits::held_lanes).

use std::sync::Arc;

use bytes::Bytes;
use leftfold_api::{EventStore, Expected, NewEvent, Query, Recorded, Timestamp};
use serde::{Deserialize, Serialize};

use crate::emit::Emit;
use crate::event::Event;
use crate::execute::metadata_of;
use crate::react::{Cause, Handler, HandlerError, Lanes, Reaction, Reactor};
use crate::text::as_text;

const SET: &str = "leftfold.TimerSet";
const CANCELLED: &str = "leftfold.TimerCancelled";
const FIRED: &str = "leftfold.TimerFired";
/// The key of the tag that tells the settings of timers apart, so that they wait independently.
const SETTING: &str = "leftfold.timer";

/// An event to append at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timer {
    name: String,
    due: Timestamp,
    stream: String,
    event: NewEvent,
}

impl Payload {
    pub(crate) fn of(bytes: &Bytes) -> Self {
        match String::from_utf8(bytes.to_vec()) {
            Ok(text) => Payload::Text { text },
            Err(error) => Payload::Bytes { bytes: error.into_bytes() },
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Payload::Text { text } => text.into_bytes(),
            Payload::Bytes { bytes } => bytes,
        }
    }
}

/// The data of the event that sets a timer.
#[derive(Serialize, Deserialize)]
struct Setting {
    #[serde(with = "as_text")]
    due: Timestamp,
    stream: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Payload>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<(String, String)>,
    schema_version: u16,
    content_type: String,
    data: Payload,
}

/// A payload; JSON and other text stays readable.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Payload {
    Text { text: String },
    Bytes { bytes: Vec<u8> },
}

impl Timer {
    /// Makes a timer that appends the event to the stream at `due`. Setting a timer of the same
    /// name again before it has fired replaces it.
    pub fn new(
        name: impl Into<String>,
        due: Timestamp,
        stream: impl Into<String>,
        event: NewEvent,
    ) -> Self {
        Timer { name: name.into(), due, stream: stream.into(), event }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns when its event is due.
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// Returns the stream of its event.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Returns its event.
    pub fn event(&self) -> &NewEvent {
        &self.event
    }

    /// Returns the event that sets the timer, and its stream. It has the correlation id, the
    /// causation id and the metadata of the timer's event.
    pub fn set(self) -> (String, NewEvent) {
        let Timer { name, due, stream, event } = self;
        let setting = Setting {
            due,
            stream,
            event_type: event.event_type,
            correlation: event.correlation.clone(),
            causation: event.causation.clone(),
            metadata: Some(&event.metadata).filter(|bytes| !bytes.is_empty()).map(Payload::of),
            tags: event.tags,
            schema_version: event.schema_version,
            content_type: event.content_type,
            data: Payload::of(&event.data),
        };
        let json = serde_json::to_vec(&setting).unwrap_or_default();
        let mut set = NewEvent::json(SET, json).tag(SETTING, format!("{name}@{}", due.micros()));
        (set.correlation, set.causation) = (event.correlation, event.causation);
        set.metadata = event.metadata;
        (stream_of(&name), set)
    }

    /// Returns the timer that an event sets, if it sets one.
    fn of_set(stream: &str, set: &NewEvent) -> Option<Timer> {
        let name = stream.strip_prefix(STREAMS).filter(|_| set.event_type == SET)?;
        let setting: Setting = serde_json::from_slice(&set.data).ok()?;
        let due = setting.due;
        let (stream, event) = setting.event();
        Some(Timer { name: name.to_owned(), due, stream, event })
    }

    /// Returns the event that cancels a timer, and its stream. It has no effect after the timer has
    /// fired.
    pub fn cancel(name: &str) -> (String, NewEvent) {
        (stream_of(name), NewEvent::json(CANCELLED, "{}"))
    }
}

impl Reaction {
    /// Adds an event that sets a timer.
    pub fn timer(self, timer: Timer) -> Self {
        let (stream, event) = timer.set();
        self.event(stream, event)
    }

    /// Sets a timer of an event of an enum: it is appended at `due`, unless the timer of this name
    /// is set again or cancelled before. An event that can't be encoded parks its cause.
    pub fn emit_at<E: Event>(self, name: impl Into<String>, due: Timestamp, emit: Emit<E>) -> Self {
        match emit.to_new() {
            Ok((stream, event)) => self.timer(Timer::new(name, due, stream, event)),
            Err(error) => self.failed(HandlerError::park(error.to_string())),
        }
    }

    /// Adds an event that cancels a timer.
    pub fn cancel_timer(self, name: &str) -> Self {
        let (stream, event) = Timer::cancel(name);
        self.event(stream, event)
    }

    /// Returns the timers that are set.
    pub fn timers(&self) -> Vec<Timer> {
        self.new_events()
            .iter()
            .filter_map(|(stream, event)| Timer::of_set(stream, event))
            .collect()
    }

    /// Returns the names of the timers that are cancelled.
    pub fn cancelled_timers(&self) -> Vec<&str> {
        let cancelled = self.new_events().iter().filter(|(_, event)| event.event_type == CANCELLED);
        cancelled.filter_map(|(stream, _)| stream.strip_prefix(STREAMS)).collect()
    }
}

/// The prefix of the timers' streams.
const STREAMS: &str = "leftfold.timer-";

fn stream_of(name: &str) -> String {
    format!("{STREAMS}{name}")
}

/// Makes the reactor that fires all timers of a store. Run it like any reactor. Set its clock with
/// [`Reactor::time`].
pub fn timers<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
{
    let of_handler = store.clone();
    let fire = move |cause: Cause| {
        let store = of_handler.clone();
        async move { fire(&*store, &cause).await }
    };
    let lanes = Lanes::ByTag(SETTING.to_owned());
    Reactor::new("leftfold.timers", Query::event_type(SET), store, fire).lanes(lanes)
}

async fn fire(store: &impl EventStore, cause: &Cause) -> Result<Reaction, HandlerError> {
    // A right to append to other streams must not become one to append anywhere.
    if !cause.event.stream().starts_with(STREAMS) {
        return Ok(Reaction::none());
    }
    let setting: Setting = serde_json::from_slice(&cause.event.data())
        .map_err(|error| HandlerError::park(format!("the timer can't be read: {error}")))?;
    if setting.due > cause.now {
        return Err(HandlerError::later(setting.due));
    }
    let timer = cause.event.stream();
    let last = store.stream(timer).await?.map(|info| info.version);
    if last != Some(cause.event.version()) {
        // It was set again or cancelled, or has fired.
        return Ok(Reaction::none());
    }
    let fired = NewEvent::json(FIRED, "{}");
    let (stream, event) = setting.wanted(&cause.event);
    let expected = Expected::Exactly(cause.event.version());
    Ok(Reaction::none().event(timer, fired).event(stream, event).expect(timer, expected))
}

impl Setting {
    /// Returns the requested event and its stream.
    fn wanted(self, set: &Recorded) -> (String, NewEvent) {
        let due = self.due;
        let (stream, mut event) = self.event();
        event.event_time = Some(due);
        event.correlation = event.correlation.or_else(|| set.correlation().map(str::to_owned));
        event.causation = event.causation.or_else(|| set.causation().map(str::to_owned));
        if event.metadata.is_empty() {
            event.metadata = metadata_of(set);
        }
        (stream, event)
    }

    /// Returns the event as it was given, and its stream.
    fn event(self) -> (String, NewEvent) {
        let mut event = NewEvent::new(self.event_type, self.data.into_bytes());
        event.content_type = self.content_type;
        event.schema_version = self.schema_version;
        event.tags = self.tags;
        (event.correlation, event.causation) = (self.correlation, self.causation);
        event.metadata = self.metadata.map(Payload::into_bytes).unwrap_or_default().into();
        (self.stream, event)
    }
}
