//! Runs the conformance suite against a store of many partitions, each an embedded store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use leftfold_partitioned::Partitioned;
use leftfold_store::Options;

fn fresh(partitions: usize, segment_bytes: u64) -> Box<Partitioned> {
    let mut options = Options::default();
    options.log.segment_bytes = segment_bytes;
    options.log.preallocate = 4096;
    Box::new(leftfold_partitioned::create(partitions, 7, &options).unwrap())
}

mod with_two_partitions {
    leftfold_api::conformance_suite!(|| super::fresh(2, 64 << 20), partitioned);
}

/// Most events are in sealed segments.
mod with_eight_partitions_of_small_segments {
    leftfold_api::conformance_suite!(|| super::fresh(8, 300), partitioned);
}

/// With one partition the store keeps every promise of a store of one log.
mod with_one_partition {
    leftfold_api::conformance_suite!(|| super::fresh(1, 64 << 20));
}

#[test]
fn a_merged_subscription_skips_events_that_do_not_match() {
    use leftfold_api::{Append, EventStore, NewEvent, Query, Subscribe, Subscription};

    let store = fresh(4, 64 << 20);
    pollster::block_on(async {
        let mut subscription = store.subscribe(Subscribe::to(Query::category("a"))).await.unwrap();
        subscription.next().await.unwrap();
        for n in 0..8 {
            let append = Append::new().event(format!("b-{n}"), NewEvent::new("Counted", ""));
            store.append(append).await.unwrap();
        }
        subscription.advance().await.unwrap();
        assert_eq!(subscription.cursor(), store.head().await.unwrap());
    });
}

mod ordinals {
    use std::collections::{BTreeMap, HashSet};

    use leftfold_api::{
        Append, Delivery, EventStore, IndexDefinition, NewEvent, PartitionKey, Point, Query, Read,
        Recorded, Start, Subscribe, Subscription,
    };
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const INDEX: &str = "orders";

    /// A stream of the index's category or of another one, with and without text in braces.
    fn stream() -> impl Strategy<Value = String> {
        let category = prop_oneof![4 => Just("order"), 1 => Just("cart")];
        let key = prop_oneof!["[0-9]{1,2}", "\\{[ab]?\\}-[0-9]", "[0-9]\\{[a-c]\\}[0-9]"];
        (category, key).prop_map(|(category, key)| format!("{category}-{key}"))
    }

    /// Reads a partition of the index page by page, beginning at each ordinal that comes next.
    async fn read(store: &Partitioned, partition: u32, limit: usize) -> Vec<Recorded> {
        let mut found = Vec::new();
        loop {
            let read = Read::forward(Query::partition(INDEX, partition)).limit(limit);
            let at = Point::Ordinal(found.len() as u64);
            let page = store.read(read.including(at).with_ordinals()).await.unwrap();
            for event in page.events {
                assert_eq!(event.ordinal(), Some(found.len() as u64), "ordinals are dense");
                found.push(event);
            }
            if !page.more {
                return found;
            }
        }
    }

    async fn subscribed(store: &Partitioned, partition: u32, from: u64) -> Vec<Uuid> {
        let from = Start::Including(Point::Ordinal(from));
        let query = Query::partition(INDEX, partition);
        let subscribe = Subscribe { from, ..Subscribe::to(query) };
        let mut subscription = store.subscribe(subscribe).await.unwrap();
        let mut found = Vec::new();
        while let Delivery::Event(event, _) = subscription.next().await.unwrap() {
            found.push(event.id());
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Each event of the index is in one partition, under the ordinal that its append was told, for ever.
        #[test]
        fn an_index_by_the_store_key_loses_nothing(
            partitions in 1..5_usize,
            times in 1..4_u32,
            streams in prop::collection::vec(stream(), 1..60),
            defined_at in 0..60_usize,
            limit in 1..7_usize,
        ) {
            let store = fresh(partitions, 300);
            let count = partitions as u32 * times;
            let defined_at = defined_at.min(streams.len());
            let definition = IndexDefinition::new(INDEX, Query::category("order"))
                .partitioned(count, PartitionKey::StoreKey);
            pollster::block_on(async {
                let mut told = BTreeMap::new();
                for (n, stream) in streams.iter().enumerate() {
                    if n == defined_at {
                        store.define_index(definition.clone()).await.unwrap();
                    }
                    let event = NewEvent::new("Put", "").id(Uuid::from_u128(n as u128));
                    let append = Append::new().event(stream.as_str(), event);
                    if n < defined_at {
                        store.append(append).await.unwrap();
                        continue;
                    }
                    let appended = store.append(append.ordinals_in(INDEX)).await.unwrap();
                    let place = appended.ordinals[0].map(|place| (place.partition, place.ordinal));
                    assert_eq!(place.is_some(), stream.starts_with("order-"));
                    if let Some(place) = place {
                        let old = told.insert(place, Uuid::from_u128(n as u128));
                        assert_eq!(old, None, "{place:?} was given before");
                    }
                }
                if defined_at == streams.len() {
                    store.define_index(definition).await.unwrap();
                }
                let mut found = HashSet::new();
                for partition in 0..count {
                    let events = read(&store, partition, limit).await;
                    let ids: Vec<_> = events.iter().map(Recorded::id).collect();
                    for (ordinal, id) in (0..).zip(&ids) {
                        assert!(found.insert(*id), "{id} is in two partitions");
                        let place = told.remove(&(partition, ordinal));
                        assert!(place.is_none_or(|of| of == *id), "{partition} {ordinal} {id}");
                    }
                    let half = ids.len() as u64 / 2;
                    let live = subscribed(&store, partition, half).await;
                    assert_eq!(live, ids[half as usize..]);
                    let end = Start::Including(Point::Ordinal(u64::MAX));
                    let query = Query::partition(INDEX, partition);
                    assert_eq!(store.ordinal(query, end).await.unwrap(), ids.len() as u64);
                }
                assert!(told.is_empty(), "{told:?}");
                let wanted = streams.iter().filter(|stream| stream.starts_with("order-")).count();
                assert_eq!(found.len(), wanted);
            });
        }
    }
}
