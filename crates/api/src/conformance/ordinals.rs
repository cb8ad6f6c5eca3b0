//! Partitions of named indexes, and ordinals: the dense numbers of a list's events.

use uuid::Uuid;

use super::helpers::{done, event, found, numbers, page, put, refused, says, unreadable};
use crate::{
    Append, Coded, Cursor, Delivery, EventStore, IndexDefinition, IndexOrdinal, NewEvent,
    PartitionKey, Point, Query, Read, Recorded, Start, Subscribe, Subscription,
};

/// The partitions of these stream ids in an index of four, computed by Kafka's murmur2.
const PARTITIONS: [(&str, u32); 8] =
    [("1", 3), ("2", 0), ("3", 3), ("4", 1), ("5", 2), ("6", 2), ("7", 3), ("8", 3)];

async fn define(store: &impl EventStore, name: &str, count: u32, key: PartitionKey) {
    let definition = IndexDefinition::new(name, Query::category("order"));
    store.define_index(definition.partitioned(count, key)).await.unwrap();
}

/// Defines the index `orders` with four partitions by stream id.
async fn define_orders(store: &impl EventStore) {
    define(store, "orders", 4, PartitionKey::StreamId).await;
}

/// Returns the numbers of events with their ordinals.
fn counted(events: &[Recorded]) -> Vec<(u128, u64)> {
    numbers(events).into_iter().zip(events.iter().map(|event| event.ordinal().unwrap())).collect()
}

/// Reads a query in pages of two events, with ordinals.
async fn read_counted(store: &impl EventStore, read: Read) -> Vec<(u128, u64)> {
    let (mut events, mut next) = (Vec::new(), read.clone().limit(2).with_ordinals());
    loop {
        let page = page(store, next).await;
        events.extend(counted(&page.events));
        if !page.more {
            return events;
        }
        next = read.clone().limit(2).with_ordinals().after(page.cursor);
    }
}

/// Returns the next delivered events with their ordinals, in a given number.
async fn delivered(subscription: &mut impl Subscription, count: usize) -> Vec<(u128, u64)> {
    let mut events = Vec::new();
    while events.len() < count {
        if let Delivery::Event(event, _) = subscription.next().await.unwrap() {
            events.extend(counted(&[event]));
        }
    }
    events
}

