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
use super::indexes::{IndexList, NamedIndex};
use super::limit_error;
use super::retention::StoreChange;
use crate::keys::{CommittedKeys, Keys, StreamKeys};
use crate::plan::{Plan, plan};
use leftfold_api::names;
use leftfold_api::record::{self, EventHeader, Layout};
use leftfold_api::{
    Append, CheckpointMove, Cursor, Expected, Facts, Field, Invalid, NewEvent, Query,
};

/// The author of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// A caller: its names must not begin with `$`.
    Caller,
    /// The store itself.
    Store,
    /// An import that copies another store: ids are given, but not looked for.
    Import,
    /// The node that owns the partition and has committed the append: ids are given, but not looked for.
    Owner,
}

impl Author {
    /// Whether given ids are looked for.
    fn finds_ids(self) -> bool {
        matches!(self, Author::Caller | Author::Store)
    }
}

/// An append on its way to the log: its form is checked, its events are encoded, its keys are hashed.
pub(crate) struct Draft {
    pub(crate) append_id: u128,
    pub(crate) events: SmallVec<[DraftEvent; 1]>,
    /// The records of all events, one after the other.
    pub(crate) encoded: Bytes,
    /// The records that conditions of later appends check: the same, or copies without large payloads.
    pub(crate) described: Bytes,
    /// The keys of all events' facts: types, correlations and tags.
    pub(crate) keys: SmallVec<[Key; 4]>,
    /// The keys under which the named indexes in `indexes` list the events.
    pub(crate) index_keys: SmallVec<[Key; 4]>,
    pub(crate) indexes: Arc<IndexList>,
    /// The named index whose ordinals the caller asked for.
    pub(crate) ordinals_in: Option<Arc<NamedIndex>>,
    /// Each stream that has events or an expectation, once.
    pub(crate) streams: SmallVec<[DraftStream; 1]>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) checkpoints: Vec<CheckpointMove>,
    /// The change of the store's own state, if this is a system append.
    pub(crate) change: Option<StoreChange>,
    /// Whether it has only placeholders of dropped events, which a stream with a tombstone may get.
    pub(crate) is_filler: bool,
    /// Whether its events were appended together before, or not at all.
    pub(crate) repeats_whole: bool,
    /// The durable head of the last check.
    pub(crate) checked: Head,
    pub(crate) attempt: u32,
    /// The events that its conditions have checked so far.
    pub(crate) checked_events: usize,
}

/// A stream of a draft.
pub(crate) struct DraftStream {
    pub(crate) name: String,
    pub(crate) keys: StreamKeys,
    pub(crate) expected: Expected,
    /// The last version at the last check.
    pub(crate) version: Option<u64>,
    /// The number of its events in the draft.
    pub(crate) events: u64,
    /// The indexes of the first and the last of them in the draft's events.
    pub(crate) ends: Option<(usize, usize)>,
}

/// An event of a draft.
pub(crate) struct DraftEvent {
    /// The index of its stream in the draft.
    pub(crate) stream: usize,
    /// The index of its stream's next event in the draft.
    pub(crate) next: Option<usize>,
    pub(crate) id: Uuid,
    /// Whether the caller gave the id; only then the event may be a repeat.
    pub(crate) id_given: bool,
    pub(crate) id_key: Key,
    pub(crate) time: Option<i64>,
    /// The event time if none is given, instead of the time of the commit.
    pub(crate) default_time: Option<i64>,
    /// Its range in `encoded`.
    pub(crate) encoded: Range<usize>,
    /// Its range in `described`.
    pub(crate) described: Range<usize>,
    /// The range of its facts' keys in the draft's `keys`.
    pub(crate) keys: Range<usize>,
    /// The range of its keys of named indexes in the draft's `index_keys`.
    pub(crate) index_keys: Range<usize>,
}

