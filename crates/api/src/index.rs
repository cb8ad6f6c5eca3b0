//! Named indexes: a named query whose events the store lists, optionally in partitions.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;
use crate::names;
use crate::names::id_of;
use crate::partitioner::Partitioner;
use crate::partitions::store_key;
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
    /// How the partition is computed from the key.
    pub partitioner: Partitioner,
}

/// The key that determines an event's partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionKey {
    /// The stream's name.
    Stream,
    /// The part of the stream's name after the category; the whole name if it has no category.
    StreamId,
    /// What decides the stream's partition in a store of many: the text in the first braces of its name, else the part
    /// after the category. All system streams are in partition 0. See [`partition_of`](crate::partition_of).
    StoreKey,
    /// The part of the stream's name after this prefix; the whole name if it does not begin with it.
    Behind(String),
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

    /// Spreads the events over partitions, by [`Partitioner::Murmur2`].
    pub fn partitioned(mut self, count: u32, key: PartitionKey) -> Self {
        let partitioner = Partitioner::default();
        self.partitioning = Some(Partitioning { count, key, partitioner });
        self
    }

    /// Sets how partitions are computed from keys. Changes nothing before [`partitioned`](Self::partitioned).
    pub fn partitioner(mut self, partitioner: Partitioner) -> Self {
        if let Some(partitioning) = &mut self.partitioning {
            partitioning.partitioner = partitioner;
        }
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
            PartitionKey::StoreKey => f.write_str("store-key"),
            PartitionKey::Behind(prefix) => write!(f, "behind:{prefix}"),
            PartitionKey::Tag(key) => write!(f, "tag:{key}"),
        }
    }
}

impl FromStr for PartitionKey {
    type Err = Invalid;

    /// Reads `stream`, `stream-id`, `store-key`, `behind:PREFIX` or `tag:KEY`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            None if text == "stream" => Ok(PartitionKey::Stream),
            None if text == "stream-id" => Ok(PartitionKey::StreamId),
            None if text == "store-key" => Ok(PartitionKey::StoreKey),
            Some(("behind", prefix)) => Ok(PartitionKey::Behind(prefix.to_owned())),
            Some(("tag", key)) => Ok(PartitionKey::Tag(key.to_owned())),
            _ => {
                let message = format!(
                    "{text:?} is not the key of a partition: write stream, stream-id, \
                     store-key, behind:PREFIX or tag:KEY"
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
            PartitionKey::Behind(prefix) if prefix.is_empty() => {
                let message = "the prefix before the key of a partition must not be empty";
                Err(Invalid::new("index_partitions_invalid", message))
            }
            PartitionKey::Behind(prefix) => names::check("prefix", prefix),
            PartitionKey::Stream | PartitionKey::StreamId | PartitionKey::StoreKey => Ok(()),
        }
    }

    /// Returns the partition of an event, below [`Partitioning::count`].
    pub fn partition_of(&self, event: &impl Facts) -> u32 {
        if self.key == PartitionKey::StoreKey && store_key(event.stream()).is_none() {
            return 0;
        }
        let partition_of = |key: &str| self.partitioner.partition_of(key.as_bytes(), self.count);
        self.key.with_key(event, partition_of)
    }
}

