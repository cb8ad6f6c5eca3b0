//! Named indexes: a named query whose events the store lists, optionally in partitions.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;
use crate::names;
use crate::names::id_of;
use crate::query::{Facts, Query};

/// The most partitions of one index.
pub const MAX_INDEX_PARTITIONS: u32 = 1_024;

/// The definition of a named index.
///
/// ```
/// use leftfold_api::{IndexDefinition, PartitionKey, Query};
///
/// let orders = IndexDefinition::new("orders", Query::category("order"))
///     .partitioned(8, PartitionKey::StreamId);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDefinition {
    /// The name.
    pub name: String,
    /// The query whose events the index lists.
    pub query: Query,
    /// How its events are spread over partitions; `None` for one list of all.
    pub partitioning: Option<Partitioning>,
}

/// How an index's events are spread over partitions, each a list with ordinals of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitioning {
    /// The number of partitions, from 1 to [`MAX_INDEX_PARTITIONS`].
    pub count: u32,
    /// The key that determines an event's partition. Events with the same key are in the same partition.
    pub key: PartitionKey,
}

/// The key that determines an event's partition, as in Kafka: `murmur2(key)` without its sign bit, modulo
/// the number of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionKey {
    /// The stream's name.
    Stream,
    /// The part of the stream's name after the category; the whole name if it has no category.
    StreamId,
    /// The value of the first tag with this key; the stream's name if the event has none.
    Tag(String),
}

/// The state of a named index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexInfo {
    /// The name.
    pub name: String,
    /// The query that defines it.
    pub query: Query,
    /// How its events are spread over partitions; `None` for one list of all.
    pub partitioning: Option<Partitioning>,
    /// Whether it lists all past events. Until then, reading it is refused.
    pub ready: bool,
    /// The number of events that it lists.
    pub events: u64,
}

impl IndexDefinition {
    /// Returns the definition of an index without partitions.
    pub fn new(name: impl Into<String>, query: Query) -> Self {
        IndexDefinition { name: name.into(), query, partitioning: None }
    }

    /// Spreads the events over partitions.
    pub fn partitioned(mut self, count: u32, key: PartitionKey) -> Self {
        self.partitioning = Some(Partitioning { count, key });
        self
    }

    /// Checks the form of the definition.
    ///
    /// # Errors
    /// `name_invalid`, `name_reserved`, `index_of_index`, `index_query_invalid`,
    /// `index_partitions_invalid`.
    pub fn check(&self) -> Result<(), Invalid> {
        let name = &self.name;
        names::check_new("index", name)?;
        if let Some(other) = self.query.named_index() {
            let message = format!(
                "index {name} can't be defined by index {other}: define it by streams, categories, \
                 types, correlations, tags or times"
            );
            return Err(Invalid::new("index_of_index", message));
        }
        let has_text = |query: &Query| query.to_string().parse::<Query>().as_ref() == Ok(query);
        if !has_text(&self.query) || !has_text(&self.query.to_stored()) {
            let message = format!(
                "index {name} is defined by a query that has no text form: use names and values of at \
                 least one character"
            );
            return Err(Invalid::new("index_query_invalid", message));
        }
        self.partitioning.as_ref().map_or(Ok(()), Partitioning::check)
    }
}

/// As [`PartitionKey::from_str`] reads it.
impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionKey::Stream => f.write_str("stream"),
            PartitionKey::StreamId => f.write_str("stream-id"),
            PartitionKey::Tag(key) => write!(f, "tag:{key}"),
        }
    }
}

impl FromStr for PartitionKey {
    type Err = Invalid;

    /// Reads `stream`, `stream-id` or `tag:KEY`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            None if text == "stream" => Ok(PartitionKey::Stream),
            None if text == "stream-id" => Ok(PartitionKey::StreamId),
            Some(("tag", key)) => Ok(PartitionKey::Tag(key.to_owned())),
            _ => {
                let message = format!(
                    "{text:?} is not the key of a partition: write stream, stream-id or tag:KEY"
                );
                Err(Invalid::new("index_partitions_invalid", message))
            }
        }
    }
}

impl Partitioning {
    fn check(&self) -> Result<(), Invalid> {
        let count = self.count;
        if !(1..=MAX_INDEX_PARTITIONS).contains(&count) {
            let message = format!(
                "an index can have 1 to {MAX_INDEX_PARTITIONS} partitions, but {count} were asked for"
            );
            return Err(Invalid::new("index_partitions_invalid", message));
        }
        match &self.key {
            PartitionKey::Tag(key) if key.is_empty() || key.contains('=') => {
                let message =
                    format!("{key:?} is not the key of a tag: it must not be empty or hold '='");
                Err(Invalid::new("index_partitions_invalid", message))
            }
            PartitionKey::Tag(key) => names::check("tag key", key),
            PartitionKey::Stream | PartitionKey::StreamId => Ok(()),
        }
    }

    /// Returns the partition of an event, below [`Partitioning::count`].
    pub fn partition_of(&self, event: &impl Facts) -> u32 {
        let stream = event.stream();
        let hash = match &self.key {
            PartitionKey::Stream => murmur2(stream.as_bytes()),
            PartitionKey::StreamId => murmur2(id_of(stream).as_bytes()),
            PartitionKey::Tag(wanted) => {
                let mut found = None;
                event.each_tag(&mut |key, value| {
                    if key == wanted && found.is_none() {
                        found = Some(murmur2(value.as_bytes()));
                    }
                });
                found.unwrap_or_else(|| murmur2(stream.as_bytes()))
            }
        };
        (hash & 0x7fff_ffff) % self.count.max(1)
    }
}

/// Returns Kafka's 32-bit murmur2 of a key, as its default partitioner computes it.
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ key.len() as u32;
    let (words, rest) = key.as_chunks();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_values_of_kafkas_own_test() {
        // org.apache.kafka.common.utils.UtilsTest, testMurmur2.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn keys_of_partitions_are_read_back_as_they_were_printed() {
        for text in ["stream", "stream-id", "tag:customer", "tag:a:b"] {
            assert_eq!(text.parse::<PartitionKey>().unwrap().to_string(), text);
        }
        for text in ["", "stream:", "streams", "tag", "category"] {
            let error = text.parse::<PartitionKey>().unwrap_err();
            assert_eq!(error.code, "index_partitions_invalid", "{text}");
        }
    }

    #[test]
    fn definitions_with_impossible_partitions_are_refused() {
        let with =
            |count, key| IndexDefinition::new("i", Query::All).partitioned(count, key).check();
        assert_eq!(with(8, PartitionKey::StreamId), Ok(()));
        assert_eq!(with(1_024, PartitionKey::Tag("customer".into())), Ok(()));
        for (count, key) in [
            (0, PartitionKey::Stream),
            (1_025, PartitionKey::Stream),
            (8, PartitionKey::Tag("a=b".into())),
            (8, PartitionKey::Tag(String::new())),
        ] {
            assert_eq!(with(count, key).unwrap_err().code, "index_partitions_invalid");
        }
    }
}
