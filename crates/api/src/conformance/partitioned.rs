//! The promises of a store of many partitions: an operation over several partitions is refused as a whole,
//! and one in a single partition works as in a store of one log.

use std::collections::{BTreeMap, BTreeSet};

use super::helpers::{
    all, append, conflicts, done, event, found, next, numbers, page, put, refused, says, unreadable,
};
use crate::{
    Append, AppendError, CheckpointMove, Coded, Conflict, Cursor, EventStore, Expected,
    IndexDefinition, PartitionKey, Point, Query, Read, Retention, RetentionRule, Start, Streams,
    Subscribe, Subscription, partition_of,
};

const CODE: &str = "crosses_partitions";

/// Two streams of one partition, and one of another.
struct Spread {
    here: &'static str,
    beside: &'static str,
    there: String,
    /// The cursor behind event 1, which is in `here`.
    cursor: Cursor,
}

/// Appends event 1, and finds streams in its partition and in another one.
async fn spread(store: &impl EventStore) -> Spread {
    let cursor = put(store, "a-1", &[1]).await.cursor;
    let partitions = cursor.positions().len() as u32;
    assert!(partitions > 1, "the store has one partition");
    let home = partition_of("a-1", partitions);
    let mut others = (2..).map(|n| format!("a-{n}"));
    let there = others.find(|other| partition_of(other, partitions) != home).unwrap();
    Spread { here: "a-1", beside: "b-1", there, cursor }
}

/// Returns the position of the only partition that a cursor has one in.
fn position_in(cursor: &Cursor) -> u64 {
    cursor.positions().iter().sum()
}

/// Appends events 1 to 24, one by one, to eight streams of two categories.
async fn many(store: &impl EventStore) {
    for n in 1..=24u128 {
        let category = if n % 2 == 0 { "a" } else { "b" };
        put(store, &format!("{category}-{}", n % 8), &[n]).await;
    }
}

