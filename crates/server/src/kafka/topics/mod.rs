//! What a topic is: a named index, each of whose partitions is a list with ordinals.

mod catalogue;
mod create;
mod find;

use std::borrow::Cow;

use leftfold_api::{
    Field, IndexInfo, PartitionKey, Partitioner, Partitioning, Query, Recorded, Value, names,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(super) use self::create::{NewTopic, TopicSettings};
pub(super) use self::find::{TopicError, Topics};

/// The longest name of a topic, as in Kafka.
pub(super) const MAX_NAME: usize = 249;

/// A topic: a named index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: String,
    /// The same as long as its definition is.
    pub(super) id: Uuid,
    pub(super) query: Query,
    /// How its events are spread; `None` for an index without partitions, a topic of one.
    pub(super) partitioning: Option<Partitioning>,
    /// What the name of a stream begins with whose events producers may append; `None` if the topic is read only.
    pub(super) prefix: Option<String>,
}

impl Topic {
    pub(super) fn of(info: IndexInfo) -> Self {
        let IndexInfo { name, query, partitioning, .. } = info;
        let prefix = prefix_of(&query, partitioning.as_ref());
        let id = id_of(&name, &query, partitioning.as_ref());
        Topic { name, id, query, partitioning, prefix }
    }

    /// Returns the number of partitions.
    pub(super) fn partitions(&self) -> u32 {
        self.partitioning.as_ref().map_or(1, |partitioning| partitioning.count)
    }

    /// Whether each of its partitions lies in one of a store with this number, so that its offsets are numbers.
    pub(super) fn follows_store(&self, partitions: u32) -> bool {
        let by = self.partitioning.as_ref();
        by.map_or(partitions <= 1, |by| by.follows_store(partitions))
    }

    /// Returns the partition of a store with this number in which a partition of the topic lies.
    pub(super) fn store_partition(&self, partition: u32, of: u32) -> u32 {
        if self.follows_store(of) { partition % of.max(1) } else { 0 }
    }

    /// Returns the query of a partition.
    pub(super) fn query_of(&self, partition: u32) -> Query {
        match self.partitioning {
            Some(_) => Query::partition(self.name.as_str(), partition),
            None => Query::index(self.name.as_str()),
        }
    }

    /// Whether it has a partition.
    pub(super) fn has(&self, partition: i32) -> Option<u32> {
        u32::try_from(partition).ok().filter(|partition| *partition < self.partitions())
    }

    /// Returns the key of an event's record: what decides its partition, unless that is text in braces.
    pub(super) fn key_of<'a>(&self, event: &'a Recorded) -> Cow<'a, str> {
        match &self.partitioning {
            // Streams can share the text in braces; the key of a record tells its stream.
            Some(Partitioning { key: PartitionKey::StoreKey, .. }) | None => {
                Cow::Borrowed(names::id_of(event.stream()))
            }
            Some(partitioning) => partitioning.key.key_of(event),
        }
    }

    /// Returns the partition of a record with this key.
    pub(super) fn partition_of(&self, key: &str) -> u32 {
        let Some(Partitioning { count, partitioner, key: by }) = &self.partitioning else {
            return 0;
        };
        let stream = (*by == PartitionKey::StoreKey).then(|| self.stream_of(key)).flatten();
        let key = stream.as_deref().and_then(leftfold_api::store_key).unwrap_or(key);
        partitioner.partition_of(key.as_bytes(), *count)
    }

    /// Whether something else than the key of a record decides its partition: text in braces.
    pub(super) fn has_other_key(&self, key: &str) -> bool {
        let by = self.partitioning.as_ref().map(|by| &by.key);
        by == Some(&PartitionKey::StoreKey)
            && self
                .stream_of(key)
                .is_some_and(|stream| leftfold_api::store_key(&stream) != Some(key))
    }

    /// Returns the stream of a record with this key; `None` if no stream has it.
    pub(super) fn stream_of(&self, key: &str) -> Option<String> {
        let prefix = self.prefix.as_ref()?;
        match self.partitioning.as_ref().map(|partitioning| &partitioning.key) {
            Some(PartitionKey::Stream) => key.starts_with(prefix).then(|| key.to_owned()),
            _ => Some(format!("{prefix}{key}")),
        }
    }

    /// Returns the key of the stream for records without a key in a partition: `pN`, and behind it, if that is another
    /// partition's, the first number that leads to this one.
    pub(super) fn keyless(&self, partition: u32) -> Option<String> {
        /// With 1,024 partitions one number in as many leads to a given one.
        const TRIED: u32 = 1 << 16;
        let whole =
            |key: String| match self.partitioning.as_ref().map(|partitioning| &partitioning.key) {
                Some(PartitionKey::Stream) => Some(format!("{}{key}", self.prefix.as_ref()?)),
                _ => Some(key),
            };
        let first = std::iter::once(format!("p{partition}"));
        let keys = first.chain((0..TRIED).map(|n| format!("p{partition}.{n}")));
        keys.filter_map(whole).find(|key| self.partition_of(key) == partition)
    }

    /// Returns the name of its partitioner.
    pub(super) fn partitioner(&self) -> Partitioner {
        self.partitioning.as_ref().map_or_else(Partitioner::default, |of| of.partitioner)
    }
}

