use std::collections::HashMap;

use leftfold_api::{Append, Appended, Conflict, Cursor, Recorded, Timestamp, Versions};
use leftfold_store::CommittedAppend;
use leftfold_store::OwnAppend;
use uuid::Uuid;

/// A copy of the partition in memory, and the decisions of its owner.
#[derive(Default, Clone)]
pub(super) struct Replica {
    pub(super) events: Vec<Recorded>,
    next: HashMap<String, u64>,
    ids: HashMap<Uuid, u64>,
    /// The greatest commit time so far.
    last_time: Option<Timestamp>,
}

/// What an owner does with an append.
pub(super) enum Decision {
    /// It writes it.
    Write(OwnAppend),
    /// It has it already.
    Repeat(Appended),
}

impl Replica {
    /// Returns the last version of a stream.
    pub(super) fn last_version(&self, stream: &str) -> Option<u64> {
        self.next.get(stream).map(|next| next - 1)
    }

    /// Applies an event that counts.
    pub(super) fn apply(&mut self, event: Recorded) {
        self.next.insert(event.stream().to_owned(), event.version() + 1);
        self.ids.insert(event.id(), event.version());
        self.last_time = self.last_time.max(Some(event.commit_time()));
        self.events.push(event);
    }

    /// Applies an append of the log.
    pub(super) fn apply_committed(&mut self, append: &CommittedAppend) {
        for (position, event) in (append.first..).zip(&append.events) {
            let (version, time) = (event.version, append.commit_time);
            let recorded =
                Recorded::from_parts(&event.stream, version, position, time, &event.event);
            self.apply(recorded.unwrap());
        }
    }

    /// Applies an append of the owner that landed at this position.
    pub(super) fn apply_own(&mut self, own: &OwnAppend, first: u64) {
        for (position, event) in (first..).zip(&own.events) {
            let (time, record) = (event.event_time(), event.record().clone());
            self.apply(Recorded::from_record(position, time, own.commit_time, record).unwrap());
        }
    }

    /// Decides an append and applies it, as if it had landed behind the last one.
    pub(super) fn decide(
        &mut self,
        append: Append,
        now: Timestamp,
        finds_ids: bool,
    ) -> Result<Decision, Conflict> {
        let parts = append.into_parts();
        let first_id = parts.events.first().and_then(|(_, event)| event.id);
        let stored = first_id.and_then(|id| self.ids.get(&id)).filter(|_| finds_ids);
        if let (Some(first), Some((stream, _))) = (stored, parts.events.first()) {
            let appended = appended(stream, *first, parts.events.len(), true);
            return Ok(Decision::Repeat(appended));
        }
        for (stream, expected) in parts.expected {
            let actual = self.last_version(&stream);
            if !expected.holds(actual) {
                return Err(Conflict::Version { stream, expected, actual });
            }
        }
        let (commit_time, mut events) =
            (self.last_time.map_or(now, |last| last.max(now)), Vec::new());
        for (stream, event) in parts.events {
            let version = self.next.get(&stream).copied().unwrap_or(0);
            let recorded = Recorded::from_parts(&stream, version, 0, commit_time, &event).unwrap();
            self.apply(recorded.clone());
            events.push(recorded);
        }
        let append_id = first_id.unwrap_or_default().as_u128();
        Ok(Decision::Write(OwnAppend {
            first: 0,
            append_id,
            commit_time,
            events,
            checkpoints: Vec::new(),
        }))
    }
}

/// Returns the answer to an append of one stream.
pub(super) fn appended(stream: &str, first: u64, events: usize, repeated: bool) -> Appended {
    let last = first + events as u64 - 1;
    let streams = vec![Versions { stream: stream.to_owned(), first, last }];
    Appended { cursor: Cursor::START, positions: None, streams, repeated, ordinals: Vec::new() }
}