impl DraftEvent {
    /// Returns its event time, if it is committed now.
    pub(crate) fn micros(&self, now: i64) -> i64 {
        self.time.or(self.default_time).unwrap_or(now)
    }
}

/// A condition of an append: no event after a cursor matches a query.
pub(crate) struct Guard {
    pub(crate) query: Query,
    /// The query with named indexes expanded, if it has any.
    expanded: Option<Query>,
    /// The plan. The definitions of named indexes at the first attempt count, also if an index is dropped
    /// or defined again between attempts.
    pub(crate) plan: Plan,
    /// The condition holds up to this position.
    pub(crate) holds_upto: u64,
}

impl Guard {
    /// Returns the query without named indexes.
    pub(crate) fn wanted(&self) -> &Query {
        self.expanded.as_ref().unwrap_or(&self.query)
    }
}

impl Draft {
    /// Returns the moves that make new checkpoints.
    pub(crate) fn new_checkpoints(&self) -> impl Iterator<Item = &CheckpointMove> + Clone {
        self.checkpoints.iter().filter(|to| to.expected.is_none())
    }

    /// Returns about how many bytes the draft takes in the log.
    pub(crate) fn bytes(&self) -> usize {
        /// Bytes beside each event and each checkpoint move.
        const OVERHEAD: usize = 64;
        let moves = self.checkpoints.iter().map(|to| to.name.len() + OVERHEAD).sum::<usize>();
        self.encoded.len() + self.events.len() * OVERHEAD + moves + OVERHEAD
    }

    /// Returns the events of a stream, in order.
    pub(crate) fn events_of(&self, at: usize) -> impl Iterator<Item = &DraftEvent> {
        let first = self.streams[at].ends.map(|(first, _)| first);
        let event = |number: Option<usize>| number.and_then(|number| self.events.get(number));
        std::iter::successors(event(first), move |event_before| event(event_before.next))
    }

    /// Returns the digest in an event's record.
    pub(crate) fn digest(&self, event: &DraftEvent) -> Option<[u8; 16]> {
        self.encoded.get(event.encoded.clone())?.get(24..40)?.try_into().ok()
    }
}

impl Core {
    /// Checks the form of an append and encodes it.
    pub(crate) fn draft(&self, append: Append, author: Author) -> Result<Draft, Invalid> {
        let bytes = self.check_form(&append, author)?;
        let append = append.into_parts();
        let ordinals_in = append.ordinals_in.map(|name| self.ready_index(&name)).transpose()?;
        let mut builder = DraftBuilder::new(self, author, append.events.len(), bytes);
        builder.millis = (self.clock.now_micros() / 1000).max(0) as u64;
        for (stream, event) in append.events {
            builder.event(stream, &event);
        }
        for (stream, expected) in append.expected {
            let at = builder.stream(stream, |name| StreamKeys::new(&self.keys, name));
            builder.streams[at].expected = expected;
        }
        check_event_ids(&builder.events, &builder.streams)?;
        let guard = |(query, cursor)| self.guard(query, cursor);
        Ok(Draft {
            ordinals_in,
            guards: append.none_after.into_iter().map(guard).collect::<Result<_, _>>()?,
            checkpoints: append.checkpoints,
            repeats_whole: append.repeats_whole,
            ..builder.finish(self.random.next_u128())
        })
    }

    /// Returns a new UUID of version 7. It sorts by time, which makes database indexes of ids compact.
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

