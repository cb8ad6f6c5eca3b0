//! The events that define and remove named indexes.

use std::sync::Arc;

use leftfold_api::{IndexDefinition, PartitionKey, Partitioner, Partitioning, Query, Recorded};

use super::named_index::NamedIndex;
use crate::keys::Keys;

/// The category of streams with definitions and removals, one stream for each name.
pub(crate) use leftfold_api::names::INDEXES as CATEGORY;
pub(super) const DEFINED: &str = "$IndexDefined";
pub(super) const DROPPED: &str = "$IndexDropped";
/// The stored form of [`PartitionKey::StreamId`]; those of the other keys are their texts.
const STREAM_ID: &str = "stream_id";
/// Stands before the name of a partitioner that is not the default.
const PARTITIONER: &str = " partitioner=";

/// A change of a named index.
#[derive(Debug, Clone)]
pub(crate) enum IndexChange {
    Defined(IndexDefinition),
    Dropped(String),
}

impl IndexChange {
    /// Reads the change that a stored event makes.
    pub(crate) fn of_recorded(event: &Recorded) -> Option<IndexChange> {
        let name = event.stream().strip_prefix(CATEGORY)?.strip_prefix('-')?;
        if event.is_lost() {
            // The lost event may have removed the index, and an index with holes must not be read.
            return Some(IndexChange::Dropped(name.to_owned()));
        }
        let data = event.data();
        IndexChange::read(name, event.event_type(), std::str::from_utf8(&data).ok()?)
    }

    /// Reads the change that an event makes, from its parts.
    pub(crate) fn read(name: &str, event_type: &str, text: &str) -> Option<IndexChange> {
        match event_type {
            DEFINED => parse_definition(name, text).map(IndexChange::Defined),
            DROPPED => Some(IndexChange::Dropped(name.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            IndexChange::Defined(definition) => &definition.name,
            IndexChange::Dropped(name) => name,
        }
    }

    /// Returns the index, if the change defines one.
    pub(crate) fn defined_at(&self, position: u64, keys: &Keys) -> Option<Arc<NamedIndex>> {
        match self {
            IndexChange::Defined(definition) => {
                Some(NamedIndex::new(definition.clone(), position, keys))
            }
            IndexChange::Dropped(_) => None,
        }
    }
}

/// Prints a definition: the query on the first line; partitions, if there are any, on the second.
pub(super) fn print_definition(definition: &IndexDefinition) -> String {
    let query = definition.query.to_stored();
    let Some(Partitioning { count, key, partitioner }) = &definition.partitioning else {
        return query.to_string();
    };
    let key = match key {
        PartitionKey::StreamId => STREAM_ID.to_owned(),
        key => key.to_string(),
    };
    let partitioner = match partitioner {
        // Earlier releases know no other, and do not name it.
        Partitioner::Murmur2 => String::new(),
        partitioner => format!("{PARTITIONER}{partitioner}"),
    };
    format!("{query}\npartitions={count}{partitioner} key={key}")
}

fn parse_definition(name: &str, text: &str) -> Option<IndexDefinition> {
    let (query, partitions) = match text.split_once('\n') {
        Some((query, partitions)) => (query, Some(partitions)),
        None => (text, None),
    };
    let definition = IndexDefinition::new(name, query.parse::<Query>().ok()?.of_stored());
    let Some(partitions) = partitions else { return Some(definition) };
    let (count, key) = partitions.strip_prefix("partitions=")?.split_once(" key=")?;
    let (count, partitioner) = match count.split_once(PARTITIONER) {
        Some((count, partitioner)) => (count, partitioner.parse().ok()?),
        None => (count, Partitioner::Murmur2),
    };
    let key = match key {
        STREAM_ID => PartitionKey::StreamId,
        key => key.parse().ok()?,
    };
    Some(definition.partitioned(count.parse().ok()?, key).partitioner(partitioner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_read_back_as_they_were_printed() {
        let plain = IndexDefinition::new("i", Query::category("order"));
        let keys = [
            PartitionKey::Stream,
            PartitionKey::StreamId,
            PartitionKey::StoreKey,
            PartitionKey::Behind("a key=b-".into()),
            PartitionKey::Tag("a key=b".into()),
        ];
        let partitioned = keys.map(|key| plain.clone().partitioned(8, key));
        let crc32 = partitioned.clone().map(|one| one.partitioner(Partitioner::Crc32));
        for definition in partitioned.into_iter().chain(crc32).chain([plain]) {
            let text = print_definition(&definition);
            assert_eq!(parse_definition("i", &text), Some(definition), "{text}");
        }
        for text in [
            "type:",
            "*\npartitions=8",
            "*\npartitions=x key=stream",
            "*\nkey=stream",
            "*\npartitions=8 partitioner=fnv1a key=stream",
            "*\npartitions=8 key=behind",
        ] {
            assert_eq!(parse_definition("i", text), None, "{text}");
        }
    }

    #[test]
    fn the_stored_text_of_a_definition_is_the_documented_one() {
        let by = |key| IndexDefinition::new("i", Query::category("order")).partitioned(8, key);
        let line =
            |definition| print_definition(&definition).split_once('\n').unwrap().1.to_owned();
        assert_eq!(line(by(PartitionKey::StreamId)), "partitions=8 key=stream_id");
        assert_eq!(line(by(PartitionKey::StoreKey)), "partitions=8 key=store-key");
        let behind = by(PartitionKey::Behind("a-b-".into()));
        assert_eq!(line(behind.clone()), "partitions=8 key=behind:a-b-");
        let crc32 = behind.partitioner(Partitioner::Crc32);
        assert_eq!(line(crc32), "partitions=8 partitioner=crc32 key=behind:a-b-");
    }
}
