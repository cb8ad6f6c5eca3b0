//! An append as Kafka's records hold it: what the owner wrote, and what the other nodes apply.

use leftfold_api::{CheckpointMove, NewEvent, Timestamp};

/// An append that counts, with its place in the log.
#[derive(Debug, Clone)]
pub struct CommittedAppend {
    /// The position of its first record: the offset of that record plus 1. An append without events has a record of
    /// its own, and so a position that holds no event.
    pub first: u64,
    /// The id of the append.
    pub append_id: u128,
    /// When the owner wrote it; never earlier than the append before.
    pub commit_time: Timestamp,
    /// Its events; their positions follow each other.
    pub events: Vec<CommittedEvent>,
    /// Its checkpoint moves; `expected` was checked by the owner.
    pub checkpoints: Vec<CheckpointMove>,
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
