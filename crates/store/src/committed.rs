//! An append that another node has decided and committed, and that this one applies to its copy.

use leftfold_api::{Cursor, NewEvent, Timestamp};

/// An append that counts, with its place in the log.
#[derive(Debug, Clone)]
pub struct CommittedAppend {
    /// The position of its first event. An append without events has a position of its own, which holds no event.
    pub first: u64,
    /// The id of the append.
    pub append_id: u128,
    /// When the owner wrote it; never earlier than the append before.
    pub commit_time: Timestamp,
    /// Its events; their positions follow each other.
    pub events: Vec<CommittedEvent>,
    /// The checkpoints that it moves, and where to; what was expected is checked already.
    pub checkpoints: Vec<(String, Cursor)>,
}

/// An event of a committed append.
#[derive(Debug, Clone)]
pub struct CommittedEvent {
    /// Its stream.
    pub stream: String,
    /// Its version, decided by the owner.
    pub version: u64,
    /// Its event time, given or not.
    pub event_time: Timestamp,
    /// The event, with its id; its event time only if it was given.
    pub event: NewEvent,
}

impl CommittedAppend {
    /// Returns the number of positions that it takes.
    pub fn positions(&self) -> u64 {
        self.events.len().max(1) as u64
    }
}
