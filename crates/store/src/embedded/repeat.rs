//! Finds out whether an append was written before.

use std::collections::HashMap;

use uuid::Uuid;

use super::core::Core;
use super::draft::{Draft, DraftEvent, DraftStream};
use super::indexes::NamedIndex;
use super::recent::RecentEvent;
use crate::embedded::events::decode_event;
use leftfold_api::names;
use leftfold_api::{AppendError, Appended, Failure, IndexOrdinal, Overlap, Recorded, Versions};
use leftfold_index::Key;

/// The stored events that have the ids of a draft's events of one stream.
#[derive(Default)]
pub(crate) struct StoredRepeat {
    /// The first version, if all events are stored, in this order and without gaps.
    pub(crate) first: Option<u64>,
    /// The lowest and the highest position.
    positions: (u64, u64),
    /// Why the events are neither new nor a repeat.
    pub(crate) overlap: Option<Overlap>,
}

impl StoredRepeat {
    /// Returns the error for an append of which only this stream, or only a part, repeats one append.
    pub(crate) fn to_overlap(&self, draft: &Draft, at: usize) -> Overlap {
        let id = draft.events_of(at).next().map(|event| event.id);
        Overlap::Partial {
            stream: draft.streams[at].name.to_string(),
            id: id.unwrap_or_default(),
            version: self.first.unwrap_or_default(),
        }
    }
}

impl Core {
    /// Looks for a repeat by the events' ids, anywhere in the stream.
    pub(crate) fn find_repeat(
        &self,
        draft: &Draft,
        at: usize,
        upto: u64,
    ) -> Result<StoredRepeat, Failure> {
        // A stream without events and new ids need no look-up.
        if draft.streams[at].version.is_none() {
            return Ok(StoredRepeat::default());
        }
        let index = self.index.set.load();
        // The ids of a stream are in the parts of the index that list the stream.
        let since = index.begins_behind(&draft.streams[at].keys.stream);
        let mut found = Vec::new();
        for event in draft.events_of(at) {
            let stored = match event.id_given {
                true => self.find_by_id(&draft.streams[at], event, [since, upto])?,
                false => None,
            };
            found.push((event, stored));
        }
        Ok(compare_with_stored(draft, at, &found))
    }

    /// Returns the first event of a stream that has the id of a draft's event.
    ///
    /// The index gives candidates, so each one is read and compared. A lost event has no id any more: if no
    /// other event has the id, a candidate that was lost and may be of the stream counts as the one.
    fn find_by_id(
        &self,
        stream: &DraftStream,
        event: &DraftEvent,
        range: [u64; 2],
    ) -> Result<Option<Recorded>, Failure> {
        let (mut found, mut lost) = (None, None);
        self.index.set.load().find_id(&event.id_key, range, |position| {
            let stored = self.event_at(position)?;
            let is_of = |name: &str| stored.stream() == name;
            if is_of(&stream.name) && stored.id() == event.id {
                found = Some(stored);
                return Ok::<_, Failure>(true);
            }
            if stored.is_lost() && (is_of(&stream.name) || is_of(names::LOST)) {
                lost.get_or_insert(stored);
            }
            Ok(false)
        })?;
        Ok(found.or(lost))
    }

    /// Whether the first event of a draft may be stored, by its id.
    pub(crate) fn may_have_first(&self, draft: &Draft, upto: u64) -> Result<bool, Failure> {
        let Some(first) = draft.events.first().filter(|event| event.id_given) else {
            return Ok(false);
        };
        let index = self.index.set.load();
        let stream = draft.streams.get(first.stream);
        let since = stream.map_or(0, |stream| index.begins_behind(&stream.keys.stream));
        let found = index.find_id(&first.id_key, [since, upto], |_| Ok::<_, Failure>(true))?;
        Ok(found.is_some())
    }

    /// Returns the event at a position that the index lists.
    pub(crate) fn event_at(&self, position: u64) -> Result<Recorded, Failure> {
        match self.log.fetcher().get(position)? {
            Some(record) => decode_event(record),
            None => {
                let what = "the index lists this position, but the log has no event there";
                Err(Failure::Record { position, what })
            }
        }
    }

