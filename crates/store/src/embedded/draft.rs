use std::collections::HashMap;
use std::sync::Arc;

use leftfold_index::Key;
use leftfold_log::Head;
use uuid::Uuid;

use super::core::Core;
use super::limit_error;
use super::recent::Described;
use super::retention::StoreChange;
use crate::append::{Append, CheckpointMove, Expected};
use crate::codec;
use crate::cursor::Cursor;
use crate::error::Invalid;
use crate::event::NewEvent;
use crate::names::{self, category_of};
use crate::query::{Field, Query};

/// An append on its way: checked, laid out, its keys made.
pub(crate) struct Draft {
    pub(crate) append_id: u128,
    pub(crate) events: Vec<DraftEvent>,
    /// Each stream that has events or an expectation, once.
    pub(crate) streams: Vec<DraftStream>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) checkpoints: Vec<CheckpointMove>,
    /// What it changes beside the log, if it is the store's own.
    pub(crate) change: Option<StoreChange>,
    /// Up to where its caller has checked it.
    pub(crate) checked: Head,
    pub(crate) attempt: u32,
}

pub(crate) struct DraftStream {
    pub(crate) name: Arc<str>,
    pub(crate) key: Key,
    pub(crate) category: Key,
    pub(crate) starts_in_category: Key,
    pub(crate) expected: Expected,
    /// Its last version as far as its caller has checked.
    pub(crate) version: Option<u64>,
    /// How many events it gets.
    pub(crate) events: u64,
}

pub(crate) struct DraftEvent {
    /// Which of the draft's streams.
    pub(crate) stream: usize,
    pub(crate) id: Uuid,
    /// Whether the caller gave the id: then it may be known already.
    pub(crate) id_given: bool,
    pub(crate) id_key: Key,
    pub(crate) type_key: Key,
    /// Of correlation and tags.
    pub(crate) other_keys: Vec<Key>,
    pub(crate) time: Option<i64>,
    pub(crate) described: Arc<Described>,
    pub(crate) encoded: Vec<u8>,
}

/// "No event after the cursor matches the query."
pub(crate) struct Guard {
    pub(crate) query: Query,
    /// The query with named indexes expanded.
    pub(crate) expanded: Query,
    /// Known to hold up to here.
    pub(crate) holds_upto: u64,
}

impl Draft {
    /// About how many bytes it takes in the log.
    pub(crate) fn bytes(&self) -> usize {
        /// Around each event, and around each checkpoint move.
        const AROUND: usize = 64;
        let events: usize = self.events.iter().map(|event| event.encoded.len() + AROUND).sum();
        let moves = self.checkpoints.iter().map(|to| to.name.len() + AROUND).sum::<usize>();
        events + moves + AROUND
    }

    /// The digest that the event's record holds.
    pub(crate) fn digest(event: &DraftEvent) -> Option<[u8; 16]> {
        event.encoded.get(24..40)?.try_into().ok()
    }
}

impl Core {
    /// Checks the form of an append and lays it out.
    pub(crate) fn draft(&self, append: Append) -> Result<Draft, Invalid> {
        self.check_form(&append)?;
        let mut streams = Vec::new();
        let mut by_name = HashMap::new();
        let mut events = Vec::with_capacity(append.events.len());
        for (stream, event) in append.events {
            let at = self.stream_of(&mut streams, &mut by_name, &stream);
            streams[at].events += 1;
            events.push(self.lay_out(at, &streams[at], event));
        }
        for (stream, expected) in append.expected {
            let at = self.stream_of(&mut streams, &mut by_name, &stream);
            streams[at].expected = expected;
        }
        let guard = |(query, cursor)| self.guard(query, cursor);
        Ok(Draft {
            append_id: self.random.next_u128(),
            change: append.system.then(|| StoreChange::of(&events, &self.keys)).flatten(),
            events,
            streams,
            guards: append.none_after.into_iter().map(guard).collect::<Result<_, _>>()?,
            checkpoints: append.checkpoints,
            checked: Head::default(),
            attempt: 0,
        })
    }

    fn stream_of(
        &self,
        streams: &mut Vec<DraftStream>,
        by_name: &mut HashMap<Arc<str>, usize>,
        name: &str,
    ) -> usize {
        if let Some(at) = by_name.get(name) {
            return *at;
        }
        let (name, category): (Arc<str>, _) = (name.into(), category_of(name));
        streams.push(DraftStream {
            key: self.keys.of(Field::Stream, &name),
            category: self.keys.of(Field::Category, category),
            starts_in_category: self.keys.starts_in(category),
            name: name.clone(),
            expected: Expected::Any,
            version: None,
            events: 0,
        });
        by_name.insert(name, streams.len() - 1);
        streams.len() - 1
    }

