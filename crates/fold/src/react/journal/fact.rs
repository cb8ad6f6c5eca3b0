use leftfold_api::{Cursor, Recorded, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::{as_text, as_text_if_any};

/// The change that one append of the reactor makes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JournalFact {
    /// The run of the reactor that wrote it.
    #[serde(with = "as_text")]
    pub(crate) run: Uuid,
    /// All events up to here are finished, except those of lanes that are held up.
    pub(crate) low: LowMark,
    /// The positions of finished events beyond that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) done: Vec<u64>,
    /// Lanes whose state has changed; `None` for those in step again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lanes: Vec<(String, Option<LaneState>)>,
    /// The cursor up to which the operators' requests were read.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text_if_any")]
    pub(crate) control: Option<Cursor>,
    /// The number of this fact and the count of facts that together are a full state; number 0
    /// resets the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) whole: Option<(u32, u32)>,
}

/// The low mark: all events up to here are finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LowMark {
    /// The cursor from which to continue.
    #[serde(with = "as_text")]
    pub(crate) cursor: Cursor,
    /// The position of the last event that it covers.
    pub(crate) position: u64,
}

impl LowMark {
    pub(crate) const START: LowMark = LowMark { cursor: Cursor::START, position: 0 };
}

/// A lane that is held up, which tracks its own progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneState {
    /// All events of the lane up to here are finished.
    #[serde(with = "as_text")]
    pub(crate) after: Cursor,
    /// The next event, if it was attempted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) head: Option<HeadEvent>,
    /// Why it is held up.
    pub(crate) state: HoldState,
}

/// The event that holds up a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadEvent {
    pub(crate) stream: String,
    pub(crate) version: u64,
    pub(crate) position: u64,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    /// The cursor after the event.
    #[serde(with = "as_text")]
    pub(crate) at: Cursor,
    /// The number of attempts so far.
    pub(crate) attempts: u32,
    /// The error of the last attempt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// The time since when the lane is held up, in microseconds since 1970.
    pub(crate) since: i64,
}

impl HeadEvent {
    pub(crate) fn of(event: &Recorded, at: Cursor, since: Timestamp) -> Self {
        HeadEvent {
            stream: event.stream().to_owned(),
            version: event.version(),
            position: event.position(),
            event_type: event.event_type().to_owned(),
            at,
            attempts: 0,
            reason: String::new(),
            since: since.micros(),
        }
    }
}

/// Why a lane is held up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HoldState {
    /// More of its events are in the log than in memory.
    Behind,
    /// An at-most-once effect has begun.
    Begun,
    /// The next attempt is due at this time.
    Retry { due: i64 },
    /// It waits for an event that matches a query after a cursor, or for a deadline.
    Waiting {
        query: String,
        #[serde(with = "as_text")]
        after: Cursor,
        until: Option<i64>,
    },
    /// It waits for an operator.
    Parked,
}
