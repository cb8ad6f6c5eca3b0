//! The partition of streams, checkpoints and queries in a store of many partitions. `docs/partitions.md`
//! describes such a store.

use std::fmt::Display;

use crate::error::Invalid;
use crate::index::{PartitionKey, Partitioning};
use crate::names::{SYSTEM, id_of};
use crate::partitioner::Partitioner;
use crate::query::{Field, IndexPartition, Query, Value};

/// The prefix of settings streams. Each is in the partition of the stream whose retention it sets.
const SETTINGS_OF: &str = "$stream-";
/// The keys that are tried for a partition. With the most partitions, 4,096, one in 4,096 leads to it.
const SEARCHED_KEYS: u32 = 1 << 20;

/// Returns the partition of a stream or a checkpoint in a store with this number of partitions.
///
/// It is Kafka's `murmur2`, without its sign bit, of the part of the name after the category: `order-7` and
/// `invoice-7` are in the same partition. If the name has text in braces, it is that of the first such text, as
/// in Redis Cluster: `order-7-{ada}` and `customer-{ada}` are in the same partition. System streams are in
/// partition 0.
///
/// ```
/// use leftfold_api::partition_of;
///
/// assert_eq!(partition_of("order-7", 8), partition_of("invoice-7", 8));
/// assert_eq!(partition_of("order-7-{ada}", 8), partition_of("customer-ada", 8));
/// assert!(partition_of("order-7", 8) < 8);
/// ```
pub fn partition_of(name: &str, partitions: u32) -> u32 {
    let partition = |key: &str| Partitioner::Murmur2.partition_of(key.as_bytes(), partitions);
    // Other system streams lie in partition 0, whatever their names.
    store_key(name).map_or(0, partition)
}

/// Returns the part of the name of a stream or a checkpoint that decides its partition, or `None` for a system stream,
/// which lies in partition 0. It is the key of [`PartitionKey::StoreKey`].
///
/// ```
/// use leftfold_api::store_key;
///
/// assert_eq!(store_key("order-7"), Some("7"));
/// assert_eq!(store_key("order-7-{ada}"), Some("ada"));
/// assert_eq!(store_key("$index-orders"), None);
/// ```
pub fn store_key(name: &str) -> Option<&str> {
    let name = name.strip_prefix(SETTINGS_OF).unwrap_or(name);
    (!name.starts_with(SYSTEM)).then(|| key_of(name))
}

/// Returns the part of a name that decides its partition: the text in the first braces unless it is empty, else
/// what stands behind the category.
fn key_of(name: &str) -> &str {
    let behind = name.split_once('{').and_then(|(_, behind)| behind.split_once('}'));
    match behind {
        Some((key, _)) if !key.is_empty() => key,
        _ => id_of(name),
    }
}

/// Returns a text that, in braces, puts a name into a partition: the partition's number, and behind a dot the first
/// number that leads there if that alone does not.
///
/// ```
/// use leftfold_api::{key_in, partition_of};
///
/// let key = key_in(3, 8);
/// assert!(key == "3" || key.starts_with("3."));
/// assert_eq!(partition_of(&format!("{{{key}}}letters"), 8), 3);
/// ```
pub fn key_in(partition: u32, partitions: u32) -> String {
    let number = partition.to_string();
    let numbered = (0..SEARCHED_KEYS).map(|n| format!("{number}.{n}"));
    let leads = |key: &String| partition_of(key, partitions) == partition;
    std::iter::once(number.clone()).chain(numbered).find(leads).unwrap_or(number)
}

