use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use leftfold_index::Key;
use leftfold_log::Head;
use smallvec::SmallVec;
use uuid::Uuid;

use super::core::Core;
use super::indexes::{IndexList, Named};
use super::limit_error;
use super::retention::StoreChange;
use crate::keys::{Keys, StreamKeys};
use crate::plan::{Plan, plan};
use leftfold_api::names;
use leftfold_api::record::{self, EventHeader, Layout};
use leftfold_api::{Append, CheckpointMove, Cursor, Expected, Facts, Invalid, NewEvent, Query};

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// A caller, whose names do not begin with `$`.
    Caller,
    /// The store itself.
    Store,
}

/// An append on its way: checked, laid out, its keys made.
pub(crate) struct Draft {
    pub(crate) append_id: u128,
    pub(crate) events: SmallVec<[DraftEvent; 1]>,
    /// All events, laid out one after the other.
    pub(crate) encoded: Bytes,
    /// What conditions of later appends will look at: the same, or without payloads that are large.
    pub(crate) described: Bytes,
    /// The keys of all events' facts: types, correlations and tags.
    pub(crate) keys: SmallVec<[Key; 4]>,
    /// The keys under which named indexes list the events, and the indexes that they are of.
    pub(crate) index_keys: SmallVec<[Key; 4]>,
    pub(crate) indexes: Arc<IndexList>,
    /// The named index whose ordinals the caller asked for.
    pub(crate) ordinals_in: Option<Arc<Named>>,
    /// Each stream that has events or an expectation, once.
    pub(crate) streams: SmallVec<[DraftStream; 1]>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) checkpoints: Vec<CheckpointMove>,
    /// What it changes beside the log, if it is the store's own.
    pub(crate) change: Option<StoreChange>,
    /// Up to where its caller has checked it.
    pub(crate) checked: Head,
    pub(crate) attempt: u32,
}

pub(crate) struct DraftStream {
    pub(crate) name: String,
    pub(crate) keys: StreamKeys,
    pub(crate) expected: Expected,
    /// Its last version as far as its caller has checked.
    pub(crate) version: Option<u64>,
    /// How many events it gets.
    pub(crate) events: u64,
    /// The first and the last of them, as numbers of the draft's events.
    pub(crate) ends: Option<(usize, usize)>,
}

pub(crate) struct DraftEvent {
    /// Which of the draft's streams.
    pub(crate) stream: usize,
    /// The number of its stream's next event in the draft.
    pub(crate) next: Option<usize>,
    pub(crate) id: Uuid,
    /// Whether the caller gave the id: then it may be known already.
    pub(crate) id_given: bool,
    pub(crate) id_key: Key,
    pub(crate) time: Option<i64>,
    /// Where it lies in `encoded`.
    pub(crate) encoded: Range<usize>,
    /// Where it lies in `described`.
    pub(crate) described: Range<usize>,
    /// Where its facts' keys are in the draft's `keys`.
    pub(crate) keys: Range<usize>,
    /// Where its keys in named indexes are in the draft's `index_keys`.
    pub(crate) index_keys: Range<usize>,
}

/// "No event after the cursor matches the query."
pub(crate) struct Guard {
    pub(crate) query: Query,
    /// The query with named indexes expanded, if it has any.
    expanded: Option<Query>,
    /// How it is looked for. A named index may be dropped or defined anew while the append is tried
    /// again: what it stood for at first counts.
    pub(crate) plan: Plan,
    /// Known to hold up to here.
    pub(crate) holds_upto: u64,
}

impl Guard {
    /// What is looked for: no named index is in it.
    pub(crate) fn wanted(&self) -> &Query {
        self.expanded.as_ref().unwrap_or(&self.query)
    }
}

impl Draft {
    /// About how many bytes it takes in the log.
    pub(crate) fn bytes(&self) -> usize {
        /// Around each event, and around each checkpoint move.
        const AROUND: usize = 64;
        let moves = self.checkpoints.iter().map(|to| to.name.len() + AROUND).sum::<usize>();
        self.encoded.len() + self.events.len() * AROUND + moves + AROUND
    }

    /// A stream's events, in order.
    pub(crate) fn events_of(&self, at: usize) -> impl Iterator<Item = &DraftEvent> {
        let first = self.streams[at].ends.map(|(first, _)| first);
        let event = |number: Option<usize>| number.and_then(|number| self.events.get(number));
        std::iter::successors(event(first), move |event_before| event(event_before.next))
    }

    /// The digest that an event's record holds.
    pub(crate) fn digest(&self, event: &DraftEvent) -> Option<[u8; 16]> {
        self.encoded.get(event.encoded.clone())?.get(24..40)?.try_into().ok()
    }
}

