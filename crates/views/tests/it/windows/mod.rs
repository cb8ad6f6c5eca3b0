//! Windows that close, late events and sessions.

mod model;
mod random;
mod rules;

use leftfold::{NewEvent, Recorded, Timestamp};

use crate::support::of;

/// The unit of times in these tests: half a second, so that some have a fraction.
const TICK: i64 = 500_000;
/// A time that windows of all lengths in these tests begin at.
const BASE: i64 = 3_400_000_200;

/// Returns the text of a time, in ticks.
fn text(ticks: i64) -> String {
    Timestamp(ticks * TICK).to_string()
}

/// Returns an event that happened at a time, in ticks.
fn at(position: u64, event_type: &str, ticks: i64, data: &str) -> Recorded {
    let mut event = NewEvent::json(event_type, data.to_owned());
    event.event_time = Some(Timestamp(ticks * TICK));
    of(position, "a-1", event)
}