impl Query {
    /// Returns the only partition that can hold events of the query, or `None` if several can. Named indexes
    /// must be expanded first. A partition of one that [follows the store](Partitioning::follows_store) lies in one.
    ///
    /// ```
    /// use leftfold_api::{Query, partition_of};
    ///
    /// let bound: Query = "stream:order-7,invoice-7 type:Paid".parse()?;
    /// assert_eq!(bound.single_partition(8), Some(partition_of("order-7", 8)));
    /// assert_eq!(Query::category("order").single_partition(8), None);
    /// # Ok::<(), leftfold_api::Invalid>(())
    /// ```
    pub fn single_partition(&self, partitions: u32) -> Option<u32> {
        if partitions <= 1 {
            return Some(0);
        }
        match self {
            Query::Is(Field::Stream, values) => only(values.iter().map(|value| match value {
                Value::Exactly(name) => Some(partition_of(name, partitions)),
                Value::Prefix(_) => None,
            })),
            Query::And(parts) => parts.iter().find_map(|part| part.single_partition(partitions)),
            Query::Or(parts) => only(parts.iter().map(|part| part.single_partition(partitions))),
            Query::Within(within) => (within.of == partitions).then_some(within.number),
            Query::Partition(IndexPartition { number, partitioning, .. }) => {
                let follows = |by: &Partitioning| by.follows_store(partitions);
                partitioning.as_deref().is_some_and(follows).then_some(number % partitions)
            }
            Query::All
            | Query::System
            | Query::Is(..)
            | Query::During(_)
            | Query::Index(_)
            | Query::Not(_) => None,
        }
    }
}

impl Partitioning {
    /// Whether partition `p` of the index lies in partition `p % partitions` of a store with `partitions`: each is a list of
    /// one partition then, with ordinals.
    ///
    /// That holds for [`PartitionKey::StoreKey`] by [`Partitioner::Murmur2`], with a multiple of the store's
    /// partitions, and for every index of a store with one partition.
    pub fn follows_store(&self, partitions: u32) -> bool {
        let Partitioning { count, key, partitioner } = self;
        let is_same = (key, partitioner) == (&PartitionKey::StoreKey, &Partitioner::Murmur2);
        partitions <= 1 || (is_same && count.is_multiple_of(partitions))
    }
}

/// Returns the value that all items have, or `None`.
fn only(mut values: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    let first = values.next()??;
    values.all(|value| value == Some(first)).then_some(first)
}