    fn lay_out(&self, at: usize, stream: &DraftStream, event: NewEvent) -> DraftEvent {
        let id_given = event.id.is_some();
        let id = event.id.unwrap_or_else(|| self.new_id());
        let hash_key = &self.log.header().hash_key;
        let encoded = codec::encode(&stream.name, &event, id.into_bytes(), hash_key);
        let correlation = event.correlation.iter().map(|id| self.keys.of(Field::Correlation, id));
        let tag = |(key, value): &(String, String)| self.keys.tag(key, value);
        DraftEvent {
            stream: at,
            id,
            id_given,
            id_key: self.keys.event(&stream.key, id),
            type_key: self.keys.of(Field::Type, &event.event_type),
            other_keys: correlation.chain(event.tags.iter().map(tag)).collect(),
            time: event.event_time.map(|time| time.0),
            described: Arc::new(Described::new(stream.name.clone(), event)),
            encoded,
        }
    }

    /// A version 7 UUID: sorts by time, for whoever keeps ids in a database.
    fn new_id(&self) -> Uuid {
        let millis = (self.clock.now_micros() / 1000).max(0) as u64;
        let [random @ .., _, _, _, _, _, _] = self.random.next_u128().to_le_bytes();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    fn guard(&self, query: Query, cursor: Cursor) -> Result<Guard, Invalid> {
        let expanded = self.expand(&query)?;
        Ok(Guard { holds_upto: self.position_of(cursor)?, query, expanded })
    }

    fn check_form(&self, append: &Append) -> Result<(), Invalid> {
        let limits = &self.limits;
        if append.events.is_empty() && append.checkpoints.is_empty() {
            let message = "the append has neither events nor checkpoint moves: add one";
            return Err(Invalid::new("append_empty", message));
        }
        let (events, allowed) = (append.events.len(), limits.append_events);
        if events > allowed {
            return Err(limit_error("too_many_events", "events in one append", events, allowed));
        }
        let conditions = append.expected.len() + append.none_after.len() + append.checkpoints.len();
        if conditions > limits.append_conditions {
            let what = "conditions and checkpoint moves in one append";
            let allowed = limits.append_conditions;
            return Err(limit_error("too_many_conditions", what, conditions, allowed));
        }
        let mut bytes = 0;
        for (stream, event) in &append.events {
            let check = if append.system { names::check_system } else { names::check_new };
            check("stream", stream)?;
            bytes += self.check_event(stream, event, append.system)?;
        }
        if bytes > limits.append_bytes {
            let allowed = limits.append_bytes;
            return Err(limit_error("append_too_large", "bytes in one append", bytes, allowed));
        }
        check_twice(append)?;
        append.expected.iter().try_for_each(|(stream, _)| names::check_system("stream", stream))?;
        for to in &append.checkpoints {
            names::check_new("checkpoint", &to.name)?;
            self.position_of(to.to)?;
        }
        Ok(())
    }

    /// Checks an event; gives its size.
    fn check_event(&self, stream: &str, event: &NewEvent, system: bool) -> Result<usize, Invalid> {
        let check = if system { names::check } else { names::check_new };
        check("event type", &event.event_type)?;
        names::check("content type", &event.content_type)?;
        event.correlation.iter().try_for_each(|id| names::check("correlation id", id))?;
        event.causation.iter().try_for_each(|id| names::check("causation id", id))?;
        let (tags, allowed) = (event.tags.len(), self.limits.tags);
        if tags > allowed {
            return Err(limit_error("too_many_tags", "tags of one event", tags, allowed));
        }
        for (i, (key, value)) in event.tags.iter().enumerate() {
            names::check_tag(key, value)?;
            if key.is_empty() || key.contains('=') {
                let message =
                    format!("tag key {key:?} is not allowed: it must not be empty or hold '='");
                return Err(Invalid::new("tag_invalid", message));
            }
            if event.tags[..i].iter().any(|tag| tag.0 == *key && tag.1 == *value) {
                let message = format!("tag {key}={value} is given twice; give it once");
                return Err(Invalid::new("tag_invalid", message));
            }
        }
        let (size, allowed) = (codec::encoded_len(stream, event), self.limits.event_bytes);
        if size > allowed {
            return Err(limit_error("event_too_large", "bytes in one event", size, allowed));
        }
        Ok(size)
    }
}

/// Nothing may be said twice of the same thing.
fn check_twice(append: &Append) -> Result<(), Invalid> {
    let twice = |what: &str, name: &str| {
        Invalid::new("append_contradictory", format!("{what} {name} is given twice in one append"))
    };
    let mut ids = std::collections::HashSet::new();
    for (stream, event) in &append.events {
        if let Some(id) = event.id.filter(|id| !ids.insert((stream, *id))) {
            return Err(twice(&format!("in stream {stream}, event id"), &id.to_string()));
        }
    }
    let mut streams = std::collections::HashSet::new();
    if let Some((stream, _)) = append.expected.iter().find(|(name, _)| !streams.insert(name)) {
        return Err(twice("the expectation of stream", stream));
    }
    let mut names = std::collections::HashSet::new();
    match append.checkpoints.iter().find(|to| !names.insert(&to.name)) {
        Some(to) => Err(twice("the move of checkpoint", &to.name)),
        None => Ok(()),
    }
}