impl Core {
    /// Checks the form of an append and lays it out.
    pub(crate) fn draft(&self, append: Append, author: Author) -> Result<Draft, Invalid> {
        let bytes = self.check_form(&append, author)?;
        let append = append.into_parts();
        let ordinals_in = append.ordinals_in.map(|name| self.ready_index(&name)).transpose()?;
        let mut laying = Laying {
            core: self,
            indexes: self.definitions.indexes.admitted(),
            index_keys: SmallVec::new(),
            millis: (self.clock.now_micros() / 1000).max(0) as u64,
            events: SmallVec::with_capacity(append.events.len()),
            encoded: Vec::with_capacity(bytes),
            keys: SmallVec::new(),
            streams: SmallVec::new(),
            by_name: HashMap::new(),
        };
        for (stream, event) in append.events {
            laying.event(stream, &event);
        }
        for (stream, expected) in append.expected {
            let at = laying.stream(stream);
            laying.streams[at].expected = expected;
        }
        check_ids_twice(&laying.events, &laying.streams)?;
        let Laying { mut events, encoded, keys, streams, index_keys, indexes, .. } = laying;
        let encoded = Bytes::from(encoded);
        let described = describe(&mut events, &encoded);
        let guard = |(query, cursor)| self.guard(query, cursor);
        Ok(Draft {
            append_id: self.random.next_u128(),
            change: change_of(author, &encoded, &self.keys),
            events,
            encoded,
            described,
            keys,
            index_keys,
            indexes,
            ordinals_in,
            streams,
            guards: append.none_after.into_iter().map(guard).collect::<Result<_, _>>()?,
            checkpoints: append.checkpoints,
            checked: Head::default(),
            attempt: 0,
        })
    }

    /// A version 7 UUID: sorts by time, for whoever keeps ids in a database.
    fn new_id(&self, millis: u64) -> Uuid {
        let [random @ .., _, _, _, _, _, _] = self.random.next_u128().to_le_bytes();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    fn guard(&self, query: Query, cursor: Cursor) -> Result<Guard, Invalid> {
        let expanded = match self.expand(&query)? {
            Cow::Owned(expanded) => Some(expanded),
            Cow::Borrowed(_) => None,
        };
        let plan = plan(expanded.as_ref().unwrap_or(&query), &self.keys, &|_| None);
        Ok(Guard { holds_upto: self.position_of(&cursor)?, query, expanded, plan })
    }

    /// Checks the form; gives how many bytes its events will take.
    fn check_form(&self, append: &Append, author: Author) -> Result<usize, Invalid> {
        let limits = &self.limits;
        let (events, moves) = (append.events(), append.moves());
        let (expected, conditions) = (append.expectations(), append.conditions());
        if events.is_empty() && moves.is_empty() {
            let message = "the append has neither events nor checkpoint moves: add one";
            return Err(Invalid::new("append_empty", message));
        }
        let (count, allowed) = (events.len(), limits.append_events);
        if count > allowed {
            return Err(limit_error("too_many_events", "events in one append", count, allowed));
        }
        let conditions = expected.len() + conditions.len() + moves.len();
        if conditions > limits.append_conditions {
            let what = "conditions and checkpoint moves in one append";
            let allowed = limits.append_conditions;
            return Err(limit_error("too_many_conditions", what, conditions, allowed));
        }
        let mut bytes = 0;
        for (stream, event) in events {
            let check = match author {
                Author::Store => names::check_system,
                Author::Caller => names::check_new,
            };
            check("stream", stream)?;
            bytes += self.check_event(stream, event, author)?;
        }
        if bytes > limits.append_bytes {
            let allowed = limits.append_bytes;
            return Err(limit_error("append_too_large", "bytes in one append", bytes, allowed));
        }
        check_twice(append)?;
        expected.iter().try_for_each(|(stream, _)| names::check_system("stream", stream))?;
        for to in moves {
            names::check_new("checkpoint", &to.name)?;
            self.check_checkpoint(&to.to)?;
        }
        Ok(bytes + events.len() * EventHeader::SIZE)
    }

    /// Checks an event; gives its size.
    fn check_event(
        &self,
        stream: &str,
        event: &NewEvent,
        author: Author,
    ) -> Result<usize, Invalid> {
        let check = match author {
            Author::Store => names::check,
            Author::Caller => names::check_new,
        };
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
        let (size, allowed) = (record::encoded_len(stream, event), self.limits.event_bytes);
        if size > allowed {
            return Err(limit_error("event_too_large", "bytes in one event", size, allowed));
        }
        Ok(size)
    }
}

/// An event yet to be appended, to queries.
struct NewFacts<'a> {
    stream: &'a str,
    event: &'a NewEvent,
}

impl Facts for NewFacts<'_> {
    fn stream(&self) -> &str {
        self.stream
    }

    fn event_type(&self) -> &str {
        &self.event.event_type
    }

    fn correlation(&self) -> Option<&str> {
        self.event.correlation.as_deref().filter(|id| !id.is_empty())
    }

    fn any_tag(&self, test: &dyn Fn(&str, &str) -> bool) -> bool {
        self.event.tags.iter().any(|(key, value)| test(key, value))
    }

    fn each_tag(&self, visit: &mut dyn FnMut(&str, &str)) {
        self.event.tags.iter().for_each(|(key, value)| visit(key, value));
    }

    fn event_micros(&self) -> i64 {
        self.event.event_time.map_or(0, |time| time.0)
    }
}

