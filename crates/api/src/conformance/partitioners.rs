//! Partitions of named indexes by any key and any partitioner.

use super::helpers::{done, event, found, page, put};
use crate::{Append, Coded, EventStore, IndexDefinition, PartitionKey, Partitioner, Query, Read};

/// The partitions of these stream ids in an index of four, by the CRC-32 of zlib as Python computes it.
const BY_CRC32: [(&str, u32); 8] =
    [("1", 3), ("2", 1), ("3", 3), ("4", 0), ("5", 2), ("6", 0), ("7", 2), ("8", 3)];
const PARTITIONERS: [Partitioner; 2] = [Partitioner::Murmur2, Partitioner::Crc32];

fn orders(name: &str, key: PartitionKey, partitioner: Partitioner) -> IndexDefinition {
    let definition = IndexDefinition::new(name, Query::category("order"));
    definition.partitioned(4, key).partitioner(partitioner)
}

async fn define(store: &impl EventStore, name: &str, key: PartitionKey, partitioner: Partitioner) {
    store.define_index(orders(name, key, partitioner)).await.unwrap();
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn partitions_by_crc32_are_those_of_librdkafka(store: &impl EventStore) {
        let (mut n, mut expected) = (0, [const { Vec::new() }; 4]);
        for round in 0..2 {
            if round == 1 {
                // Past events are listed as later ones are.
                define(store, "orders", PartitionKey::StreamId, Partitioner::Crc32).await;
            }
            for (id, partition) in BY_CRC32 {
                put(store, &format!("order-{id}"), &[n]).await;
                expected[partition as usize].push(n);
                n += 1;
            }
        }
        for (partition, expected) in expected.iter().enumerate() {
            assert_eq!(&found(store, &format!("partition:orders/{partition}")).await, expected);
        }
    }

    pub async fn a_key_stands_behind_a_prefix(store: &impl EventStore) {
        let behind = || PartitionKey::Behind("order-eu-".to_owned());
        define(store, "murmur2", behind(), Partitioner::Murmur2).await;
        define(store, "crc32", behind(), Partitioner::Crc32).await;
        // The stream, its key, and the partitions of the key by murmur2 and by CRC-32.
        for (n, stream, key, by_murmur2, by_crc32) in [
            (1, "order-eu-1", "1", 3, 3),
            (2, "order-eu-7", "7", 3, 2),
            (3, "order-us-7", "order-us-7", 1, 3),
            (4, "order-eu", "order-eu", 3, 0),
            (5, "order-eu-", "", 1, 0),
        ] {
            put(store, stream, &[n]).await;
            for (index, partition) in [("murmur2", by_murmur2), ("crc32", by_crc32)] {
                let found = found(store, &format!("partition:{index}/{partition}")).await;
                assert!(found.contains(&n), "{stream} with the key {key:?} in {index}");
            }
        }
    }

    pub async fn each_partition_holds_the_events_whose_keys_lead_to_it(store: &impl EventStore) {
        let keys = ["stream", "stream-id", "behind:order-1", "tag:color"];
        let keys = keys.map(|text| text.parse::<PartitionKey>().unwrap());
        for n in 0..24 {
            let event = match n % 3 {
                0 => event(n),
                color => event(n).tag("color", format!("{color}")).tag("color", "later"),
            };
            done(store, Append::new().event(format!("order-{n}"), event)).await;
        }
        for (key, partitioner) in keys.iter().flat_map(|key| PARTITIONERS.map(|one| (key, one))) {
            let name = format!("by {key} {partitioner}").replace([' ', ':'], "-");
            define(store, &name, key.clone(), partitioner).await;
            let mut events = 0;
            for number in 0..4 {
                let read = Read::forward(Query::partition(&name, number)).limit(100);
                for event in page(store, read).await.events {
                    let key = key.key_of(&event);
                    let partition = partitioner.partition_of(key.as_bytes(), 4);
                    assert_eq!(partition, number, "{key:?} in {name}");
                    events += 1;
                }
            }
            assert_eq!(events, 24, "{name}");
        }
    }

    pub async fn an_index_keeps_its_key_and_its_partitioner(store: &impl EventStore) {
        let behind = PartitionKey::Behind("order-eu-".to_owned());
        let definition = orders("orders", behind.clone(), Partitioner::Crc32);
        store.define_index(definition.clone()).await.unwrap();
        let info = store.index("orders").await.unwrap().unwrap();
        assert_eq!(info.partitioning, definition.partitioning);
        store.define_index(definition).await.unwrap();
        for other in [
            orders("orders", behind, Partitioner::Murmur2),
            orders("orders", PartitionKey::StreamId, Partitioner::Crc32),
        ] {
            assert_eq!(store.define_index(other).await.unwrap_err().code(), "index_exists");
        }
    }
}

pub use promises::*;
