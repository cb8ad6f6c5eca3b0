//! Timers: something is to happen at a time, whatever happens to the process meanwhile.
//!
//! A timer is set by a fact, in a stream of its own: `leftfold.timer-NAME`. When it is due, another
//! fact there says that it has fired, in the same append as the event that was asked for. So it fires
//! once, and a deadline survives a restart. Setting it again, or cancelling it, before it has fired is
//! a fact behind the first, and what fires is the last that was set.
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
//! Something must run [`timers`], in one process of all that use the store. A timer is kept in memory
//! until its time has come: as many as [`held_lanes`](crate::reactor::ReactorLimits::held_lanes).

use std::sync::Arc;

use leftfold_api::{EventStore, Expected, NewEvent, Query, Recorded, Timestamp};
use serde::{Deserialize, Serialize};

use crate::reactor::{Cause, Handler, Lanes, Reactor, Results, Setback};
use crate::text::as_text;

const SET: &str = "leftfold.TimerSet";
const CANCELLED: &str = "leftfold.TimerCancelled";
const FIRED: &str = "leftfold.TimerFired";
/// What tells one setting of a timer from another: they wait side by side.
const SETTING: &str = "leftfold.timer";

/// An event that is to be appended at a time.
#[derive(Debug, Clone)]
pub struct Timer {
    name: String,
    due: Timestamp,
    stream: String,
    event: NewEvent,
}

/// What a timer's fact says.
#[derive(Serialize, Deserialize)]
struct Setting {
    #[serde(with = "as_text")]
    due: Timestamp,
    stream: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<(String, String)>,
    schema_version: u16,
    content_type: String,
    data: Payload,
}

/// JSON stays readable.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Payload {
    Text { text: String },
    Bytes { bytes: Vec<u8> },
}

impl Timer {
    /// At that time the event is appended to the stream. A timer that is set twice under one name
    /// before it has fired is one timer.
    pub fn new(
        name: impl Into<String>,
        due: Timestamp,
        stream: impl Into<String>,
        event: NewEvent,
    ) -> Self {
        Timer { name: name.into(), due, stream: stream.into(), event }
    }

    /// The fact that sets it, and its stream. The event's metadata are not kept.
    pub fn set(self) -> (String, NewEvent) {
        let Timer { name, due, stream, event } = self;
        let data = match String::from_utf8(event.data.to_vec()) {
            Ok(text) => Payload::Text { text },
            Err(error) => Payload::Bytes { bytes: error.into_bytes() },
        };
        let setting = Setting {
            due,
            stream,
            event_type: event.event_type,
            correlation: event.correlation.clone(),
            tags: event.tags,
            schema_version: event.schema_version,
            content_type: event.content_type,
            data,
        };
        let json = serde_json::to_vec(&setting).unwrap_or_default();
        let mut set = NewEvent::json(SET, json).tag(SETTING, format!("{name}@{}", due.micros()));
        set.correlation = event.correlation;
        (stream_of(&name), set)
    }

    /// The fact that cancels a timer, and its stream. One that has fired is not cancelled by it.
    pub fn cancel(name: &str) -> (String, NewEvent) {
        (stream_of(name), NewEvent::json(CANCELLED, "{}"))
    }
}

impl Results {
    /// With a timer set.
    pub fn timer(self, timer: Timer) -> Self {
        let (stream, event) = timer.set();
        self.event(stream, event)
    }

    /// With a timer cancelled.
    pub fn cancel_timer(self, name: &str) -> Self {
        let (stream, event) = Timer::cancel(name);
        self.event(stream, event)
    }
}

fn stream_of(name: &str) -> String {
    format!("leftfold.timer-{name}")
}

/// Fires all timers of a store when they are due: run it as any reactor. Give it a clock with
/// [`Reactor::time`].
pub fn timers<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore<Subscription: 'static> + 'static,
{
    let of_handler = store.clone();
    let fire = move |cause: Cause| {
        let store = of_handler.clone();
        async move { fire(&*store, &cause).await }
    };
    let lanes = Lanes::ByTag(SETTING.to_owned());
    Reactor::new("leftfold.timers", Query::event_type(SET), store, fire).lanes(lanes)
}

async fn fire(store: &impl EventStore, cause: &Cause) -> Result<Results, Setback> {
    let setting: Setting = serde_json::from_slice(&cause.event.data())
        .map_err(|error| Setback::park(format!("the timer can't be read: {error}")))?;
    if setting.due > cause.now {
        return Err(Setback::later(setting.due));
    }
    let timer = cause.event.stream();
    let last = store.stream(timer).await?.map(|info| info.version);
    if last != Some(cause.event.version()) {
        // It was set again, cancelled, or has fired.
        return Ok(Results::none());
    }
    let fired = NewEvent::json(FIRED, "{}");
    let (stream, event) = setting.wanted(&cause.event);
    let expected = Expected::Exactly(cause.event.version());
    Ok(Results::none().event(timer, fired).event(stream, event).expect(timer, expected))
}

impl Setting {
    /// The event that was asked for.
    fn wanted(self, set: &Recorded) -> (String, NewEvent) {
        let data = match self.data {
            Payload::Text { text } => text.into_bytes(),
            Payload::Bytes { bytes } => bytes,
        };
        let mut event = NewEvent::new(self.event_type, data);
        event.content_type = self.content_type;
        event.schema_version = self.schema_version;
        event.tags = self.tags;
        event.correlation = self.correlation;
        event.causation = set.causation().map(str::to_owned);
        event.event_time = Some(self.due);
        (self.stream, event)
    }
}