    /// Returns the answer to an append that was written before; an error if its events were written by
    /// several appends.
    pub(crate) fn first_answer(
        &self,
        draft: &Draft,
        repeats: &[(usize, &StoredRepeat)],
    ) -> Result<Appended, AppendError> {
        let first = repeats.iter().map(|(_, known)| known.positions.0).min().unwrap_or_default();
        let last = repeats.iter().map(|(_, known)| known.positions.1).max().unwrap_or_default();
        if let Some((at, known)) = repeats.first()
            && !self.log.fetcher().is_one_append(first, last).map_err(Failure::from)?
        {
            return Err(known.to_overlap(draft, *at).into());
        }
        let versions = |(at, known): &(usize, &StoredRepeat)| {
            let (stream, first) = (&draft.streams[*at], known.first.unwrap_or_default());
            let last = first + stream.events - 1;
            Versions { stream: stream.name.to_string(), first, last }
        };
        Ok(Appended {
            cursor: self.cursor(last),
            positions: Some((first, last)),
            streams: repeats.iter().map(versions).collect(),
            repeated: true,
            ordinals: Vec::new(),
        })
    }
}

/// Compares a draft's events of one stream with the stored events of the same ids.
fn compare_with_stored(
    draft: &Draft,
    at: usize,
    found: &[(&DraftEvent, Option<Recorded>)],
) -> StoredRepeat {
    let stream = || draft.streams[at].name.to_string();
    let partial = |id: Uuid, version| Overlap::Partial { stream: stream(), id, version };
    let mut known = StoredRepeat::default();
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

/// The events of an append that a list of a named index may have.
#[derive(Default)]
struct ListedEvents {
    events: u64,
    /// The ordinal of the next one, if the list has all of them.
    next: Option<u64>,
}

/// Returns the partition of an event in a named index, and the key of its list.
fn key_in(draft: &Draft, event: &DraftEvent, named: &NamedIndex) -> (u32, Key) {
    let micros = event.time.unwrap_or_default();
    let recent = RecentEvent::of(&draft.described[event.described.clone()], micros);
    let partition = named.definition.partitioning.as_ref();
    let partition = partition.map_or(0, |partitioning| partitioning.partition_of(&recent));
    (partition, *named.partitions.get(partition as usize).unwrap_or(&named.key))
}

impl Core {
    /// Adds to an answer the ordinals of the events in a named index. The append is durable or, in a
    /// relaxed store, admitted, so the number of earlier events in the index is final.
    pub(crate) fn with_ordinals(
        &self,
        appended: Appended,
        draft: &Draft,
        named: Option<&NamedIndex>,
    ) -> Result<Appended, AppendError> {
        let (Some(named), Some((first, last))) = (named, appended.positions) else {
            return Ok(appended);
        };
        let (positions, repeated) = match appended.repeated {
            true => (self.stored_positions(draft, &appended.streams, last)?, true),
            false => ((first..=last).collect(), false),
        };
        let keys: Vec<_> = draft.events.iter().map(|event| key_in(draft, event, named)).collect();
        let index = self.index.set.load();
        // The lists of an append of their own are looked up once each, unless they leave an event out.
        let mut lists = HashMap::new();
        if !repeated {
            for (_, key) in &keys {
                lists.entry(*key).or_insert(ListedEvents::default()).events += 1;
            }
            for (key, list) in &mut lists {
                let before = index.count(key, first - 1)?;
                list.next = (index.count(key, last)? - before == list.events).then_some(before);
            }
        }
        let mut ordinals = Vec::with_capacity(draft.events.len());
        for (position, (partition, key)) in positions.into_iter().zip(keys) {
            let next = lists.get_mut(&key).and_then(|list| list.next.as_mut());
            let ordinal = match next {
                Some(next) => Some(std::mem::replace(next, *next + 1)),
                None => {
                    let upto = index.count(&key, position)?;
                    // An event that the index does not list adds nothing to the count.
                    (upto > index.count(&key, position - 1)?).then(|| upto - 1)
                }
            };
            ordinals.push(ordinal.map(|ordinal| IndexOrdinal { partition, ordinal }));
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
        let index = self.index.set.load();
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