/// An append being laid out.
struct Laying<'a> {
    core: &'a Core,
    /// The time for new ids, in milliseconds since 1970.
    millis: u64,
    events: SmallVec<[DraftEvent; 1]>,
    encoded: Vec<u8>,
    keys: SmallVec<[Key; 4]>,
    indexes: Arc<IndexList>,
    index_keys: SmallVec<[Key; 4]>,
    streams: SmallVec<[DraftStream; 1]>,
    /// Where each stream is, once there are several.
    by_name: HashMap<String, usize>,
}

impl Laying<'_> {
    fn event(&mut self, stream: String, event: &NewEvent) {
        let at = self.stream(stream);
        self.link(at);
        let (core, stream) = (self.core, &self.streams[at]);
        let id = event.id.unwrap_or_else(|| core.new_id(self.millis));
        let (start, first_key) = (self.encoded.len(), self.keys.len());
        let hash_key = &core.log.header().hash_key;
        record::encode_into(&mut self.encoded, &stream.name, event, id.into_bytes(), hash_key);
        let facts = NewFacts { stream: &stream.name, event };
        core.keys.facts(&facts, &mut self.keys);
        let first_index_key = self.index_keys.len();
        let own = &self.keys[first_key..];
        match event.event_time {
            Some(_) => self.indexes.keys_of(&facts, stream.keys, own, &mut self.index_keys),
            None => self.indexes.keys_of_untimed(&facts, stream.keys, own, &mut self.index_keys),
        }
        let encoded = start..self.encoded.len();
        self.events.push(DraftEvent {
            stream: at,
            next: None,
            id,
            id_given: event.id.is_some(),
            id_key: core.keys.event(&stream.keys.stream, id),
            time: event.event_time.map(|time| time.0),
            described: encoded.clone(),
            encoded,
            keys: first_key..self.keys.len(),
            index_keys: first_index_key..self.index_keys.len(),
        });
    }

    /// Lets the event to come follow the last one of its stream.
    fn link(&mut self, at: usize) {
        let (stream, number) = (&mut self.streams[at], self.events.len());
        stream.events += 1;
        if let Some((_, last)) = stream.ends {
            self.events[last].next = Some(number);
        }
        let first = stream.ends.map_or(number, |(first, _)| first);
        stream.ends = Some((first, number));
    }

    /// The number of a stream; nearly always it is that of the last event.
    fn stream(&mut self, name: String) -> usize {
        let last = self.streams.len().checked_sub(1);
        if let Some(last) = last.filter(|last| self.streams[*last].name == name) {
            return last;
        }
        if let Some(at) = self.by_name.get(&name) {
            return *at;
        }
        self.by_name.extend(last.map(|last| (self.streams[last].name.clone(), last)));
        self.streams.push(DraftStream {
            keys: StreamKeys::new(&self.core.keys, &name),
            name,
            expected: Expected::Any,
            version: None,
            events: 0,
            ends: None,
        });
        self.streams.len() - 1
    }
}

/// What conditions will look at. It stays in memory for a while, so that it is worth a copy to leave
/// behind payloads that are large.
fn describe(events: &mut [DraftEvent], encoded: &Bytes) -> Bytes {
    /// On average an event may have so many bytes to be kept as it is.
    const WHOLE: usize = 1024;
    if encoded.len() <= events.len() * WHOLE {
        return encoded.clone();
    }
    let mut described = Vec::new();
    for event in events {
        let start = described.len();
        let whole = Layout::of(&encoded[event.encoded.clone()]);
        described.extend_from_slice(&whole.described());
        event.described = start..described.len();
    }
    described.into()
}

fn twice(what: &str, name: &str) -> Invalid {
    Invalid::new("append_contradictory", format!("{what} {name} is given twice in one append"))
}

fn change_of(author: Author, encoded: &Bytes, keys: &Keys) -> Option<StoreChange> {
    (author == Author::Store).then(|| StoreChange::of(encoded, keys)).flatten()
}

/// No stream may get the same event twice.
fn check_ids_twice(events: &[DraftEvent], streams: &[DraftStream]) -> Result<(), Invalid> {
    if events.len() < 2 {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(events.len());
    match events.iter().find(|event| event.id_given && !seen.insert((event.stream, event.id))) {
        Some(event) => {
            let stream = &streams[event.stream].name;
            Err(twice(&format!("in stream {stream}, event id"), &event.id.to_string()))
        }
        None => Ok(()),
    }
}

/// Nothing else may be said twice of the same thing.
fn check_twice(append: &Append) -> Result<(), Invalid> {
    if append.expectations().len() > 1 {
        let mut streams = HashSet::new();
        if let Some((stream, _)) =
            append.expectations().iter().find(|(name, _)| !streams.insert(name))
        {
            return Err(twice("the expectation of stream", stream));
        }
    }
    let mut names = HashSet::new();
    match append.moves().iter().find(|to| !names.insert(&to.name)) {
        Some(to) => Err(twice("the move of checkpoint", &to.name)),
        None => Ok(()),
    }
}