    /// Checks the form of an append, and returns how many bytes its events take.
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
                Author::Caller => names::check_new,
                _ => names::check_system,
            };
            check("stream", stream)?;
            bytes += self.check_event(stream, event, author)?;
        }
        if bytes > limits.append_bytes {
            let allowed = limits.append_bytes;
            return Err(limit_error("append_too_large", "bytes in one append", bytes, allowed));
        }
        check_duplicates(append)?;
        expected.iter().try_for_each(|(stream, _)| names::check_system("stream", stream))?;
        for to in moves {
            names::check_new("checkpoint", &to.name)?;
            self.check_checkpoint(&to.to)?;
        }
        Ok(bytes + events.len() * EventHeader::SIZE)
    }

    /// Checks the form of an event, and returns its size in bytes.
    pub(super) fn check_event(
        &self,
        stream: &str,
        event: &NewEvent,
        author: Author,
    ) -> Result<usize, Invalid> {
        let check = match author {
            Author::Caller if !event.is_placeholder() => names::check_new,
            _ => names::check,
        };
        check("event type", &event.event_type)?;
        event.check_form(stream, &self.limits)
    }
}

/// The facts of an event that is not written yet.
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

/// Builds a draft, event by event.
pub(super) struct DraftBuilder<'a> {
    core: &'a Core,
    author: Author,
    /// The time for new ids, in milliseconds since 1970.
    millis: u64,
    events: SmallVec<[DraftEvent; 1]>,
    encoded: Vec<u8>,
    keys: SmallVec<[Key; 4]>,
    indexes: Arc<IndexList>,
    index_keys: SmallVec<[Key; 4]>,
    streams: SmallVec<[DraftStream; 1]>,
    /// The index of each stream, once there are several.
    by_name: HashMap<String, usize>,
}

impl<'a> DraftBuilder<'a> {
    /// Returns a builder with room for this many events of this many bytes.
    pub(super) fn new(core: &'a Core, author: Author, events: usize, bytes: usize) -> Self {
        DraftBuilder {
            core,
            author,
            indexes: core.definitions.indexes.admitted(),
            index_keys: SmallVec::new(),
            millis: 0,
            events: SmallVec::with_capacity(events),
            encoded: Vec::with_capacity(bytes),
            keys: SmallVec::new(),
            streams: SmallVec::new(),
            by_name: HashMap::new(),
        }
    }

    /// Returns the draft, without conditions and checkpoint moves.
    pub(super) fn finish(self, append_id: u128) -> Draft {
        let DraftBuilder { core, author, mut events, keys, streams, index_keys, .. } = self;
        let encoded = Bytes::from(self.encoded);
        // What another node has decided is not checked by later conditions.
        let described = match author {
            Author::Owner => Bytes::new(),
            _ => describe(&mut events, &encoded),
        };
        Draft {
            append_id,
            change: change_of(author, &encoded, &core.keys),
            events,
            encoded,
            described,
            keys,
            index_keys,
            indexes: self.indexes,
            ordinals_in: None,
            streams,
            guards: Vec::new(),
            checkpoints: Vec::new(),
            is_filler: false,
            repeats_whole: false,
            checked: Head::default(),
            attempt: 0,
            checked_events: 0,
        }
    }

    /// Adds an event whose version and keys are known.
    pub(super) fn event_of(
        &mut self,
        stream: String,
        version: u64,
        event: &NewEvent,
        keys: CommittedKeys,
    ) {
        let at = self.stream(stream, |_| keys.stream);
        self.event_in(at, event, Some(keys.event_type));
        let stream = self.events.last().and_then(|event| self.streams.get_mut(event.stream));
        if let Some(stream) = stream.filter(|stream| stream.events == 1) {
            stream.version = version.checked_sub(1);
        }
    }

    /// Adds an event.
    pub(super) fn event(&mut self, stream: String, event: &NewEvent) {
        let keys = self.core.keys;
        let at = self.stream(stream, |name| StreamKeys::new(&keys, name));
        self.event_in(at, event, None);
    }

