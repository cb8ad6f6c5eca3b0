//! The model: a store as a plain list of events in memory, short enough to be obviously right.

use std::collections::{BTreeMap, BTreeSet};

use leftfold_api::{
    Append, CheckpointMove, Cursor, Expected, Field, NewEvent, Query, Recorded, Retention,
    RetentionRule, Value,
};

use super::raw::Raw;

/// An event of the model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    pub(crate) stream: String,
    pub(crate) id: Option<u128>,
    pub(crate) kind: u64,
    pub(crate) tag: u64,
    pub(crate) content: u64,
}

/// An append of the model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Op {
    pub(crate) events: Vec<Event>,
    pub(crate) expected: Vec<(String, Expected)>,
    pub(crate) none_after: Option<(Query, u64)>,
    pub(crate) checkpoint: Option<(String, Option<u64>, u64)>,
}

/// The required outcome of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Written from this position on.
    Written(u64),
    /// Written before, at positions from the first to the second.
    Repeated(u64, u64),
    Refused(&'static str),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// The event at position n is number n - 1.
    pub(crate) log: Vec<LogEvent>,
    /// The positions of the first events of appends.
    pub(crate) appends: BTreeSet<u64>,
    pub(crate) checkpoints: BTreeMap<String, u64>,
    /// Named indexes.
    pub(crate) indexes: BTreeMap<String, Query>,
    /// The retention settings of streams.
    pub(crate) retention: BTreeMap<String, StreamSetting>,
    /// How many events of a stream were deleted.
    pub(crate) deleted: BTreeMap<String, u64>,
    pub(crate) rules: BTreeMap<String, RetentionRule>,
    /// Positions whose payloads were removed.
    pub(crate) scavenged: BTreeSet<u64>,
}

/// The retention setting of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamSetting {
    Retention(Retention),
    Tombstone,
}

/// An event in the log.
#[derive(Debug, Clone)]
pub(crate) enum LogEvent {
    User(Event),
    /// A system event of this category.
    System(&'static str),
}

/// The outcome of an append for one stream.
enum StreamOutcome {
    Holds,
    Conflict,
    Repeat(u64, u64),
    Overlap(&'static str),
}

impl Model {
    pub(crate) fn head(&self) -> u64 {
        self.log.len() as u64
    }

    /// Positions and events of a stream.
    pub(crate) fn stream(&self, name: &str) -> Vec<(u64, &Event)> {
        let numbered = (1..).zip(&self.log);
        let of_stream = |(position, stored): (u64, &'_ LogEvent)| match stored {
            LogEvent::User(event) if event.stream == name => Some(position),
            _ => None,
        };
        let positions: Vec<u64> = numbered.filter_map(of_stream).collect();
        positions.into_iter().filter_map(|at| Some((at, self.user(at)?))).collect()
    }

    pub(crate) fn user(&self, position: u64) -> Option<&Event> {
        match self.log.get(position as usize - 1)? {
            LogEvent::User(event) => Some(event),
            LogEvent::System(_) => None,
        }
    }

    pub(crate) fn outcome(&self, op: &Op) -> Outcome {
        let mut names: Vec<&str> = Vec::new();
        let expected_names = op.expected.iter().map(|(name, _)| &**name);
        for name in op.events.iter().map(|event| &*event.stream).chain(expected_names) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let streams: Vec<_> = names.iter().map(|name| (self.judge(op, name), *name)).collect();
        let code = streams.iter().find_map(|(stream, _)| match stream {
            StreamOutcome::Overlap(code) => Some(code),
            _ => None,
        });
        if let Some(code) = code {
            return Outcome::Refused(code);
        }
        let repeats: Vec<(u64, u64)> = streams
            .iter()
            .filter_map(|(stream, _)| match stream {
                StreamOutcome::Repeat(first, last) => Some((*first, *last)),
                _ => None,
            })
            .collect();
        let with_events =
            names.iter().filter(|name| op.events.iter().any(|e| e.stream == **name)).count();
        if let (Some(first), Some(last)) =
            (repeats.iter().map(|r| r.0).min(), repeats.iter().map(|r| r.1).max())
        {
            let whole = repeats.len() == with_events && self.is_one_append(first, last);
            let partial = Outcome::Refused("partial_repeat");
            return if whole { Outcome::Repeated(first, last) } else { partial };
        }
        if names.iter().any(|name| self.retention.get(*name) == Some(&StreamSetting::Tombstone)) {
            return Outcome::Refused("stream_tombstoned");
        }
        if streams.iter().any(|(stream, _)| matches!(stream, StreamOutcome::Conflict)) {
            return Outcome::Refused("wrong_version");
        }
        if let Some((query, after)) = &op.none_after
            && self.found(query).iter().any(|position| position > after)
        {
            return Outcome::Refused("query_matched");
        }
        if let Some((name, expected, _)) = &op.checkpoint
            && self.checkpoints.get(name) != expected.as_ref()
        {
            return Outcome::Refused("checkpoint_moved");
        }
        Outcome::Written(self.head() + 1)
    }

