//! Pairs the records of a statement with those that the store has of the same kind.
//!
//! Records of one kind are equal in all that tells them apart. The n-th of a statement is the n-th of those
//! in the store that come from overlapping statements, in the order in which they were stored.
//! `docs-identity.md` gives the rule, its counter-examples and its limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use leftfold_api::{
    AppendError, Cursor, EventStore, Failure, Field, Query, Read, ReadError, Recorded, Value,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::item::{Draft, GroupEnd, Occurrence};
use crate::origin::{Origin, Relation};
use crate::pipeline::{ambiguous, shown};
use crate::plan::Kinds;
use crate::reason::{Doubt, Warning};

/// The tag by which the records of a kind are found. Each value has the records of many kinds, since a value
/// of its own for each record would take more memory than the rest of its index.
pub(crate) const TAG: &str = "record";
/// The length of its value: one of 4,096.
const TAG_LENGTH: usize = 3;
/// The most records of a statement that wait for its end, and the most bytes of them.
const MAX_WAITING: usize = 10_000;
const MAX_WAITING_BYTES: usize = 32 << 20;

/// Returns the value of the tag: the start of the kind. What is found is compared by the whole.
pub(crate) fn tag_of(kind: Uuid) -> String {
    let mut text = kind.simple().to_string();
    text.truncate(TAG_LENGTH);
    text
}

/// What is done with a record.
pub(crate) enum Decision {
    /// The store has it.
    Repeated,
    /// It is appended under its ordinal.
    New(Draft),
    /// It is the record of this event, with other content.
    Correction(Draft, Uuid),
    /// It is the record of an event with other content, and the mapping knows no corrections.
    Refused(Draft, String),
    /// The end of the statement decides.
    Waits(Draft),
}

/// A record in the store.
pub(crate) struct StoredRecord {
    event: Recorded,
    /// Its number among all of its kind in its stream.
    ordinal: u64,
    /// Its number in its statement.
    index: u64,
    origin: Arc<Origin>,
    /// The payloads of its corrections.
    corrections: Vec<Recorded>,
}

/// The records of some kinds, by stream and kind, in the order of their ordinals.
pub(crate) type StoredRecords = HashMap<(String, Uuid), Vec<StoredRecord>>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    number: u64,
    index: u64,
    statement: Origin,
    /// The id of the event that this one corrects.
    corrects: Option<String>,
}

