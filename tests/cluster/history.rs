//! What clients asked, when, and what they were told.

use std::time::Instant;

use leftfold::{Expected, NewEvent};
use parking_lot::Mutex;
use uuid::Uuid;

/// The number of an append; its event's id and payload are made of it.
pub(crate) type Number = u64;

/// The last event of a stream: its version, and the append that wrote it.
pub(crate) type Last = Option<(u64, Number)>;

/// A call of a client to one stream.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) client: u32,
    pub(crate) stream: String,
    /// Nanoseconds since the beginning of the history.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) outcome: Outcome,
}

/// What was asked, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Appended {
        number: Number,
        expected: Expected,
        version: u64,
    },
    /// The append was refused; this was the last version.
    Conflict {
        number: Number,
        expected: Expected,
        last: Option<u64>,
    },
    /// The append may or may not have been executed, or may be executed later.
    Unknown {
        number: Number,
        expected: Expected,
        why: String,
    },
    /// A linearizable read of the last event.
    Read(Last),
}

/// Takes calls of all clients.
pub(crate) struct History {
    start: Instant,
    calls: Mutex<Vec<Call>>,
}

impl History {
    pub(crate) fn new() -> Self {
        History { start: Instant::now(), calls: Mutex::default() }
    }

    /// Returns the time since the beginning, in nanoseconds.
    pub(crate) fn now(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_nanos()).unwrap()
    }

    pub(crate) fn add(&self, call: Call) {
        self.calls.lock().push(call);
    }

    pub(crate) fn into_calls(self) -> Vec<Call> {
        self.calls.into_inner()
    }
}

/// Returns the id of the event of an append.
pub(crate) fn id(number: Number) -> Uuid {
    Uuid::from_u128(0x1ef7_f01d << 96 | u128::from(number))
}

/// Returns the event of an append.
pub(crate) fn event(number: Number) -> NewEvent {
    NewEvent::new("Counted", number.to_string()).id(id(number))
}

/// Returns the append that wrote an event.
pub(crate) fn number(event: &leftfold::Recorded) -> Number {
    let number = String::from_utf8_lossy(&event.data()).parse().unwrap();
    assert_eq!(event.id(), id(number), "the payload belongs to another event");
    number
}