    /// Whether the events from one position to another were written by one append.
    fn is_one_append(&self, first: u64, last: u64) -> bool {
        (first + 1..=last).all(|at| self.user(at).is_some() && !self.appends.contains(&at))
    }

    fn judge(&self, op: &Op, name: &str) -> StreamOutcome {
        let expected = op.expected.iter().find(|(of, _)| of == name);
        let expected = expected.map_or(Expected::Any, |(_, expected)| *expected);
        let stored = self.stream(name);
        let new: Vec<_> = op.events.iter().filter(|event| event.stream == name).collect();
        let last = (stored.len() as u64).checked_sub(1);
        let holds = match expected {
            Expected::Any => true,
            Expected::Exists => last.is_some(),
            Expected::NoStream => last.is_none(),
            Expected::Exactly(version) => last == Some(version),
        };
        let verdict = if holds { StreamOutcome::Holds } else { StreamOutcome::Conflict };
        // The version of each new event, if it is stored already.
        let place = |event: &&Event| {
            event.id.and_then(|id| stored.iter().position(|(_, e)| e.id == Some(id)))
        };
        let places: Vec<Option<usize>> = new.iter().map(place).collect();
        let other = |(place, event): (&Option<usize>, &&Event)| {
            place.is_some_and(|at| stored[at].1 != *event)
        };
        let known: Vec<usize> = places.iter().flatten().copied().collect();
        let Some(first) = known.first().copied() else { return verdict };
        if places.iter().zip(&new).any(other) {
            return StreamOutcome::Overlap("event_id_reused");
        }
        let in_order = known.iter().enumerate().all(|(i, at)| *at == first + i);
        if known.len() < new.len() || !in_order {
            return StreamOutcome::Overlap("partial_repeat");
        }
        StreamOutcome::Repeat(stored[first].0, stored[first + known.len() - 1].0)
    }

    pub(crate) fn write(&mut self, op: &Op) {
        self.appends.insert(self.head() + 1);
        self.log.extend(op.events.iter().cloned().map(LogEvent::User));
        if let Some((name, _, to)) = &op.checkpoint {
            self.checkpoints.insert(name.clone(), *to);
        }
    }

    /// The positions that a query yields.
    pub(crate) fn found(&self, query: &Query) -> Vec<u64> {
        let numbered = (1..).zip(&self.log);
        numbered.filter(|(_, event)| self.wants(query, event)).map(|(at, _)| at).collect()
    }

    /// The visible positions that a query yields.
    pub(crate) fn visible(&self, query: &Query) -> Vec<u64> {
        let hidden = self.hidden();
        self.found(query).into_iter().filter(|at| !hidden.contains(at)).collect()
    }

    /// The positions that retention hides or that were scavenged.
    pub(crate) fn hidden(&self) -> BTreeSet<u64> {
        let mut hidden = self.scavenged.clone();
        for name in (0..3).flat_map(|n| [format!("a-{n}"), format!("b-{n}")]) {
            let stored = self.stream(&name);
            let first_kept = self.first_kept(&name, stored.len() as u64);
            let versions = (0..).zip(&stored).filter(|(version, _)| *version < first_kept);
            hidden.extend(versions.map(|(_, (position, _))| *position));
        }
        hidden
    }

    fn first_kept(&self, name: &str, len: u64) -> u64 {
        let own = match self.retention.get(name) {
            Some(StreamSetting::Tombstone) => return u64::MAX,
            Some(StreamSetting::Retention(retention)) => *retention,
            None => Retention::default(),
        };
        let deleted = self.deleted.get(name).copied().unwrap_or(0);
        let event =
            |stream: &str| LogEvent::User(Event { stream: stream.into(), ..Event::default() });
        let rules = self.rules.values().filter(|rule| self.wants(&rule.query, &event(name)));
        let counts = rules.map(|rule| rule.retention).chain([own]).filter_map(|r| r.max_count);
        let by_count = counts.map(|count| len.saturating_sub(count)).max().unwrap_or(0);
        by_count.max(own.truncate_before.unwrap_or(0)).max(deleted)
    }

