//! Looks up the records that the store has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use leftfold_api::{
    AppendError, Cursor, EventStore, Failure, Field, Point, Query, Read, ReadError, Recorded, Value,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::changes::{Changes, FIRST_VERSION, Outcome};
use crate::item::{Draft, Occurrence};
use crate::origin::Origin;

/// The tag by which the records of a kind are found. Each value has the records of many kinds, since a value
/// of its own for each record would take more memory than the rest of its index.
pub(crate) const TAG: &str = "record";
/// The length of its value: one of 4,096.
const TAG_LENGTH: usize = 3;

/// Returns the value of the tag: the start of the kind. What is found is compared by the whole.
pub(crate) fn tag_of(kind: Uuid) -> String {
    let mut text = kind.simple().to_string();
    text.truncate(TAG_LENGTH);
    text
}

/// A record in the store.
pub(crate) struct StoredRecord {
    event: Recorded,
    /// Its number among all of its kind in its stream.
    pub(crate) ordinal: u64,
    /// Its number in its statement.
    pub(crate) index: u64,
    pub(crate) origin: Arc<Origin>,
    /// The newest version of a mapping that has made it or a correction of it.
    version: u32,
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
    /// The version of the mapping that has made it, if that is not the first.
    mapping_version: Option<u32>,
    /// The id of the event that this one corrects.
    corrects: Option<String>,
}

impl Metadata {
    fn of(event: &Recorded) -> Metadata {
        serde_json::from_slice(&event.metadata()).unwrap_or_default()
    }

    fn version(&self) -> u32 {
        self.mapping_version.unwrap_or(FIRST_VERSION)
    }

    /// Returns the id of the event that this one corrects.
    fn corrects(&self) -> Option<Uuid> {
        self.corrects.as_deref()?.parse().ok()
    }
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
                let metadata = Metadata::of(&event);
                if let Some(of) = metadata.corrects() {
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
        let version = metadata.version();
        let origin = Arc::new(metadata.statement);
        let origin = match origins.get(&origin) {
            Some(known) => known.clone(),
            None => {
                origins.insert(origin.clone());
                origin
            }
        };
        let corrections = corrections.remove(&event.id()).unwrap_or_default();
        let record = StoredRecord {
            ordinal: metadata.number,
            index: metadata.index,
            version: newest(version, &corrections),
            origin,
            event,
            corrections,
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

/// Reads the record in the store that has the key of a draft; `version` is its version in its stream. Returns
/// `None` if the event is hidden.
pub(crate) async fn lookup_key(
    store: &impl EventStore,
    draft: &Draft,
    version: u64,
    at_least: Option<Cursor>,
) -> Result<Option<StoredRecord>, AppendError> {
    let stream = Query::stream(draft.stream.clone());
    let mut read = Read::forward(stream.clone()).including(Point::Version(version)).limit(1);
    read.at_least.clone_from(&at_least);
    let page = store.read(read).await.map_err(as_append_error)?;
    let Some(event) = page.events.into_iter().find(|event| event.id() == draft.id) else {
        return Ok(None);
    };
    // Only corrections of such records have the tag.
    let query = query_of(&[(&draft.stream, draft.id)]);
    let mut read = Read::forward(query.clone());
    read.at_least = at_least;
    let mut corrections = Vec::new();
    loop {
        let page = store.read(read).await.map_err(as_append_error)?;
        let of_draft = |event: &Recorded| Metadata::of(event).corrects() == Some(draft.id);
        corrections.extend(page.events.into_iter().filter(of_draft));
        if !page.more {
            break;
        }
        read = Read::forward(query.clone()).after(page.cursor);
    }
    let version = newest(Metadata::of(&event).version(), &corrections);
    let (ordinal, index, origin) = (0, 0, Arc::default());
    Ok(Some(StoredRecord { event, ordinal, index, origin, version, corrections }))
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

/// Returns the newest version of an event and its corrections.
fn newest(version: u32, corrections: &[Recorded]) -> u32 {
    corrections.iter().map(|correction| Metadata::of(correction).version()).fold(version, u32::max)
}

impl StoredRecord {
    /// Whether the record, or a correction of it, has the content of a draft.
    pub(crate) fn is_equal(&self, draft: &Draft) -> bool {
        let (event, tags) = (&self.event, draft.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let is_counted = draft.occurrence.is_some();
        let same = event.event_type() == draft.event_type
            && event.data() == draft.data
            && event.event_time().0 == draft.event_time_micros
            // Statements may differ in a reference that is a link and no content.
            && (is_counted || event.correlation() == draft.correlation.as_deref())
            && event.tags().filter(|tag| !is_counted || tag.0 != TAG).eq(tags);
        same || self.corrections.iter().any(|correction| correction.data() == draft.data)
    }

    /// Decides what becomes of a draft of this record with other content.
    pub(crate) fn decide(&self, changes: &Changes, draft: &Draft) -> Outcome {
        changes.decide(self.event.id(), self.version, &self.event.data(), &draft.data)
    }
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
