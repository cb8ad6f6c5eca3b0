use std::collections::HashMap;

use leftfold_api::record::{self, EventHeader};
use leftfold_api::{Append, Expected, NewEvent};

use super::ImportEvent;

/// The most events of a batch: those of the largest append.
const MAX_EVENTS: usize = 10_000;
/// A batch is written before its events have more bytes than this, unless it has only one.
const MAX_BYTES: usize = 16 << 20;

/// Events and placeholders that are written with one append.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) append: Append,
    /// The event time of each event without a given one.
    pub(super) times: Vec<Option<i64>>,
    /// The next version of each stream with events.
    pub(super) next: HashMap<String, u64>,
    bytes: usize,
    /// The commit time of all events, if it is kept.
    pub(super) commit_time: Option<i64>,
    pub(super) events: u64,
    pub(super) holes: u64,
    /// Whether its placeholders end streams, which may have a tombstone.
    pub(super) is_filler: bool,
}

/// A record that the batch is to hold.
pub(super) struct NewRecord {
    pub(super) stream: String,
    pub(super) version: u64,
    /// `None` for the placeholder of a dropped event.
    pub(super) event: Option<NewEvent>,
    /// The event time if none is given.
    pub(super) default_time: Option<i64>,
}

impl NewRecord {
    pub(super) fn of(new: ImportEvent) -> Self {
        let ImportEvent { stream, version, event, event_time, .. } = new;
        let default_time = event.event_time.is_none().then_some(event_time.0);
        NewRecord { stream, version, event: Some(event), default_time }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Returns the next version of a stream that has events in the batch.
    pub(super) fn next_version(&self, stream: &str) -> Option<u64> {
        self.next.get(stream).copied()
    }

    /// Whether a record of these bytes has room, in an append of at most so many events.
    pub(super) fn has_room(&self, bytes: usize, most: usize) -> bool {
        let room = most.min(MAX_EVENTS);
        self.is_empty() || self.times.len() < room && self.bytes + bytes <= MAX_BYTES
    }

    /// Adds a record. If `expects`, its stream must end before it when the batch is written.
    pub(super) fn push(&mut self, new: NewRecord, bytes: usize, expects: bool) {
        let NewRecord { stream, version, event, default_time } = new;
        match &event {
            Some(_) => self.events += 1,
            None => self.holes += 1,
        }
        let event = event.unwrap_or_else(placeholder);
        self.times.push(default_time);
        self.bytes += bytes;
        let mut append = std::mem::take(&mut self.append).event(&stream, event);
        if expects && !self.next.contains_key(&stream) {
            let before = version.checked_sub(1);
            append = append.expect(&stream, before.map_or(Expected::NoStream, Expected::Exactly));
        }
        self.append = append;
        self.next.insert(stream, version + 1);
    }
}

/// Returns the placeholder of a dropped event.
fn placeholder() -> NewEvent {
    NewEvent::new(record::DROPPED_TYPE, "")
}

/// Returns the bytes of a record, about.
pub(super) fn size(stream: &str, event: Option<&NewEvent>) -> usize {
    let length = event.map_or(stream.len(), |event| record::encoded_len(stream, event));
    length + EventHeader::SIZE
}