/// Reads the records in the store that are of the kinds of some drafts.
pub(crate) async fn lookup(
    store: &impl EventStore,
    drafts: &[Draft],
    at_least: Option<Cursor>,
) -> Result<StoredRecords, AppendError> {
    let kinds: HashSet<_> = drafts
        .iter()
        .filter_map(|draft| Some((draft.stream.as_str(), draft.occurrence.as_ref()?.kind)))
        .collect();
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_unstable();
    let mut by_tag = HashMap::<_, Vec<_>>::new();
    for (stream, kind) in &kinds {
        by_tag.entry((*stream, tag_of(*kind))).or_default().push(*kind);
    }
    let (mut events, mut corrections) = (Vec::new(), HashMap::<Uuid, Vec<Recorded>>::new());
    let mut rest = &kinds[..];
    while !rest.is_empty() {
        let (kinds, later) = rest.split_at(first_of_query(rest));
        rest = later;
        let query = query_of(kinds);
        let mut read = Read::forward(query.clone());
        read.at_least.clone_from(&at_least);
        loop {
            let page = store.read(read).await.map_err(as_append_error)?;
            for event in page.events {
                // A tag has the records of many kinds.
                let tag = event.tags().find(|tag| tag.0 == TAG).map(|tag| tag.1.to_owned());
                let place = (event.stream(), tag.unwrap_or_default());
                let kinds = by_tag.get(&place).map_or(&[][..], Vec::as_slice);
                let metadata: Metadata =
                    serde_json::from_slice(&event.metadata()).unwrap_or_default();
                if let Some(of) = metadata.corrects.as_deref().and_then(|of| of.parse().ok()) {
                    corrections.entry(of).or_default().push(event);
                    continue;
                }
                let is_of = |kind: &&Uuid| event.id() == Occurrence::id(**kind, metadata.number);
                if let Some(kind) = kinds.iter().find(is_of).copied() {
                    events.push((event, metadata, kind));
                }
            }
            if !page.more {
                break;
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
    }
    Ok(arrange(events, corrections))
}

/// Orders what was found by stream, kind and ordinal.
fn arrange(
    events: Vec<(Recorded, Metadata, Uuid)>,
    mut corrections: HashMap<Uuid, Vec<Recorded>>,
) -> StoredRecords {
    let mut origins = HashSet::<Arc<Origin>>::new();
    let mut stored = StoredRecords::new();
    for (event, metadata, kind) in events {
        let origin = Arc::new(metadata.statement);
        let origin = match origins.get(&origin) {
            Some(known) => known.clone(),
            None => {
                origins.insert(origin.clone());
                origin
            }
        };
        let record = StoredRecord {
            corrections: corrections.remove(&event.id()).unwrap_or_default(),
            ordinal: metadata.number,
            index: metadata.index,
            origin,
            event,
        };
        stored.entry((record.event.stream().to_owned(), kind)).or_default().push(record);
    }
    for records in stored.values_mut() {
        records.sort_by_key(|record| record.ordinal);
        // Two queries may have read the same tag.
        records.dedup_by_key(|record| record.ordinal);
    }
    stored
}

/// Returns how many of the first kinds make one query, which is far below the limits of queries.
fn first_of_query(kinds: &[(&str, Uuid)]) -> usize {
    const KINDS: usize = 500;
    const BYTES: usize = 32 << 10;
    let mut bytes = 0;
    let fits = |(stream, _): &&(&str, Uuid)| {
        bytes += stream.len() + TAG.len() + 1 + TAG_LENGTH;
        bytes <= BYTES
    };
    kinds.iter().take(KINDS).take_while(fits).count().max(1)
}

/// Returns the query for the records of streams that may be of these kinds; they are sorted by stream.
fn query_of(kinds: &[(&str, Uuid)]) -> Query {
    let of_stream = |kinds: &[(&str, Uuid)]| {
        let stream = kinds.first().map_or("", |(stream, _)| *stream);
        let values =
            kinds.iter().map(|(_, kind)| Value::Exactly(format!("{TAG}={}", tag_of(*kind))));
        Query::stream(stream).and(Query::Is(Field::Tag, values.collect()))
    };
    Query::Or(kinds.chunk_by(|one, next| one.0 == next.0).map(of_stream).collect())
}

fn as_append_error(error: ReadError) -> AppendError {
    match error {
        ReadError::Failure(failure) => failure.into(),
        other => {
            let (what, message) = ("looking up records".to_owned(), other.to_string());
            Failure::Disk { what, message }.into()
        }
    }
}

impl StoredRecord {
    fn is_equal(&self, draft: &Draft) -> bool {
        let (event, tags) = (&self.event, draft.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let same = event.event_type() == draft.event_type
            && event.data() == draft.data
            && event.event_time().0 == draft.event_time_micros
            && event.tags().filter(|tag| tag.0 != TAG).eq(tags);
        same || self.corrections.iter().any(|correction| correction.data() == draft.data)
    }
}

/// The statement whose records are being paired.
#[derive(Default)]
pub(crate) struct Group {
    origin: Arc<Origin>,
    /// The records that wait for its end.
    pub(crate) waiting: Vec<Draft>,
}

/// Returns the stream and the kind of a draft.
fn place_of(draft: &Draft) -> Option<(&str, Uuid)> {
    Some((&*draft.stream, draft.occurrence.as_ref()?.kind))
}

/// The drafts of one stream and kind, each with its place among all.
type OfKind = HashMap<(String, Uuid), Vec<(usize, Draft)>>;

impl Group {
    /// Goes on with the records of a statement.
    pub(crate) fn enter(&mut self, origin: &Arc<Origin>) {
        self.origin = origin.clone();
    }

    /// Decides what is done with each record of the statement. Until the end of the statement it is open
    /// which of the undecided statements overlap with it; then `accepted` lists them.
    pub(crate) fn decide(
        &self,
        kinds: &Kinds,
        drafts: Vec<Draft>,
        stored: &StoredRecords,
        accepted: Option<&[Arc<Origin>]>,
    ) -> Vec<Decision> {
        let mut of_kind = OfKind::new();
        for (at, draft) in drafts.into_iter().enumerate() {
            let kind = draft.occurrence.as_ref().map(|o| o.kind).unwrap_or_default();
            of_kind.entry((draft.stream.clone(), kind)).or_default().push((at, draft));
        }
        let waits: HashSet<_> = match accepted {
            None => self.waiting.iter().filter_map(place_of).collect(),
            Some(_) => HashSet::new(),
        };
        let mut decisions = Vec::new();
        for (key, drafts) in of_kind {
            let known = stored.get(&key).map_or(&[][..], Vec::as_slice);
            let relations: Vec<_> = known
                .iter()
                .map(|record| match kinds.by_statement {
                    true => self.origin.relation(&record.origin),
                    false => Relation::Overlapping,
                })
                .collect();
            // What comes later of a kind that waits must not overtake it.
            let is_open = accepted.is_none()
                && (relations.contains(&Relation::Unknown) || waits.contains(&(&*key.0, key.1)));
            if is_open {
                decisions.extend(drafts.into_iter().map(|(at, d)| (at, Decision::Waits(d))));
                continue;
            }
            let overlaps = |(record, relation): &(&StoredRecord, Relation)| match relation {
                Relation::Unknown => {
                    accepted.is_some_and(|accepted| accepted.contains(&record.origin))
                }
                relation => *relation == Relation::Overlapping,
            };
            let known: Vec<_> = known.iter().zip(relations).collect();
            let candidates: Vec<_> =
                known.iter().filter(|one| overlaps(one)).map(|one| one.0).collect();
            let doubtful: Vec<_> = known
                .iter()
                .filter(|one| one.1 == Relation::Unknown && !overlaps(one))
                .map(|one| one.0)
                .collect();
            let last = known.iter().map(|(record, _)| record.ordinal).max().unwrap_or(0);
            decisions.extend(pair(kinds, drafts, candidates, &doubtful, last));
        }
        decisions.sort_by_key(|(at, _)| *at);
        decisions.into_iter().map(|(_, decision)| decision).collect()
    }

    /// Whether more records wait than may: they are decided before the end then, and kept.
    pub(crate) fn is_full(&self) -> bool {
        let bytes = self.waiting.iter().map(|draft| draft.data.len()).sum::<usize>();
        self.waiting.len() > MAX_WAITING || bytes > MAX_WAITING_BYTES
    }

    /// Returns the undecided statements that overlap with this one after all, each with a warning if only
    /// the order of the records shows it.
    pub(crate) fn accept(
        &self,
        waiting: &[Draft],
        stored: &StoredRecords,
        end: GroupEnd,
    ) -> Vec<(Arc<Origin>, Option<Warning>)> {
        let mut pairs = HashMap::<Arc<Origin>, Vec<(u64, u64, Uuid)>>::new();
        for draft in waiting {
            let Some(Occurrence { kind, number, index, .. }) = &draft.occurrence else { continue };
            let known = stored.get(&(draft.stream.clone(), *kind)).map_or(&[][..], Vec::as_slice);
            let mut known = known
                .iter()
                .map(|record| (record, self.origin.relation(&record.origin)))
                .filter(|(_, relation)| *relation != Relation::Disjoint);
            let nth = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
            if let Some((record, Relation::Unknown)) = known.nth(nth) {
                let of_origin = pairs.entry(record.origin.clone()).or_default();
                of_origin.push((*index, record.index, *kind));
            }
        }
        let line = waiting.first().map_or(0, |draft| draft.line);
        let decide = |(origin, pairs): (Arc<Origin>, Vec<(u64, u64, Uuid)>)| {
            if self.origin.is_same_statement(&origin)
                && self.origin.has_moving_balances()
                && end.balance_holds == Some(true)
            {
                return Some((origin, None));
            }
            let is_window = !self.origin.is_numbered_apart(&origin) && is_window(&pairs);
            is_window.then(|| {
                let from = origin.statement.as_deref().unwrap_or("another file").to_owned();
                let message = format!(
                    "Nothing tells how this statement lies to {from}, but {} records follow each other in \
                     both: they count as the same.",
                    pairs.len()
                );
                (origin, Some(Warning { line, doubt: Doubt::AssumedOverlap, message }))
            })
        };
        pairs.into_iter().filter_map(decide).collect()
    }
}

/// Whether the common records of two statements are a window of both: at least two different ones, at the
/// same distance, from the first of one of them on.
fn is_window(pairs: &[(u64, u64, Uuid)]) -> bool {
    let kinds: HashSet<_> = pairs.iter().map(|pair| pair.2).collect();
    let distance = |pair: &(u64, u64, Uuid)| i128::from(pair.0) - i128::from(pair.1);
    let first = pairs.first().map(distance);
    let begins = pairs.iter().any(|(one, other, _)| *one == 1 || *other == 1);
    let indexes: HashSet<_> = pairs.iter().map(|pair| pair.0).collect();
    kinds.len() >= 2
        && indexes.len() >= 2
        && begins
        && pairs.iter().all(|pair| Some(distance(pair)) == first)
}

/// Pairs the drafts of a kind with the records in the store that are the same ones.
fn pair(
    kinds: &Kinds,
    drafts: Vec<(usize, Draft)>,
    candidates: Vec<&StoredRecord>,
    doubtful: &[&StoredRecord],
    mut last: u64,
) -> Vec<(usize, Decision)> {
    let mut free: Vec<_> = candidates.into_iter().map(Some).collect();
    let number = |draft: &Draft| draft.occurrence.as_ref().map_or(1, |o| o.number);
    let place = |draft: &Draft| usize::try_from(number(draft) - 1).unwrap_or(usize::MAX);
    let count = free.len();
    let (known, new): (Vec<_>, Vec<_>) =
        drafts.into_iter().partition(|(_, draft)| place(draft) < count);
    // The places of these drafts, whose records may have come in another order.
    let places: Vec<_> = known.iter().map(|(_, draft)| place(draft)).collect();
    let mut decisions = Vec::with_capacity(known.len() + new.len());
    let mut others = Vec::new();
    for (at, draft) in known {
        let equal = places.iter().find(|place| free[**place].is_some_and(|r| r.is_equal(&draft)));
        match equal {
            Some(place) => {
                free[*place] = None;
                decisions.push((at, Decision::Repeated));
            }
            None => others.push((at, draft)),
        }
    }
    let rest: Vec<_> = places.iter().filter_map(|place| free[*place]).collect();
    for ((at, draft), record) in others.into_iter().zip(rest) {
        decisions.push((
            at,
            match kinds.corrected {
                Some(_) => Decision::Correction(draft, record.event.id()),
                None => {
                    let message = format!(
                        "the store has the record with other content: {} there, {} here",
                        shown(&record.event.data()),
                        shown(&draft.data),
                    );
                    Decision::Refused(draft, message)
                }
            },
        ));
    }
    for (at, mut draft) in new {
        last += 1;
        // It may have been paired before, when others appended the same.
        draft.warnings.retain(|warning| warning.doubt != Doubt::AmbiguousRepeat);
        let would_be_known = place(&draft) < count + doubtful.len();
        if let (true, Some(other)) = (would_be_known, doubtful.first()) {
            draft.warnings.push(ambiguous(&draft, &other.origin));
        }
        if let Some(occurrence) = &mut draft.occurrence {
            occurrence.ordinal = last;
            draft.id = Occurrence::id(occurrence.kind, last);
        }
        decisions.push((at, Decision::New(draft)));
    }
    decisions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_streams_with_long_names_make_several_queries() {
        let name = "s".repeat(1_000);
        let kinds: Vec<_> = (0..1_200u128).map(|n| (&*name, Uuid::from_u128(n))).collect();
        assert_eq!(first_of_query(&kinds), 32);
        let kinds: Vec<_> = kinds.iter().map(|(_, kind)| ("account-1", *kind)).collect();
        assert_eq!(first_of_query(&kinds), 500);
        assert_eq!(first_of_query(&kinds[..7]), 7);
        let endless = "s".repeat(100_000);
        assert_eq!(first_of_query(&[(&endless, Uuid::nil())]), 1);
    }
}