    /// Adds an event of a stream; the key of its type is found unless it is given.
    fn event_in(&mut self, at: usize, event: &NewEvent, event_type: Option<Key>) {
        self.link(at);
        let (core, stream) = (self.core, &self.streams[at]);
        let id = event.id.unwrap_or_else(|| core.new_id(self.millis));
        let (start, first_key) = (self.encoded.len(), self.keys.len());
        let hash_key = &core.log.header().hash_key;
        record::encode_into(&mut self.encoded, &stream.name, event, id.into_bytes(), hash_key);
        let facts = NewFacts { stream: &stream.name, event };
        if event.event_type == record::DROPPED_TYPE {
            record::mark_dropped(&mut self.encoded[start..]);
        }
        let event_type = event_type.unwrap_or_else(|| core.keys.of(Field::Type, &event.event_type));
        core.keys.facts_beside(event_type, &facts, &mut self.keys);
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
            id_given: event.id.is_some() && self.author.finds_ids(),
            id_key: core.keys.event(&stream.keys.stream, id),
            time: event.event_time.map(|time| time.0),
            default_time: None,
            described: encoded.clone(),
            encoded,
            keys: first_key..self.keys.len(),
            index_keys: first_index_key..self.index_keys.len(),
        });
    }

    /// Links the next event to the last one of its stream.
    fn link(&mut self, at: usize) {
        let (stream, number) = (&mut self.streams[at], self.events.len());
        stream.events += 1;
        if let Some((_, last)) = stream.ends {
            self.events[last].next = Some(number);
        }
        let first = stream.ends.map_or(number, |(first, _)| first);
        stream.ends = Some((first, number));
    }

    /// Returns the index of a stream, which is added if it is new. Usually it is the last one.
    fn stream(&mut self, name: String, keys: impl FnOnce(&str) -> StreamKeys) -> usize {
        let last = self.streams.len().checked_sub(1);
        if let Some(last) = last.filter(|last| self.streams[*last].name == name) {
            return last;
        }
        if let Some(at) = self.by_name.get(&name) {
            return *at;
        }
        self.by_name.extend(last.map(|last| (self.streams[last].name.clone(), last)));
        self.streams.push(DraftStream {
            keys: keys(&name),
            name,
            expected: Expected::Any,
            version: None,
            events: 0,
            ends: None,
        });
        self.streams.len() - 1
    }
}

/// Returns the records that later conditions check. They stay in memory for a while, so large payloads
/// are left out, although that costs a copy.
fn describe(events: &mut [DraftEvent], encoded: &Bytes) -> Bytes {
    /// Records are kept with their payloads up to this average size.
    const MAX_AVERAGE: usize = 1024;
    if encoded.len() <= events.len() * MAX_AVERAGE {
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

/// Returns the error for something that is given twice.
fn duplicate(what: &str, name: &str) -> Invalid {
    Invalid::new("append_contradictory", format!("{what} {name} is given twice in one append"))
}

fn change_of(author: Author, encoded: &Bytes, keys: &Keys) -> Option<StoreChange> {
    (author != Author::Caller).then(|| StoreChange::of(encoded, keys)).flatten()
}

/// Refuses a draft that appends the same event id to a stream twice.
fn check_event_ids(events: &[DraftEvent], streams: &[DraftStream]) -> Result<(), Invalid> {
    if events.len() < 2 {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(events.len());
    match events.iter().find(|event| event.id_given && !seen.insert((event.stream, event.id))) {
        Some(event) => {
            let stream = &streams[event.stream].name;
            Err(duplicate(&format!("in stream {stream}, event id"), &event.id.to_string()))
        }
        None => Ok(()),
    }
}

/// Refuses an append with two expectations of one stream, or two moves of one checkpoint.
fn check_duplicates(append: &Append) -> Result<(), Invalid> {
    if append.expectations().len() > 1 {
        let mut streams = HashSet::new();
        if let Some((stream, _)) =
            append.expectations().iter().find(|(name, _)| !streams.insert(name))
        {
            return Err(duplicate("the expectation of stream", stream));
        }
    }
    let mut names = HashSet::new();
    match append.moves().iter().find(|to| !names.insert(&to.name)) {
        Some(to) => Err(duplicate("the move of checkpoint", &to.name)),
        None => Ok(()),
    }
}