/// Returns the prefix of the streams that make up a query, if it is just a category or a prefix of streams.
fn prefix_of(query: &Query, partitioning: Option<&Partitioning>) -> Option<String> {
    let Query::Is(field, values) = query else { return None };
    let key = partitioning.map(|partitioning| &partitioning.key);
    match (field, values.as_slice(), key) {
        (
            Field::Category,
            [Value::Exactly(category)],
            None | Some(PartitionKey::StreamId | PartitionKey::StoreKey | PartitionKey::Stream),
        ) if !category.starts_with(names::SYSTEM) => Some(format!("{category}-")),
        (Field::Stream, [Value::Prefix(prefix)], Some(PartitionKey::Behind(behind)))
            if prefix == behind && !prefix.starts_with(names::SYSTEM) =>
        {
            Some(prefix.clone())
        }
        (Field::Stream, [Value::Prefix(prefix)], Some(PartitionKey::Stream))
            if !prefix.starts_with(names::SYSTEM) =>
        {
            Some(prefix.clone())
        }
        _ => None,
    }
}

/// Returns an id that changes with the definition, so that a consumer notices another one.
fn id_of(name: &str, query: &Query, partitioning: Option<&Partitioning>) -> Uuid {
    let mut hash = Sha256::new();
    let of = partitioning.map(|of| format!("{} {} {}", of.count, of.partitioner, of.key));
    for part in [name, &query.to_string(), of.as_deref().unwrap_or_default()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Whether Kafka allows the name of a topic.
pub(super) fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}

/// Says which topics there are on a store of many partitions.
fn needs_store_key(what: &str, partitions: u32) -> String {
    format!(
        "{what} has no offsets on a store of {partitions} partitions: expected the key store-key, the partitioner \
         murmur2, and a multiple of {partitions} partitions; define it so, and give a topic whose name has a dash its \
         query"
    )
}

/// Returns the query of a topic that has none of its own: a category, or a prefix of streams if its name has a `-`; with
/// the key that goes with it.
pub(super) fn default_query(name: &str) -> (Query, PartitionKey) {
    match name.contains('-') {
        false => (Query::category(name), PartitionKey::StreamId),
        true => {
            let prefix = format!("{name}-");
            let streams = Query::Is(Field::Stream, vec![Value::Prefix(prefix.clone())]);
            (streams, PartitionKey::Behind(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use leftfold_api::IndexDefinition;

    use super::*;

    fn topic(name: &str, query: Query, partitions: Option<(u32, PartitionKey)>) -> Topic {
        let mut definition = IndexDefinition::new(name, query);
        if let Some((count, key)) = partitions {
            definition = definition.partitioned(count, key);
        }
        let IndexDefinition { name, query, partitioning } = definition;
        Topic::of(IndexInfo { name, query, partitioning, ready: true, events: 0 })
    }

    fn of_default(name: &str) -> Topic {
        let (query, key) = default_query(name);
        topic(name, query, Some((8, key)))
    }

    #[test]
    fn a_category_and_a_prefix_of_streams_are_written_to() {
        assert_eq!(of_default("order").stream_of("7").unwrap(), "order-7");
        assert_eq!(of_default("order-line").stream_of("7-1").unwrap(), "order-line-7-1");
        let whole = topic("order", Query::category("order"), Some((8, PartitionKey::Stream)));
        assert_eq!(whole.stream_of("order-7").unwrap(), "order-7");
        assert_eq!(whole.stream_of("cart-7"), None);
        for query in
            ["type:Paid", "category:order type:Paid", "category:order,cart", "stream:order-1", "*"]
        {
            let query = query.parse().unwrap();
            assert_eq!(topic("t", query, Some((8, PartitionKey::StreamId))).prefix, None);
        }
    }

    #[test]
    fn a_record_without_a_key_has_a_stream_in_each_partition() {
        for name in ["order", "order-line"] {
            let topic = of_default(name);
            for partition in 0..8 {
                let key = topic.keyless(partition).unwrap();
                assert!(key.starts_with(&format!("p{partition}")), "{key}");
                assert_eq!(topic.partition_of(&key), partition);
            }
        }
    }

    #[test]
    fn text_in_braces_decides_the_partition_of_a_topic_by_the_store_key() {
        let topic = topic("order", Query::category("order"), Some((8, PartitionKey::StoreKey)));
        assert_eq!(topic.stream_of("7-{ada}").unwrap(), "order-7-{ada}");
        assert_eq!(topic.partition_of("7-{ada}"), topic.partition_of("ada"));
        assert_eq!(topic.partition_of("7"), of_default("order").partition_of("7"));
        for partition in 0..8 {
            let key = topic.keyless(partition).unwrap();
            assert_eq!(topic.partition_of(&key), partition, "{key}");
            assert_eq!(topic.store_partition(partition, 4), partition % 4);
        }
        assert!(topic.follows_store(4) && !topic.follows_store(3));
        assert_eq!(of_default("order").store_partition(7, 4), 0);
    }

    #[test]
    fn another_definition_has_another_id() {
        let one = of_default("order");
        assert_eq!(one.id, of_default("order").id);
        let others = [
            topic("order", Query::category("order"), Some((9, PartitionKey::StreamId))),
            topic("order", Query::category("order"), Some((8, PartitionKey::Stream))),
            topic("order", Query::category("orders"), Some((8, PartitionKey::StreamId))),
            topic("order", Query::category("order"), None),
            of_default("orders"),
        ];
        assert!(others.iter().all(|other| other.id != one.id));
    }

    #[test]
    fn names_are_those_that_kafka_allows() {
        for legal in ["a", "order-line", "a.b_c-9", &"x".repeat(249)] {
            assert!(is_legal(legal), "{legal}");
        }
        for illegal in ["", ".", "..", "a b", "ä", "a/b", "$index", &"x".repeat(250)] {
            assert!(!is_legal(illegal), "{illegal}");
        }
    }
}
