use leftfold_api::{Cursor, Recorded, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::{as_text, as_text_if_any};

/// What has changed with an append of the reactor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Moved {
    /// The run of the reactor that says so.
    #[serde(with = "as_text")]
    pub(crate) run: Uuid,
    /// All up to here is finished, but for what lanes are held up at.
    pub(crate) low: Low,
    /// Finished beyond that: positions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) done: Vec<u64>,
    /// Lanes whose state is another now; none for those that are free again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lanes: Vec<(String, Option<Held>)>,
    /// Up to where people's requests were heard.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text_if_any")]
    pub(crate) control: Option<Cursor>,
    /// The number of this fact of so many that tell all; the first of them begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) whole: Option<(u32, u32)>,
}

/// How far all is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Low {
    /// To go on from.
    #[serde(with = "as_text")]
    pub(crate) cursor: Cursor,
    /// The position of the last event that it covers.
    pub(crate) position: u64,
}

impl Low {
    pub(crate) const START: Low = Low { cursor: Cursor::START, position: 0 };
}

/// A lane that is held up: it has a progress of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// All of the lane up to here is finished.
    #[serde(with = "as_text")]
    pub(crate) after: Cursor,
    /// The event that comes next, if it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) head: Option<Head>,
    /// Why it is held up.
    pub(crate) state: State,
}

/// The event at which a lane is held up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) stream: String,
    pub(crate) version: u64,
    pub(crate) position: u64,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    /// After the event.
    #[serde(with = "as_text")]
    pub(crate) at: Cursor,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// What was wrong the last time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// Since when it is held up, in microseconds since 1970.
    pub(crate) since: i64,
}

impl Head {
    pub(crate) fn of(event: &Recorded, at: Cursor, since: Timestamp) -> Self {
        Head {
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
pub(crate) enum State {
    /// There is more of it in the log than is held in memory.
    Behind,
    /// An effect that may happen once has begun.
    Begun,
    /// The next attempt is due at this time.
    Retry { due: i64 },
    /// Until there is an event that matches a query after a cursor, or the time is over.
    Waiting {
        query: String,
        #[serde(with = "as_text")]
        after: Cursor,
        until: Option<i64>,
    },
    /// Until somebody decides.
    Parked,
}