/// Reads all events of a query, in pages of a size and in the direction of the read.
async fn pages(store: &impl EventStore, read: Read) -> Vec<u128> {
    let (mut events, mut next) = (Vec::new(), read.clone());
    loop {
        let page = page(store, next).await;
        assert!(page.events.len() <= read.limit);
        events.extend(numbers(&page.events));
        if !page.more {
            return events;
        }
        next = read.clone().after(page.cursor.to_string().parse().unwrap());
    }
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn streams_lie_where_the_rule_says(store: &impl EventStore) {
        for n in 1..=20 {
            let stream = format!("a-{n}");
            let positions = put(store, &stream, &[n]).await.cursor.positions().to_vec();
            let home = partition_of(&stream, positions.len() as u32) as usize;
            for (partition, position) in positions.iter().enumerate() {
                assert_eq!(*position > 0, partition == home, "{stream}: {positions:?}");
            }
        }
    }

    pub async fn an_append_over_partitions_is_refused(store: &impl EventStore) {
        let Spread { here, there, .. } = spread(store).await;
        let over = Append::new().event(here, event(2)).event(&*there, event(3));
        refused(store, over.clone(), CODE).await;
        refused(store, over.expect(here, Expected::Exists), CODE).await;
        let checked = append(here, Expected::Any, &[2]).expect(&*there, Expected::NoStream);
        refused(store, checked, CODE).await;
        assert_eq!(found(store, "*").await, [1]);
    }

    pub async fn an_append_in_one_partition_is_atomic(store: &impl EventStore) {
        let Spread { here, beside, cursor, .. } = spread(store).await;
        let both = |numbers: [u128; 3]| {
            Append::new()
                .event(beside, event(numbers[0]))
                .event(here, event(numbers[1]))
                .event(beside, event(numbers[2]))
                .expect(beside, Expected::NoStream)
                .expect(here, Expected::Exactly(0))
        };
        let appended = done(store, both([2, 3, 4])).await;
        let (first, last) = appended.positions.unwrap();
        assert!(first > position_in(&cursor) && last == first + 2, "{first} to {last}");
        let versions = appended.streams.iter().map(|v| (&*v.stream, v.first, v.last));
        assert_eq!(versions.collect::<Vec<_>>(), [(beside, 0, 1), (here, 1, 1)]);
        conflicts(store, both([5, 6, 7]), Some(1)).await;
        let repeated = done(store, both([2, 3, 4])).await;
        assert_eq!((repeated.repeated, repeated.cursor), (true, appended.cursor));
        assert_eq!(found(store, "*").await, [1, 2, 3, 4]);
    }

    pub async fn a_condition_over_partitions_is_refused(store: &impl EventStore) {
        let Spread { here, there, cursor, .. } = spread(store).await;
        for query in ["*", "category:a", "type:Absent", "tag:a=b", "not stream:a-1", "stream:a*"] {
            let query: Query = query.parse().unwrap();
            let guarded = append(here, Expected::Any, &[2]).none_after(query, cursor.clone());
            refused(store, guarded, CODE).await;
        }
        let elsewhere = append(here, Expected::Any, &[2]).none_after(Query::stream(there), cursor);
        refused(store, elsewhere, CODE).await;
    }

    pub async fn a_condition_on_one_stream_holds(store: &impl EventStore) {
        let Spread { here, beside, cursor, .. } = spread(store).await;
        let query: Query = format!("stream:{here} type:Counted").parse().unwrap();
        let guarded = |n, cursor: &Cursor| {
            append(beside, Expected::Any, &[n]).none_after(query.clone(), cursor.clone())
        };
        match refused(store, guarded(2, &Cursor::START), "query_matched").await {
            AppendError::Conflict(Conflict::Query { position, stream, .. }) => {
                assert_eq!((position, &*stream), (position_in(&cursor), here));
            }
            other => panic!("{other}"),
        }
        done(store, guarded(2, &cursor)).await;
        put(store, here, &[3]).await;
        refused(store, guarded(4, &cursor), "query_matched").await;
        let read = page(store, Read::forward(query.clone())).await.cursor;
        done(store, guarded(4, &read)).await;
        done(store, guarded(5, &store.head().await.unwrap())).await;
    }

    pub async fn a_checkpoint_elsewhere_is_refused(store: &impl EventStore) {
        let Spread { here, there, cursor, .. } = spread(store).await;
        let checkpoint = |name: &str, expected| CheckpointMove {
            name: name.to_owned(),
            expected,
            to: cursor.clone(),
        };
        let elsewhere = append(here, Expected::Any, &[2]).checkpoint(checkpoint(&there, None));
        refused(store, elsewhere, CODE).await;
        assert_eq!(store.checkpoint(&there).await.unwrap(), None);
        let beside = append(here, Expected::Any, &[2]).checkpoint(checkpoint("reader-1", None));
        done(store, beside).await;
        let again = append(here, Expected::Any, &[3]).checkpoint(checkpoint("reader-1", None));
        refused(store, again, "checkpoint_moved").await;
        assert_eq!(found(store, "*").await, [1, 2]);
    }

    pub async fn a_checkpoint_holds_a_cursor_of_many_positions(store: &impl EventStore) {
        many(store).await;
        let first = page(store, Read::forward(Query::All).limit(11)).await.cursor;
        let head = store.head().await.unwrap();
        let to = |expected, to| {
            Append::new().checkpoint(CheckpointMove { name: "reader".into(), expected, to })
        };
        done(store, to(None, first.clone())).await;
        let saved = store.checkpoint("reader").await.unwrap();
        assert_eq!(saved, Some(first.clone()));
        let rest = page(store, Read::forward(Query::All).after(saved.unwrap())).await;
        assert_eq!(numbers(&rest.events), (12..=24).collect::<Vec<_>>());
        done(store, to(Some(first.clone()), head.clone())).await;
        match refused(store, to(Some(first.clone()), first), "checkpoint_moved").await {
            AppendError::Conflict(Conflict::Checkpoint { actual, .. }) => {
                assert_eq!(actual, Some(head));
            }
            other => panic!("{other}"),
        }
    }

    pub async fn a_position_of_many_partitions_is_refused(store: &impl EventStore) {
        many(store).await;
        for query in ["*", "category:a", "type:Counted", "stream:a*"] {
            let query: Query = query.parse().unwrap();
            let (at, forward) = (Point::Position(1), Read::forward(query.clone()));
            unreadable(store, forward.clone().including(at.clone()), CODE).await;
            unreadable(store, forward.excluding(at.clone()), CODE).await;
            unreadable(store, Read::backward(query.clone()).including(at.clone()), CODE).await;
            let from = Start::Excluding(at);
            let subscribed = store.subscribe(Subscribe { from, ..Subscribe::to(query) }).await;
            says(&subscribed.err().unwrap(), CODE);
        }
    }

    pub async fn a_position_is_a_place_in_one_partition(store: &impl EventStore) {
        many(store).await;
        let stream = Query::stream("a-2");
        let events = all(store, "stream:a-2").await;
        assert_eq!(numbers(&events), [2, 10, 18]);
        let at = Point::Position(events[1].position());
        for (read, expected) in [
            (Read::forward(stream.clone()).including(at.clone()), vec![10, 18]),
            (Read::forward(stream.clone()).excluding(at.clone()), vec![18]),
            (Read::backward(stream).excluding(at), vec![2]),
        ] {
            assert_eq!(numbers(&page(store, read).await.events), expected);
        }
        let info = store.stream("a-2").await.unwrap().unwrap();
        let ends = (events[0].position(), events[2].position());
        assert_eq!((info.first_position, info.last_position), ends);
    }

    pub async fn ordinals_over_partitions_are_refused(store: &impl EventStore) {
        many(store).await;
        store.define_index(IndexDefinition::new("as", Query::category("a"))).await.unwrap();
        let read = Read::forward(Query::index("as"));
        unreadable(store, read.clone().including(Point::Ordinal(0)), CODE).await;
        unreadable(store, read.with_ordinals(), CODE).await;
        let ordinal = store.ordinal(Query::index("as"), Start::Outermost).await;
        says(&ordinal.unwrap_err(), CODE);
        let subscribed = store.subscribe(Subscribe::to(Query::index("as")).with_ordinals()).await;
        says(&subscribed.err().unwrap(), CODE);
        refused(store, append("a-1", Expected::Any, &[30]).ordinals_in("as"), CODE).await;
        let category = Read::forward(Query::category("a")).including(Point::Ordinal(0));
        unreadable(store, category, "ordinal_needs_index").await;
    }

    pub async fn ordinals_in_one_partition_are_dense(store: &impl EventStore) {
        many(store).await;
        store.define_index(IndexDefinition::new("one", Query::stream("a-2"))).await.unwrap();
        for query in [Query::stream("a-2"), Query::index("one")] {
            let read = Read::forward(query.clone()).excluding(Point::Ordinal(0)).with_ordinals();
            let events = page(store, read).await.events;
            let ordinals: Vec<_> = events.iter().filter_map(|event| event.ordinal()).collect();
            assert_eq!((numbers(&events), ordinals), (vec![10, 18], vec![1, 2]));
            assert_eq!(store.ordinal(query, Start::Outermost).await.unwrap(), 0);
        }
        let appended = append("a-2", Expected::Any, &[30]).ordinals_in("one");
        let ordinals = done(store, appended).await.ordinals;
        let ordinals: Vec<_> = ordinals.into_iter().map(|at| at.map(|at| at.ordinal)).collect();
        assert_eq!(ordinals, [Some(3)]);
    }

    pub async fn an_index_by_the_store_key_has_ordinals(store: &impl EventStore) {
        many(store).await;
        let partitions = store.head().await.unwrap().positions().len() as u32;
        let by = |name: &str, count, key| {
            IndexDefinition::new(name, Query::category("a")).partitioned(count, key)
        };
        let count = 2 * partitions;
        store.define_index(by("as", count, PartitionKey::StoreKey)).await.unwrap();
        store.define_index(by("other", count, PartitionKey::StreamId)).await.unwrap();
        store.define_index(by("odd", count + 1, PartitionKey::StoreKey)).await.unwrap();
        for name in ["other", "odd"] {
            let read = Read::forward(Query::partition(name, 1)).with_ordinals();
            unreadable(store, read, CODE).await;
            refused(store, append("a-1", Expected::Any, &[99]).ordinals_in(name), CODE).await;
        }
        let mut ends = BTreeMap::<u32, u64>::new();
        for number in 0..count {
            let read = Read::forward(Query::partition("as", number)).with_ordinals();
            let events = page(store, read).await.events;
            let ordinals: Vec<_> = events.iter().filter_map(|event| event.ordinal()).collect();
            assert_eq!(ordinals, (0..events.len() as u64).collect::<Vec<_>>());
            ends.insert(number, events.len() as u64);
        }
        assert_eq!(ends.values().sum::<u64>(), 12);
        // Text in braces puts events of any streams into one partition of both.
        for n in 100..140u128 {
            let stream = format!("a-{n}-{{{}}}", n % 5);
            let appended = append(&stream, Expected::Any, &[n]).event("b-x", event(n + 1_000));
            let over = appended.ordinals_in("as");
            if partition_of("b-x", partitions) != partition_of(&stream, partitions) {
                refused(store, over, CODE).await;
            }
            let appended = append(&stream, Expected::Any, &[n]).ordinals_in("as");
            let place = done(store, appended).await.ordinals[0].unwrap();
            assert_eq!(place.partition % partitions, partition_of(&stream, partitions));
            let end = ends.entry(place.partition).or_default();
            assert_eq!(place.ordinal, *end);
            *end += 1;
            let partition = Query::partition("as", place.partition);
            let read = Read::forward(partition.clone()).including(Point::Ordinal(place.ordinal));
            assert_eq!(numbers(&page(store, read).await.events), [n]);
            let at_end = Start::Including(Point::Ordinal(u64::MAX));
            assert_eq!(store.ordinal(partition.clone(), at_end).await.unwrap(), *end);
            let from = Start::Including(Point::Ordinal(place.ordinal));
            let subscribe = Subscribe { from, ..Subscribe::to(partition) }.with_ordinals();
            let mut subscription = store.subscribe(subscribe).await.unwrap();
            assert_eq!(next(&mut subscription, 1).await, [Some(n)]);
        }
        // A query with more to it is no list, but still lies in one partition.
        let paid = Query::partition("as", 0).and(Query::event_type("Counted"));
        let found = page(store, Read::forward(paid)).await.events;
        assert_eq!(found.len() as u64, ends[&0]);
    }

    pub async fn a_merged_read_resumes_exactly_in_both_directions(store: &impl EventStore) {
        many(store).await;
        for (query, step) in [("*", 1), ("category:a", 2), ("type:Counted not category:b", 2)] {
            let query: Query = query.parse().unwrap();
            let expected: Vec<u128> = (1..=24).filter(|n| n % step == 0).collect();
            let reversed: Vec<_> = expected.iter().rev().copied().collect();
            for limit in [1, 2, 5, 24, 100] {
                let forward = pages(store, Read::forward(query.clone()).limit(limit)).await;
                assert_eq!(forward, expected, "{query}, {limit}");
                let backward = pages(store, Read::backward(query.clone()).limit(limit)).await;
                assert_eq!(backward, reversed, "{query}, {limit}");
            }
        }
        let end = page(store, Read::forward(Query::All)).await.cursor;
        assert_eq!(end, store.head().await.unwrap());
        put(store, "c-5", &[25]).await;
        let more = page(store, Read::forward(Query::All).after(end)).await;
        assert_eq!(numbers(&more.events), [25]);
    }

    pub async fn a_merged_read_keeps_the_order_of_streams(store: &impl EventStore) {
        std::thread::scope(|threads| {
            for stream in 0..6u128 {
                threads.spawn(move || {
                    for n in 0..20 {
                        pollster::block_on(put(store, &format!("a-{stream}"), &[stream * 100 + n]));
                    }
                });
            }
        });
        let (mut next_version, mut last) = (BTreeMap::new(), None);
        for event in all(store, "*").await {
            let next: &mut u64 = next_version.entry(event.stream().to_owned()).or_default();
            assert_eq!(event.version(), *next);
            *next += 1;
            assert!(last <= Some(event.commit_time().micros()), "history is merged by commit time");
            last = Some(event.commit_time().micros());
        }
        assert!(next_version.len() == 6 && next_version.values().all(|next| *next == 20));
    }

    pub async fn cursors_are_partially_ordered(store: &impl EventStore) {
        let Spread { here, there, cursor, .. } = spread(store).await;
        let other = put(store, &there, &[2]).await.cursor;
        assert!(!cursor.covers(&other) && !other.covers(&cursor));
        assert_eq!(cursor.partial_cmp(&other), None);
        assert_eq!(cursor.position(), None);
        let head = store.head().await.unwrap();
        assert!(head > cursor && head > other && other > Cursor::START);
        assert!(put(store, here, &[3]).await.cursor > cursor);
        let read = page(store, Read::forward(Query::All)).await.cursor;
        assert!(read.covers(&head) && !head.covers(&read));
    }

    pub async fn a_read_waits_for_the_partition_of_a_write(store: &impl EventStore) {
        let Spread { there, .. } = spread(store).await;
        for n in 2..=20u128 {
            let stream = if n % 2 == 0 { "a-1" } else { &*there };
            let cursor = put(store, stream, &[n]).await.cursor;
            let read = Read::backward(Query::category("a")).limit(1).at_least(cursor);
            assert_eq!(numbers(&page(store, read).await.events), [n]);
            let head = store.head().await.unwrap();
            let read = Read::backward(Query::stream(stream)).limit(1).at_least(head);
            assert_eq!(numbers(&page(store, read).await.events), [n]);
        }
    }

    pub async fn a_cursor_of_a_backward_page_reads_backward_only(store: &impl EventStore) {
        many(store).await;
        let backward = page(store, Read::backward(Query::All).limit(5)).await.cursor;
        unreadable(store, Read::forward(Query::All).after(backward.clone()), CODE).await;
        unreadable(store, Read::forward(Query::All).at_least(backward.clone()), CODE).await;
        let subscribed = store.subscribe(Subscribe::after(Query::All, backward)).await;
        says(&subscribed.err().unwrap(), CODE);
        // A read can't turn around at a cursor, because each partition has an event there.
        let forward = page(store, Read::forward(Query::All).limit(5)).await.cursor;
        let at = Point::Cursor(forward.clone());
        unreadable(store, Read::forward(Query::All).including(at.clone()), CODE).await;
        unreadable(store, Read::backward(Query::All).excluding(at.clone()), CODE).await;
        // But a reader can read backward from the end of its events.
        let seen = page(store, Read::backward(Query::All).including(at)).await.events;
        assert_eq!(numbers(&seen), [5, 4, 3, 2, 1]);
    }

    pub async fn a_cursor_with_other_partitions_is_foreign(store: &impl EventStore) {
        let Spread { here, cursor, .. } = spread(store).await;
        let mut positions = cursor.positions().to_vec();
        positions.push(1);
        for positions in [&positions[..], &[1]] {
            let cursor = Cursor::at_all(cursor.origin(), positions).unwrap();
            let code = "cursor_foreign";
            unreadable(store, Read::forward(Query::All).after(cursor.clone()), code).await;
            unreadable(store, Read::forward(Query::All).at_least(cursor.clone()), code).await;
            let guarded = append(here, Expected::Any, &[2]);
            refused(store, guarded.none_after(Query::stream(here), cursor), code).await;
        }
    }

    pub async fn a_merged_subscription_resumes_exactly(store: &impl EventStore) {
        many(store).await;
        let mut cursor = Cursor::START;
        for n in 1..=24 {
            let subscribe = Subscribe::after(Query::All, cursor.clone());
            let mut subscription = store.subscribe(subscribe).await.unwrap();
            assert_eq!(next(&mut subscription, 1).await, [Some(n)]);
            assert!(subscription.cursor() > cursor);
            cursor = subscription.cursor().to_string().parse().unwrap();
        }
        assert_eq!(cursor, store.head().await.unwrap());
        let subscribe = Subscribe::after(Query::category("a"), cursor);
        let mut subscription = store.subscribe(subscribe).await.unwrap();
        assert_eq!(next(&mut subscription, 1).await, [None]);
        let mut expected = BTreeSet::new();
        for n in 100..130u128 {
            put(store, &format!("a-{}", n % 8), &[n]).await;
            expected.insert(Some(n));
        }
        let mut heard = BTreeSet::new();
        while heard.len() < expected.len() {
            let one = next(&mut subscription, 1).await[0];
            assert!(one.is_none() || heard.insert(one), "{one:?} came twice");
        }
        assert_eq!(heard, expected);
    }

    pub async fn an_idle_partition_delays_no_delivery(store: &impl EventStore) {
        let Spread { there, here, .. } = spread(store).await;
        let mut subscription = store.subscribe(Subscribe::to(Query::All)).await.unwrap();
        assert_eq!(next(&mut subscription, 2).await, [Some(1), None]);
        for n in 2..=6 {
            put(store, &there, &[n]).await;
            assert_eq!(next(&mut subscription, 1).await, [Some(n)]);
        }
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| pollster::block_on(next(&mut subscription, 1)));
            pollster::block_on(put(store, here, &[7]));
            assert_eq!(waiting.join().unwrap(), [Some(7)]);
        });
    }

    pub async fn an_index_lists_events_of_all_partitions(store: &impl EventStore) {
        many(store).await;
        store.define_index(IndexDefinition::new("as", Query::category("a"))).await.unwrap();
        put(store, "a-1", &[26]).await;
        let expected: Vec<_> = (1..=13).map(|n| n * 2).collect();
        assert_eq!(found(store, "index:as").await, expected);
        let info = store.index("as").await.unwrap().unwrap();
        assert_eq!((info.ready, info.events), (true, 13));
        assert_eq!(store.indexes().await.unwrap(), [info]);
        // The store's own events are shown once, not once for each partition.
        assert_eq!(all(store, "type:$IndexDefined").await.len(), 1);
        store.drop_index("as").await.unwrap();
        unreadable(store, Read::forward(Query::index("as")), "index_unknown").await;
        let again = store.drop_index("as").await.unwrap_err();
        assert_eq!(again.code(), "index_unknown");
    }

    pub async fn streams_of_all_partitions_are_listed_once(store: &impl EventStore) {
        many(store).await;
        for (category, limit, count) in [(None, 0, 8), (None, 3, 8), (Some("a"), 1, 4)] {
            let (mut names, mut after) = (Vec::new(), None);
            loop {
                let category = category.map(str::to_owned);
                let page = store
                    .streams(Streams { category, after, limit, ..Streams::default() })
                    .await
                    .unwrap();
                assert!(limit == 0 || page.streams.len() <= limit);
                names.extend(page.streams.into_iter().map(|stream| stream.name));
                after = Some(page.cursor);
                if !page.more {
                    break;
                }
            }
            let distinct: BTreeSet<_> = names.iter().collect();
            assert_eq!((names.len(), distinct.len()), (count, count), "{names:?}");
        }
    }

    pub async fn retention_holds_in_every_partition(store: &impl EventStore) {
        many(store).await;
        let one = Retention::default().max_count(1);
        let query = Query::category("a");
        let rule = RetentionRule { name: "as".into(), query, retention: one };
        store.set_retention_rule(rule).await.unwrap();
        assert_eq!(found(store, "category:a").await, [18, 20, 22, 24]);
        store.drop_retention_rule("as").await.unwrap();
        assert_eq!(store.retention_rules().await.unwrap(), []);
        for stream in ["b-1", "b-3", "b-5", "b-7"] {
            store.delete_stream(stream, Expected::Exactly(2)).await.unwrap();
        }
        assert_eq!(found(store, "category:b").await, []);
    }
}

pub use promises::*;