impl Invalid {
    /// Returns the error for an operation over several partitions, such as "an append".
    pub fn crosses_partitions(what: impl Display) -> Self {
        let message = format!(
            "{what} must lie in one partition of the store, but it crosses partitions; use streams \
             with the same text behind their category, such as order-7 and invoice-7, or in braces, \
             such as order-7-{{ada}} and invoice-9-{{ada}}, and queries of such streams"
        );
        Invalid::new("crosses_partitions", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::IndexDefinition;

    #[test]
    fn the_name_after_the_category_decides_the_partition() {
        for (one, other) in [("order-7", "invoice-7"), ("7", "order-7"), ("$stream-a-7", "b-7")] {
            assert_eq!(partition_of(one, 64), partition_of(other, 64), "{one} {other}");
        }
        assert_eq!((partition_of("$index-orders", 64), partition_of("order-7", 1)), (0, 0));
        let used: std::collections::BTreeSet<_> =
            (0..1_000).map(|n| partition_of(&format!("order-{n}"), 8)).collect();
        assert_eq!(used.into_iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn every_partition_has_a_key() {
        for partitions in [1, 2, 8, 64, 4_096] {
            for partition in 0..partitions {
                let name = format!("leftfold.reactor-{{{}}}a-{{b}}", key_in(partition, partitions));
                assert_eq!(partition_of(&name, partitions), partition, "{name}");
            }
        }
    }

    #[test]
    fn a_query_within_a_partition_matches_the_events_of_its_streams() {
        let query: Query = "within:3/8 type:Paid".parse().unwrap();
        assert_eq!(query, Query::within(3, 8).and(Query::event_type("Paid")));
        assert_eq!(query.to_string(), "within:3/8 type:Paid");
        for wrong in ["within:8/8", "within:3", "within:x/8", "within:3/8*", "within:"] {
            assert_eq!(wrong.parse::<Query>().unwrap_err().code, "query_syntax", "{wrong}");
        }
        let paid = |stream: &str| {
            let event = crate::NewEvent::json("Paid", "{}").id(uuid::Uuid::nil());
            crate::Recorded::from_parts(stream, 0, 1, crate::Timestamp(0), &event).unwrap()
        };
        for n in 0..100 {
            let stream = format!("order-{n}");
            assert_eq!(query.matches(&paid(&stream)), partition_of(&stream, 8) == 3, "{stream}");
        }
    }

    #[test]
    fn partitions_of_an_index_by_the_store_key_lie_in_one_of_the_store() {
        let define = |count, key: &str, partitioner| {
            let definition = IndexDefinition::new("i", Query::All);
            definition.partitioned(count, key.parse().unwrap()).partitioner(partitioner)
        };
        let span = |definition: &IndexDefinition, partitions| {
            let query = Query::partition("i", 11).and(Query::event_type("Paid"));
            let expanded = query.expand(&|_| Some(definition.clone())).unwrap();
            expanded.single_partition(partitions)
        };
        let follows = define(24, "store-key", Partitioner::Murmur2);
        assert_eq!([1, 4, 8, 24].map(|count| span(&follows, count)), [0, 3, 3, 11].map(Some));
        for other in [
            define(25, "store-key", Partitioner::Murmur2),
            define(24, "store-key", Partitioner::Crc32),
            define(24, "stream-id", Partitioner::Murmur2),
        ] {
            assert_eq!(span(&other, 8), None, "{other:?}");
        }
        let by = follows.partitioning.unwrap();
        for n in 0..200 {
            for stream in [
                format!("order-{n}"),
                format!("order-{n}-{{ada}}"),
                format!("{{{n}}}order"),
                format!("$stream-order-{n}"),
                format!("$stream-$index-{n}"),
                format!("$index-{n}"),
            ] {
                let event = crate::NewEvent::json("Paid", "{}").id(uuid::Uuid::nil());
                let event = crate::Recorded::from_parts(&stream, 0, 1, crate::Timestamp(0), &event);
                let partition = by.partition_of(&event.unwrap());
                assert_eq!(partition % 8, partition_of(&stream, 8), "{stream}");
            }
        }
    }

    #[test]
    fn text_in_braces_decides_the_partition() {
        for (name, key) in [
            ("order-7-{ada}", "ada"),
            ("{ada}order-7", "ada"),
            ("order-{ada}-{bob}", "ada"),
            ("order-{{ada}}", "{ada"),
            ("order-{}{ada}", "{}{ada}"),
            ("order-{ada", "{ada"),
            ("order-}{ada", "}{ada"),
        ] {
            assert_eq!(key_of(name), key, "{name}");
        }
        assert_eq!(partition_of("$stream-order-{ada}-7", 64), partition_of("ada", 64));
        assert_eq!(partition_of("$index-{ada}", 64), 0);
        let query: Query = "stream:order-{ada}-1,invoice-{ada}-2".parse().unwrap();
        assert_eq!(query.single_partition(64), Some(partition_of("ada", 64)));
    }

    #[test]
    fn a_query_of_streams_of_one_partition_has_a_single_partition() {
        let of_7 = Some(partition_of("order-7", 64));
        for (query, partition) in [
            ("stream:order-7", of_7),
            ("stream:order-7,invoice-7", of_7),
            ("stream:order-7 not type:Paid", of_7),
            ("stream:order-7 or stream:invoice-7 tag:a=b", of_7),
            ("within:3/64 category:order", Some(3)),
            ("within:3/8", None),
            ("within:3/64 or within:4/64", None),
            ("stream:order-7,order-8", None),
            ("stream:order-7*", None),
            ("stream:order-7 or type:Paid", None),
            ("not stream:order-7", None),
            ("category:order", None),
            ("index:orders", None),
            ("*", None),
        ] {
            assert_eq!(query.parse::<Query>().unwrap().single_partition(64), partition, "{query}");
        }
        assert_eq!(Query::All.single_partition(1), Some(0));
    }
}