    fn wants(&self, query: &Query, event: &LogEvent) -> bool {
        let shown = matches!(event, LogEvent::User(_)) || self.asks_for_system(query);
        shown && self.holds(query, event)
    }

    /// Whether a query names a system category or says `system:true`, outside of a `not`.
    fn asks_for_system(&self, query: &Query) -> bool {
        match query {
            Query::And(parts) | Query::Or(parts) => parts.iter().any(|q| self.asks_for_system(q)),
            Query::Index(name) => {
                self.indexes.get(name).is_some_and(|query| self.asks_for_system(query))
            }
            Query::Is(Field::Category, values) => {
                values.iter().any(|value| *value == Value::Exactly("$index".to_owned()))
            }
            query => *query == Query::System,
        }
    }

    fn holds(&self, query: &Query, event: &LogEvent) -> bool {
        match query {
            Query::All | Query::System => true,
            Query::And(all) => all.iter().all(|query| self.holds(query, event)),
            Query::Or(any) => any.iter().any(|query| self.holds(query, event)),
            Query::Not(query) => !self.holds(query, event),
            Query::Partition(_) => false,
            Query::Within(_) => panic!("the model knows no partitions of stores"),
            Query::Index(name) => {
                self.indexes.get(name).is_some_and(|query| self.holds(query, event))
            }
            Query::During(_) => panic!("the model knows no time"),
            Query::Is(field, values) => {
                // Of system events, only the category is queried.
                let text = match (event, field) {
                    (LogEvent::System(category), Field::Category) => (*category).to_owned(),
                    (LogEvent::System(_), _) | (_, Field::Correlation) => return false,
                    (LogEvent::User(event), Field::Stream) => event.stream.clone(),
                    (LogEvent::User(event), Field::Category) => event.stream[..1].to_owned(),
                    (LogEvent::User(event), Field::Type) => format!("T{}", event.kind),
                    (LogEvent::User(event), Field::Tag) => format!("t={}", event.tag),
                };
                values.iter().any(|value| match value {
                    Value::Exactly(wanted) => *wanted == text,
                    Value::Prefix(prefix) => text.starts_with(prefix),
                })
            }
        }
    }
}

impl Op {
    /// The same for the store. Cursors are made of positions.
    pub(crate) fn append(&self, cursor: impl Fn(u64) -> Cursor) -> Append {
        let mut append = Append::new();
        for event in &self.events {
            append = append.event(&event.stream, event.new_event());
        }
        for (stream, expected) in &self.expected {
            append = append.expect(stream, *expected);
        }
        if let Some((query, after)) = &self.none_after {
            append = append.none_after(query.clone(), cursor(*after));
        }
        if let Some((name, expected, to)) = &self.checkpoint {
            let (name, expected) = (name.clone(), expected.map(&cursor));
            append = append.checkpoint(CheckpointMove { name, expected, to: cursor(*to) });
        }
        append
    }
}

impl Event {
    fn new_event(&self) -> NewEvent {
        let data = format!("{}{}", self.content, "x".repeat(self.content as usize % 8 * 40));
        let event = NewEvent::new(format!("T{}", self.kind), data).tag("t", self.tag.to_string());
        match self.id {
            Some(id) => event.id(uuid::Uuid::from_u128(id)),
            None => event,
        }
    }

    /// Whether a record of the log is this event.
    pub(crate) fn is_raw(&self, raw: &Raw) -> bool {
        let new = self.new_event();
        raw.stream == self.stream
            && self.id.is_none_or(|id| raw.id == id)
            && raw.event_type == new.event_type
            && (if raw.scavenged { raw.data.is_empty() } else { raw.data == new.data })
    }

    pub(crate) fn is(&self, stored: &Recorded) -> bool {
        let new = self.new_event();
        stored.stream() == self.stream
            && self.id.is_none_or(|id| stored.id().as_u128() == id)
            && stored.event_type() == new.event_type
            && stored.tags().eq(new.tags.iter().map(|(key, value)| (&**key, &**value)))
            && stored.data() == new.data
    }
}