impl PartitionKey {
    /// Returns the key of an event: the text from which its partition is computed. Only the value of a tag
    /// is copied.
    ///
    /// ```
    /// use leftfold_api::{NewEvent, PartitionKey, Recorded, Timestamp};
    ///
    /// let new = NewEvent::json("Paid", "{}").id(uuid::Uuid::nil()).tag("customer", "ada");
    /// let event = Recorded::from_parts("a-b-7", 0, 1, Timestamp(0), &new)?;
    /// assert_eq!(PartitionKey::StreamId.key_of(&event), "b-7");
    /// assert_eq!(PartitionKey::Behind("a-b-".to_owned()).key_of(&event), "7");
    /// assert_eq!(PartitionKey::Tag("customer".to_owned()).key_of(&event), "ada");
    /// # Ok::<(), leftfold_api::Failure>(())
    /// ```
    pub fn key_of<'a>(&self, event: &'a impl Facts) -> Cow<'a, str> {
        match self.part_of(event.stream()) {
            Some(part) => Cow::Borrowed(part),
            None => self.with_key(event, |key| Cow::Owned(key.to_owned())),
        }
    }

    /// Calls a function once, with the key of an event: as [`key_of`](Self::key_of), but copies nothing.
    pub fn with_key<T>(&self, event: &impl Facts, call: impl Fn(&str) -> T) -> T {
        let stream = event.stream();
        let PartitionKey::Tag(wanted) = self else {
            return call(self.part_of(stream).unwrap_or(stream));
        };
        let mut first = None;
        event.each_tag(&mut |key, value| {
            if key == wanted && first.is_none() {
                first = Some(call(value));
            }
        });
        first.unwrap_or_else(|| call(stream))
    }

    /// Returns the part of a stream's name that is the key, or `None` if a tag determines it.
    fn part_of<'a>(&self, stream: &'a str) -> Option<&'a str> {
        match self {
            PartitionKey::Stream => Some(stream),
            PartitionKey::StreamId => Some(id_of(stream)),
            PartitionKey::StoreKey => Some(store_key(stream).unwrap_or(stream)),
            PartitionKey::Behind(prefix) => {
                Some(stream.strip_prefix(prefix.as_str()).unwrap_or(stream))
            }
            PartitionKey::Tag(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_partitions_are_read_back_as_they_were_printed() {
        for text in [
            "stream",
            "stream-id",
            "store-key",
            "behind:a-b-",
            "behind:x:",
            "tag:customer",
            "tag:a:b",
        ] {
            assert_eq!(text.parse::<PartitionKey>().unwrap().to_string(), text);
        }
        for text in ["", "stream:", "streams", "tag", "behind", "category"] {
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
        assert_eq!(with(8, PartitionKey::Behind("a-b-".into())), Ok(()));
        for (count, key) in [
            (0, PartitionKey::Stream),
            (1_025, PartitionKey::Stream),
            (8, PartitionKey::Tag("a=b".into())),
            (8, PartitionKey::Tag(String::new())),
            (8, PartitionKey::Behind(String::new())),
        ] {
            assert_eq!(with(count, key).unwrap_err().code, "index_partitions_invalid");
        }
        let line = with(8, PartitionKey::Behind("a\nb".into())).unwrap_err();
        assert_eq!(line.code, "name_invalid", "stored definitions are lines");
    }

    #[test]
    fn the_partitioner_of_an_index_is_set_after_its_partitions() {
        let plain = IndexDefinition::new("i", Query::All).partitioner(Partitioner::Crc32);
        assert_eq!(plain.partitioning, None);
        let partitioned = plain.partitioned(8, PartitionKey::Stream);
        let default = partitioned.partitioning.as_ref().unwrap().partitioner;
        assert_eq!(default, Partitioner::Murmur2);
        let chosen = partitioned.partitioner(Partitioner::Crc32).partitioning.unwrap();
        assert_eq!(chosen.partitioner, Partitioner::Crc32);
    }

    #[test]
    fn the_key_of_an_event_is_a_part_of_its_stream_or_a_tag() {
        let key_of = |stream: &str, key: &str| {
            let new = crate::NewEvent::json("Paid", "{}").id(uuid::Uuid::nil());
            let new = new.tag("no", "x").tag("b", "first").tag("b", "second").tag("e", "");
            let event = crate::Recorded::from_parts(stream, 0, 1, crate::Timestamp(0), &new);
            let (event, key) = (event.unwrap(), key.parse::<PartitionKey>().unwrap());
            let text = key.key_of(&event).into_owned();
            assert_eq!(key.with_key(&event, str::to_owned), text);
            text
        };
        for (stream, key, text) in [
            ("a-b-7", "stream", "a-b-7"),
            ("a-b-7", "stream-id", "b-7"),
            ("a", "stream-id", "a"),
            ("a-b-7", "store-key", "b-7"),
            ("a-b-{ada}-7", "store-key", "ada"),
            ("$stream-a-{ada}", "store-key", "ada"),
            ("$index-7", "store-key", "$index-7"),
            ("a-b-7", "behind:a-b-", "7"),
            ("a-b-a-b-7", "behind:a-b-", "a-b-7"),
            ("a-b-", "behind:a-b-", ""),
            ("a-b", "behind:a-b-", "a-b"),
            ("x-a-b-7", "behind:a-b-", "x-a-b-7"),
            ("a-b-7", "tag:b", "first"),
            ("a-b-7", "tag:e", ""),
            ("a-b-7", "tag:f", "a-b-7"),
        ] {
            assert_eq!(key_of(stream, key), text, "{key} of {stream}");
        }
    }
}
