//! Is this append in the store already?

use std::collections::HashMap;

use uuid::Uuid;

use super::core::Core;
use super::draft::{Draft, DraftEvent, DraftStream};
use super::indexes::Named;
use super::recent::Recent;
use crate::embedded::events::recorded;
use leftfold_api::{AppendError, Appended, Failure, IndexOrdinal, Overlap, Recorded, Versions};

/// What is known of a stream's events.
#[derive(Default)]
pub(crate) struct Known {
    /// The first version, if all of them are there, in this order and next to each other.
    pub(crate) first: Option<u64>,
    /// The lowest and the highest position.
    positions: (u64, u64),
    /// Why the events can be taken neither as new nor as a repeat.
    pub(crate) overlap: Option<Overlap>,
}

impl Known {
    /// One of the events as what stands in the way of the others.
    pub(crate) fn as_overlap(&self, draft: &Draft, at: usize) -> Overlap {
        let id = draft.events_of(at).next().map(|event| event.id);
        Overlap::Partial {
            stream: draft.streams[at].name.to_string(),
            id: id.unwrap_or_default(),
            version: self.first.unwrap_or_default(),
        }
    }
}

impl Core {
    /// Looks at the versions where the events would be, had they been written before.
    pub(crate) fn known_at(
        &self,
        draft: &Draft,
        at: usize,
        first: u64,
        upto: u64,
    ) -> Result<Known, Failure> {
        let key = &draft.streams[at].keys.stream;
        let mut found = Vec::new();
        for (version, event) in (first..).zip(draft.events_of(at)) {
            let position = self.index.load().nth(key, version, upto)?;
            let stored = position.map(|position| self.event_at(position)).transpose()?;
            found.push((event, stored.filter(|stored| stored.id() == event.id)));
        }
        Ok(weigh(draft, at, &found))
    }

    /// Looks for the events' ids anywhere in the stream.
    pub(crate) fn known_anywhere(
        &self,
        draft: &Draft,
        at: usize,
        upto: u64,
    ) -> Result<Known, Failure> {
        // A stream without events, and ids that were made just now, need no look-up.
        if draft.streams[at].version.is_none() {
            return Ok(Known::default());
        }
        let mut found = Vec::new();
        for event in draft.events_of(at) {
            let position = match event.id_given {
                true => self.index.load().first(&event.id_key, upto)?,
                false => None,
            };
            let stored = position.map(|position| self.event_at(position)).transpose()?;
            found.push((event, stored));
        }
        Ok(weigh(draft, at, &found))
    }

    pub(crate) fn event_at(&self, position: u64) -> Result<Recorded, Failure> {
        match self.log.fetcher().get(position)? {
            Some(record) => recorded(record),
            None => {
                let what = "the index knows it, the log does not";
                Err(Failure::Record { position, what })
            }
        }
    }

    /// The answer that was given the first time.
    pub(crate) fn first_answer(&self, draft: &Draft, repeats: &[(usize, &Known)]) -> Appended {
        let first = repeats.iter().map(|(_, known)| known.positions.0).min().unwrap_or_default();
        let last = repeats.iter().map(|(_, known)| known.positions.1).max().unwrap_or_default();
        let versions = |(at, known): &(usize, &Known)| {
            let (stream, first) = (&draft.streams[*at], known.first.unwrap_or_default());
            let last = first + stream.events - 1;
            Versions { stream: stream.name.to_string(), first, last }
        };
        Appended {
            cursor: self.cursor(last),
            positions: Some((first, last)),
            streams: repeats.iter().map(versions).collect(),
            repeated: true,
            ordinals: Vec::new(),
        }
    }
}

fn weigh(draft: &Draft, at: usize, found: &[(&DraftEvent, Option<Recorded>)]) -> Known {
    let stream = || draft.streams[at].name.to_string();
    let partial = |id: Uuid, version| Overlap::Partial { stream: stream(), id, version };
    let mut known = Known::default();
    let stored: Vec<_> = found.iter().filter_map(|(_, stored)| stored.as_ref()).collect();
    let (Some(first), Some(last)) = (stored.first(), stored.last()) else { return known };
    for (event, stored) in found {
        if let Some(stored) = stored
            && draft.digest(event) != Some(stored.digest())
        {
            let (id, version) = (event.id, stored.version());
            known.overlap = Some(Overlap::Content { stream: stream(), id, version });
            return known;
        }
    }
    let in_order = (first.version()..).zip(&stored).all(|(version, s)| s.version() == version);
    if stored.len() < found.len() || !in_order {
        known.overlap = Some(partial(first.id(), first.version()));
        return known;
    }
    known.first = Some(first.version());
    known.positions = (first.position(), last.position());
    known
}

impl Core {
    /// Adds to an answer the places that an append's events have in a named index. The append is
    /// durable or (in a relaxed store) admitted: what lies before an event in the index is known.
    pub(crate) fn with_ordinals(
        &self,
        appended: Appended,
        draft: &Draft,
        named: Option<&Named>,
    ) -> Result<Appended, AppendError> {
        let (Some(named), Some((first, last))) = (named, appended.positions) else {
            return Ok(appended);
        };
        let positions = match appended.repeated {
            true => self.stored_positions(draft, &appended.streams, last)?,
            false => (first..=last).collect(),
        };
        let index = self.index.load();
        let mut ordinals = Vec::with_capacity(draft.events.len());
        for (position, event) in positions.into_iter().zip(&draft.events) {
            let micros = event.time.unwrap_or_default();
            let recent = Recent::of(&draft.described[event.described.clone()], micros);
            let partition = named.definition.partitioning.as_ref();
            let partition = partition.map_or(0, |partitioning| partitioning.partition_of(&recent));
            let key = named.partitions.get(partition as usize).unwrap_or(&named.key);
            let upto = index.count(key, position)?;
            // An event that the index does not list adds nothing to the count.
            let is_listed = upto > index.count(key, position - 1)?;
            ordinals.push(is_listed.then(|| IndexOrdinal { partition, ordinal: upto - 1 }));
        }
        Ok(Appended { ordinals, ..appended })
    }

    /// Returns the position of each event of a repeat. The events may have been appended apart, with
    /// others between them, so only their versions are known.
    fn stored_positions(
        &self,
        draft: &Draft,
        streams: &[Versions],
        upto: u64,
    ) -> Result<Vec<u64>, Failure> {
        let index = self.index.load();
        let firsts: HashMap<_, _> = streams.iter().map(|v| (v.stream.as_str(), v.first)).collect();
        let first_of = |stream: &DraftStream| firsts.get(&*stream.name).copied();
        let mut next: Vec<_> =
            draft.streams.iter().map(|stream| first_of(stream).unwrap_or_default()).collect();
        let mut positions = Vec::with_capacity(draft.events.len());
        for event in &draft.events {
            let key = &draft.streams[event.stream].keys.stream;
            let position = index.nth(key, next[event.stream], upto)?;
            let what = "a repeat names it, the index does not know it";
            positions.push(position.ok_or(Failure::Record { position: upto, what })?);
            next[event.stream] += 1;
        }
        Ok(positions)
    }
}
