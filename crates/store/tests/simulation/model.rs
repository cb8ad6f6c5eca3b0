//! A store as a list of events: slow, in memory, and short enough to be believed.

use std::collections::BTreeMap;

use leftfold_store::{
    Append, CheckpointMove, Cursor, Expected, Field, NewEvent, Query, Recorded, Value,
};

/// An event, to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) stream: String,
    pub(crate) id: Option<u128>,
    pub(crate) kind: u64,
    pub(crate) tag: u64,
    pub(crate) content: u64,
}

/// An append, to the model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Op {
    pub(crate) events: Vec<Event>,
    pub(crate) expected: Vec<(String, Expected)>,
    pub(crate) none_after: Option<(Query, u64)>,
    pub(crate) checkpoint: Option<(String, Option<u64>, u64)>,
}

/// What an append must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Written from this position on.
    Written(u64),
    /// Written before, from and to these positions.
    Repeated(u64, u64),
    Refused(&'static str),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// The event at position n is number n - 1; those of the store itself are none.
    pub(crate) log: Vec<Option<Event>>,
    pub(crate) checkpoints: BTreeMap<String, u64>,
    /// Named indexes: query and position of the definition.
    pub(crate) indexes: BTreeMap<String, Query>,
}

enum Stream {
    Fits,
    Conflicts,
    Repeats(u64, u64),
    Overlaps(&'static str),
}

impl Model {
    pub(crate) fn head(&self) -> u64 {
        self.log.len() as u64
    }

    /// Positions and events of a stream.
    pub(crate) fn stream(&self, name: &str) -> Vec<(u64, &Event)> {
        let numbered = (1..).zip(&self.log);
        let events = numbered.filter_map(|(position, event)| Some((position, event.as_ref()?)));
        events.filter(|(_, event)| event.stream == name).collect()
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
            Stream::Overlaps(code) => Some(code),
            _ => None,
        });
        if let Some(code) = code {
            return Outcome::Refused(code);
        }
        let repeats: Vec<(u64, u64)> = streams
            .iter()
            .filter_map(|(stream, _)| match stream {
                Stream::Repeats(first, last) => Some((*first, *last)),
                _ => None,
            })
            .collect();
        let with_events =
            names.iter().filter(|name| op.events.iter().any(|e| e.stream == **name)).count();
        if let (Some(first), Some(last)) =
            (repeats.iter().map(|r| r.0).min(), repeats.iter().map(|r| r.1).max())
        {
            let whole = repeats.len() == with_events;
            let partial = Outcome::Refused("partial_repeat");
            return if whole { Outcome::Repeated(first, last) } else { partial };
        }
        if streams.iter().any(|(stream, _)| matches!(stream, Stream::Conflicts)) {
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

    fn judge(&self, op: &Op, name: &str) -> Stream {
        let expected = op.expected.iter().find(|(of, _)| of == name);
        let expected = expected.map_or(Expected::Any, |(_, expected)| *expected);
        let stored = self.stream(name);
        let new: Vec<_> = op.events.iter().filter(|event| event.stream == name).collect();
        let last = (stored.len() as u64).checked_sub(1);
        let (holds, slot) = match expected {
            Expected::Any => (true, None),
            Expected::Exists => (last.is_some(), None),
            Expected::NoStream => (last.is_none(), Some(0)),
            Expected::Exactly(version) => (last == Some(version), Some(version + 1)),
        };
        let verdict = if holds { Stream::Fits } else { Stream::Conflicts };
        if new.is_empty() || (holds && slot.is_some()) {
            return verdict;
        }
        // Where each of the new events is already, if it is.
        let places: Vec<Option<usize>> = new
            .iter()
            .enumerate()
            .map(|(i, event)| match slot {
                Some(slot) => {
                    let at = slot as usize + i;
                    let same =
                        stored.get(at).is_some_and(|(_, e)| e.id.is_some() && e.id == event.id);
                    same.then_some(at)
                }
                None => event.id.and_then(|id| stored.iter().position(|(_, e)| e.id == Some(id))),
            })
            .collect();
        let other = |(place, event): (&Option<usize>, &&Event)| {
            place.is_some_and(|at| stored[at].1 != *event)
        };
        let known: Vec<usize> = places.iter().flatten().copied().collect();
        let Some(first) = known.first().copied() else { return verdict };
        if places.iter().zip(&new).any(other) {
            return Stream::Overlaps("event_id_reused");
        }
        let in_order = known.iter().enumerate().all(|(i, at)| *at == first + i);
        if known.len() < new.len() || !in_order {
            return Stream::Overlaps("partial_repeat");
        }
        Stream::Repeats(stored[first].0, stored[first + known.len() - 1].0)
    }

    pub(crate) fn write(&mut self, op: &Op) {
        self.log.extend(op.events.iter().cloned().map(Some));
        if let Some((name, _, to)) = &op.checkpoint {
            self.checkpoints.insert(name.clone(), *to);
        }
    }

    /// The positions that a query yields.
    pub(crate) fn found(&self, query: &Query) -> Vec<u64> {
        let numbered = (1..).zip(&self.log);
        numbered.filter(|(_, event)| self.wants(query, event)).map(|(at, _)| at).collect()
    }

    fn wants(&self, query: &Query, event: &Option<Event>) -> bool {
        match query {
            Query::All => true,
            Query::And(all) => all.iter().all(|query| self.wants(query, event)),
            Query::Or(any) => any.iter().any(|query| self.wants(query, event)),
            Query::Not(query) => !self.wants(query, event),
            Query::Index(name) => {
                self.indexes.get(name).is_some_and(|query| self.wants(query, event))
            }
            Query::During(_) => panic!("the model knows no time"),
            Query::Is(field, values) => {
                // Of the store's own events only the category is asked for.
                let text = match (event, field) {
                    (None, Field::Category) => "$index".to_owned(),
                    (None, _) => return false,
                    (Some(event), Field::Stream) => event.stream.clone(),
                    (Some(event), Field::Category) => event.stream[..1].to_owned(),
                    (Some(event), Field::Type) => format!("T{}", event.kind),
                    (Some(event), Field::Tag) => format!("t={}", event.tag),
                    (Some(_), Field::Correlation) => return false,
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

    pub(crate) fn is(&self, stored: &Recorded) -> bool {
        let new = self.new_event();
        stored.stream() == self.stream
            && self.id.is_none_or(|id| stored.id().as_u128() == id)
            && stored.event_type() == new.event_type
            && stored.tags().eq(new.tags.iter().map(|(key, value)| (&**key, &**value)))
            && stored.data() == new.data
    }
}