fn place(partition: u32, ordinal: u64) -> Option<IndexOrdinal> {
    Some(IndexOrdinal { partition, ordinal })
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn partitions_are_those_of_kafka(store: &impl EventStore) {
        define(store, "by-stream", 4, PartitionKey::Stream).await;
        define(store, "by-id", 4, PartitionKey::StreamId).await;
        define(store, "by-tag", 4, PartitionKey::Tag("color".to_owned())).await;
        // The stream, its first color, and the partitions of "order-1", of "1" and of "blue".
        for (n, stream, color, [by_stream, by_id, by_tag]) in [
            (1, "order-1", "blue", [2, 3, 0]),
            (2, "order-2", "green", [3, 0, 3]),
            (3, "order-3", "x", [3, 3, 2]),
            (4, "order", "second", [0, 0, 2]),
        ] {
            let event = event(n).tag("shape", "x").tag("color", color).tag("color", "later");
            done(store, Append::new().event(stream, event)).await;
            let partitions = [("by-stream", by_stream), ("by-id", by_id), ("by-tag", by_tag)];
            for (index, partition) in partitions {
                for candidate in 0..4 {
                    let found = found(store, &format!("partition:{index}/{candidate}")).await;
                    let is_in = found.contains(&n);
                    assert_eq!(is_in, candidate == partition, "{stream} in {index}/{candidate}");
                }
            }
        }
        put(store, "order-1", &[5]).await;
        assert!(
            found(store, "partition:by-tag/2").await.contains(&5),
            "without the tag, by its stream"
        );
    }

    pub async fn every_event_is_in_exactly_one_partition(store: &impl EventStore) {
        let (mut n, mut expected) = (0, [const { Vec::new() }; 4]);
        for round in 0..4 {
            if round == 2 {
                define_orders(store).await;
            }
            for (id, partition) in PARTITIONS {
                put(store, &format!("order-{id}"), &[n]).await;
                put(store, &format!("cart-{id}"), &[n + 1_000]).await;
                expected[partition as usize].push(n);
                n += 1;
            }
        }
        for (partition, expected) in expected.iter().enumerate() {
            assert_eq!(&found(store, &format!("partition:orders/{partition}")).await, expected);
        }
        assert_eq!(found(store, "index:orders").await, (0..n).collect::<Vec<_>>());
    }

    pub async fn a_partition_is_part_of_a_query(store: &impl EventStore) {
        define_orders(store).await;
        for n in 1..=8 {
            put(store, &format!("order-{n}"), &[n]).await;
        }
        put(store, "cart-1", &[9]).await;
        assert_eq!(found(store, "partition:orders/3").await, [1, 3, 7, 8]);
        assert_eq!(found(store, "partition:orders/3 stream:order-3,order-4").await, [3]);
        assert_eq!(found(store, "partition:orders/0 or partition:orders/1").await, [2, 4]);
        let others = "not partition:orders/3 category:order";
        assert_eq!(found(store, others).await, [2, 4, 5, 6]);
        assert_eq!(found(store, "not partition:orders/3").await.last(), Some(&9));
        let start = Cursor::START;
        let condition = |n, query: &str| {
            let append = Append::new().event("cart-1", event(n));
            append.none_after(query.parse().unwrap(), start.clone())
        };
        refused(store, condition(10, "partition:orders/3"), "query_matched").await;
        done(store, condition(10, "partition:orders/3 stream:order-2")).await;
    }

    pub async fn each_partition_counts_from_zero_forward_and_backward(store: &impl EventStore) {
        for n in [1, 2, 3] {
            put(store, &format!("order-{n}"), &[n]).await;
        }
        define_orders(store).await;
        for n in [7, 4, 8] {
            put(store, &format!("order-{n}"), &[n]).await;
            put(store, "cart-1", &[n + 100]).await;
        }
        for (partition, mut events) in
            [(0, vec![(2, 0)]), (1, vec![(4, 0)]), (3, vec![(1, 0), (3, 1), (7, 2), (8, 3)])]
        {
            let query = Query::partition("orders", partition);
            assert_eq!(read_counted(store, Read::forward(query.clone())).await, events);
            events.reverse();
            assert_eq!(read_counted(store, Read::backward(query)).await, events);
        }
        let empty = Read::forward(Query::partition("orders", 2)).with_ordinals();
        assert_eq!(page(store, empty).await.events.len(), 0);
        let plain = page(store, Read::forward(Query::partition("orders", 3))).await;
        assert!(plain.events.iter().all(|event| event.ordinal().is_none()), "not asked for");
    }

    pub async fn ordinals_of_a_stream_are_its_versions(store: &impl EventStore) {
        put(store, "order-1", &[1, 2]).await;
        put(store, "order-2", &[3]).await;
        put(store, "order-1", &[4]).await;
        let query = Query::stream("order-1");
        let read = read_counted(store, Read::forward(query.clone())).await;
        assert_eq!(read, [(1, 0), (2, 1), (4, 2)]);
        assert_eq!(store.ordinal(query, Start::Outermost).await.unwrap(), 0);
    }

    pub async fn ordinals_of_an_index_without_partitions_count_all_its_events(
        store: &impl EventStore,
    ) {
        put(store, "order-1", &[1]).await;
        let definition = IndexDefinition::new("all-orders", Query::category("order"));
        store.define_index(definition).await.unwrap();
        put(store, "cart-1", &[2]).await;
        put(store, "order-2", &[3]).await;
        let query = Query::index("all-orders");
        let read = read_counted(store, Read::forward(query.clone())).await;
        assert_eq!(read, [(1, 0), (3, 1)]);
        let append = Append::new().event("order-2", event(4)).ordinals_in("all-orders");
        assert_eq!(done(store, append).await.ordinals, [place(0, 2)]);
    }

    pub async fn a_partition_is_read_from_an_ordinal(store: &impl EventStore) {
        define_orders(store).await;
        for n in [1, 2, 3, 7, 8] {
            put(store, &format!("order-{n}"), &[n]).await;
        }
        let partition = Query::partition("orders", 3);
        for (ordinal, later, earlier) in [
            (0, vec![(1, 0), (3, 1), (7, 2), (8, 3)], vec![]),
            (2, vec![(7, 2), (8, 3)], vec![(3, 1), (1, 0)]),
            (4, vec![], vec![(8, 3), (7, 2), (3, 1), (1, 0)]),
        ] {
            let forward = Read::forward(partition.clone()).including(Point::Ordinal(ordinal));
            assert_eq!(read_counted(store, forward).await, later, "from {ordinal}");
            let backward = Read::backward(partition.clone()).excluding(Point::Ordinal(ordinal));
            assert_eq!(read_counted(store, backward).await, earlier, "before {ordinal}");
        }
    }

    pub async fn deliveries_have_ordinals_in_history_and_live(store: &impl EventStore) {
        put(store, "order-1", &[1]).await;
        define_orders(store).await;
        put(store, "order-3", &[2]).await;
        let subscribe = Subscribe::to(Query::partition("orders", 3)).with_ordinals();
        let mut subscription = store.subscribe(subscribe).await.unwrap();
        assert_eq!(delivered(&mut subscription, 2).await, [(1, 0), (2, 1)]);
        put(store, "order-2", &[3]).await;
        put(store, "order-7", &[4]).await;
        assert_eq!(delivered(&mut subscription, 1).await, [(4, 2)]);
        // A subscription that resumes counts on.
        let cursor = subscription.cursor();
        drop(subscription);
        put(store, "order-8", &[5]).await;
        let resume = Subscribe::after(Query::partition("orders", 3), cursor).with_ordinals();
        let mut resumed = store.subscribe(resume).await.unwrap();
        assert_eq!(delivered(&mut resumed, 1).await, [(5, 3)]);
        let mut plain = store.subscribe(Subscribe::to(Query::index("orders"))).await.unwrap();
        match plain.next().await.unwrap() {
            Delivery::Event(event, _) => assert_eq!(event.ordinal(), None, "not asked for"),
            Delivery::CaughtUp(_) => panic!("history comes first"),
        }
    }

    pub async fn an_append_answers_with_the_ordinals_of_its_events(store: &impl EventStore) {
        put(store, "order-1", &[1]).await;
        define_orders(store).await;
        let append = Append::new()
            .event("order-2", event(2))
            .event("cart-1", event(3))
            .event("order-3", event(4))
            .event("order-1", event(5))
            .event("order-2", event(6));
        let answer = done(store, append.ordinals_in("orders")).await;
        let ordinals = [place(0, 0), None, place(3, 1), place(3, 2), place(0, 1)];
        assert_eq!(answer.ordinals, ordinals);
        assert_eq!(put(store, "order-1", &[7]).await.ordinals, [], "not asked for");
        let partition = Read::forward(Query::partition("orders", 3));
        assert_eq!(read_counted(store, partition).await, [(1, 0), (4, 1), (5, 2), (7, 3)]);
    }

    pub async fn a_repeat_answers_with_the_same_ordinals(store: &impl EventStore) {
        define_orders(store).await;
        let append = Append::new()
            .event("order-1", event(1))
            .event("order-2", event(2))
            .event("order-3", event(3));
        let first = done(store, append.clone().ordinals_in("orders")).await;
        put(store, "order-1", &[4]).await;
        let repeat = done(store, append.ordinals_in("orders")).await;
        assert!(repeat.repeated && !first.repeated);
        assert_eq!(repeat.ordinals, [place(3, 0), place(0, 0), place(3, 1)]);
        assert_eq!(repeat.ordinals, first.ordinals);
    }

    pub async fn a_repeat_answers_with_its_ordinals(store: &impl EventStore) {
        define_orders(store).await;
        put(store, "order-3", &[9]).await;
        let append = Append::new()
            .event("order-1", event(1))
            .event("cart-1", event(3))
            .event("order-3", event(2))
            .event("order-1", event(4))
            .ordinals_in("orders");
        let expected = [place(3, 1), None, place(3, 2), place(3, 3)];
        assert_eq!(done(store, append.clone()).await.ordinals, expected);
        put(store, "order-1", &[5]).await;
        let repeat = done(store, append).await;
        assert!(repeat.repeated);
        assert_eq!(repeat.ordinals, expected);
    }

    pub async fn an_ordinal_is_looked_up_by_position_cursor_version_and_time(
        store: &impl EventStore,
    ) {
        define_orders(store).await;
        let mut appended = Vec::new();
        for n in [1, 2, 3, 7] {
            appended.push(put(store, &format!("order-{n}"), &[n]).await);
        }
        let query = Query::partition("orders", 3);
        let ordinal = async |from| store.ordinal(query.clone(), from).await.unwrap();
        // The events 1, 3 and 7 of the partition have the ordinals 0, 1 and 2.
        assert_eq!(ordinal(Start::Outermost).await, 0);
        let position = |n: usize| appended[n].positions.unwrap().0;
        for (n, including, excluding) in [(0, 0, 1), (1, 1, 1), (2, 1, 2), (3, 2, 3)] {
            let point = Point::Position(position(n));
            assert_eq!(ordinal(Start::Including(point.clone())).await, including, "{n}");
            assert_eq!(ordinal(Start::Excluding(point)).await, excluding, "{n}");
            let cursor = Point::Cursor(appended[n].cursor.clone());
            assert_eq!(ordinal(Start::Excluding(cursor)).await, excluding, "{n}");
        }
        assert_eq!(ordinal(Start::Excluding(Point::Cursor(Cursor::START))).await, 0);
        assert_eq!(ordinal(Start::Including(Point::Ordinal(1))).await, 1);
        assert_eq!(ordinal(Start::Excluding(Point::Ordinal(1))).await, 2);
        assert_eq!(ordinal(Start::Including(Point::Ordinal(99))).await, 3);
        assert_eq!(ordinal(Start::Including(Point::Position(1_000_000))).await, 3);
        let events = page(store, Read::forward(query.clone())).await.events;
        for event in &events {
            let time = event.commit_time();
            let first = events.iter().position(|other| other.commit_time() >= time).unwrap();
            let from = Start::Including(Point::CommitTime(time));
            assert_eq!(ordinal(from).await, first as u64);
        }
        let stream = Query::stream("order-1");
        let from = Start::Excluding(Point::Version(0));
        assert_eq!(store.ordinal(stream, from).await.unwrap(), 1);
    }

    pub async fn events_that_retention_hides_keep_their_ordinals(store: &impl EventStore) {
        define_orders(store).await;
        put(store, "order-1", &[1, 2]).await;
        put(store, "order-3", &[3]).await;
        put(store, "order-1", &[4]).await;
        let retention = crate::Retention { truncate_before: Some(2), ..Default::default() };
        store.set_retention("order-1", retention).await.unwrap();
        let query = Query::partition("orders", 3);
        let read = read_counted(store, Read::forward(query.clone())).await;
        assert_eq!(read, [(3, 2), (4, 3)]);
        let read = read_counted(store, Read::backward(query.clone())).await;
        assert_eq!(read, [(4, 3), (3, 2)]);
        let subscribe = Subscribe::to(query.clone()).with_ordinals();
        let mut subscription = store.subscribe(subscribe).await.unwrap();
        assert_eq!(delivered(&mut subscription, 2).await, [(3, 2), (4, 3)]);
        let head = store.head().await.unwrap();
        let end = store.ordinal(query, Start::Excluding(Point::Cursor(head))).await.unwrap();
        assert_eq!(end, 4);
    }

    pub async fn ordinals_of_several_lists_are_refused(store: &impl EventStore) {
        define_orders(store).await;
        put(store, "order-1", &[1]).await;
        let code = "ordinal_needs_index";
        for query in [
            "*",
            "category:order",
            "stream:order-1 or stream:order-2",
            "partition:orders/3 type:Counted",
            "index:orders partition:orders/3",
            "not partition:orders/3",
        ] {
            let query: Query = query.parse().unwrap();
            unreadable(store, Read::forward(query.clone()).with_ordinals(), code).await;
            unreadable(store, Read::backward(query.clone()).with_ordinals(), code).await;
            says(&store.ordinal(query.clone(), Start::Outermost).await.unwrap_err(), code);
            let subscribed = store.subscribe(Subscribe::to(query).with_ordinals()).await;
            match subscribed {
                Err(error) => says(&error, code),
                // A subscription may find it when it reads.
                Ok(mut subscription) => says(&subscription.next().await.unwrap_err(), code),
            }
        }
    }

    pub async fn unknown_partitions_and_indexes_are_refused(store: &impl EventStore) {
        define_orders(store).await;
        let plain = IndexDefinition::new("plain", Query::category("order"));
        store.define_index(plain).await.unwrap();
        put(store, "order-1", &[1]).await;
        for (query, code) in [
            ("partition:orders/4", "partition_unknown"),
            ("partition:orders/4294967295", "partition_unknown"),
            ("partition:plain/0", "partition_unknown"),
            ("type:Counted partition:orders/9", "partition_unknown"),
            ("partition:none/0", "index_unknown"),
        ] {
            let query: Query = query.parse().unwrap();
            unreadable(store, Read::forward(query.clone()), code).await;
            let guarded = Append::new().event("order-1", event(2));
            refused(store, guarded.none_after(query.clone(), Cursor::START), code).await;
            if let Query::Partition(_) = query {
                says(&store.ordinal(query, Start::Outermost).await.unwrap_err(), code);
            }
        }
        let append = Append::new().event("order-1", event(2));
        refused(store, append.clone().ordinals_in("none"), "index_unknown").await;
        assert!(store.append(append.ordinals_in("")).await.is_err());
    }

    pub async fn impossible_partitions_are_refused(store: &impl EventStore) {
        let refused = async |count, key, code: &str| {
            let definition = IndexDefinition::new("orders", Query::category("order"));
            let error = store.define_index(definition.partitioned(count, key)).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        };
        refused(0, PartitionKey::Stream, "index_partitions_invalid").await;
        refused(1_025, PartitionKey::Stream, "index_partitions_invalid").await;
        refused(u32::MAX, PartitionKey::StreamId, "index_partitions_invalid").await;
        refused(4, PartitionKey::Tag(String::new()), "index_partitions_invalid").await;
        refused(4, PartitionKey::Tag("a=b".to_owned()), "index_partitions_invalid").await;
        refused(4, PartitionKey::Tag("a\u{0}".to_owned()), "name_invalid").await;
        refused(4, PartitionKey::Behind(String::new()), "index_partitions_invalid").await;
        refused(4, PartitionKey::Behind("a\nb".to_owned()), "name_invalid").await;
        assert_eq!(store.indexes().await.unwrap(), []);
        let most = IndexDefinition::new("orders", Query::category("order"));
        store.define_index(most.partitioned(1_024, PartitionKey::Stream)).await.unwrap();
        let id = Uuid::from_u128(1);
        let append = Append::new().event("order-1", NewEvent::new("Counted", "1").id(id));
        let answer = done(store, append.ordinals_in("orders")).await;
        assert_eq!(answer.ordinals, [place(502, 0)]);
    }
}

pub use promises::*;
