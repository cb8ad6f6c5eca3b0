//! The hand-overs between threads: callers, the writer, maintenance, subscriptions and readers run at the
//! same time, and a checker compares what each of them saw with what was acknowledged.
//!
//! The simulation runs one thread at a time, so it can't see these races.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use leftfold_api::{
    Append, Delivery, EventStore, IndexDefinition, NewEvent, PartitionKey, Query, Read, Subscribe,
};
use leftfold_store::{Embedded, Options};

const WRITERS: u64 = 4;

/// Small segments, so that rolling, sealing, compressing and merging go on all the time.
fn busy_store() -> (tempfile::TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.log.segment_bytes = 64 << 10;
    options.log.preallocate = 16 << 10;
    let store = Embedded::open(dir.path(), options).unwrap();
    (dir, store)
}

/// Appends from several threads until told to stop. Each event is found at once by all who look for it.
/// Returns the number of appended events.
fn write_until(store: &Embedded, stop: &AtomicBool, writer: u64, appended: &AtomicU64) {
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let stream = format!("s-{writer}-{}", number % 7);
        let event = |n: u64| NewEvent::new("A", vec![b'x'; 50]).tag("n", n.to_string());
        let append = Append::new().event(&stream, event(number)).event(&stream, event(number + 1));
        let done = store.blocking().append(append).unwrap();
        let (first, last) = done.positions.unwrap();
        assert_eq!(last, first + 1);
        let newest = Read::backward(Query::stream(&stream)).limit(1);
        let found = store.blocking().read(newest).unwrap().events;
        assert_eq!(found[0].position(), last, "an acknowledged event is not found");
        appended.fetch_add(2, Ordering::AcqRel);
        number += 2;
    }
}

fn all(store: &Embedded, query: &Query) -> Vec<u64> {
    let (mut found, mut read) = (Vec::new(), Read::forward(query.clone()));
    loop {
        let page = store.blocking().read(read).unwrap();
        found.extend(
            page.events.iter().filter(|e| !e.stream().starts_with('$')).map(|e| e.position()),
        );
        if !page.more {
            return found;
        }
        read = Read::forward(query.clone()).after(page.cursor);
    }
}

#[test]
fn an_index_that_is_defined_while_appends_run_lacks_nothing() {
    let (_dir, store) = busy_store();
    let (stop, appended) = (AtomicBool::new(false), AtomicU64::new(0));
    let queries = ["not type:Z", "type:A", "category:s tag:n=14", "not type:Z not tag:n=3"];
    std::thread::scope(|threads| {
        for writer in 0..WRITERS {
            let (store, stop, appended) = (&store, &stop, &appended);
            threads.spawn(move || write_until(store, stop, writer, appended));
        }
        for n in 0..40_usize {
            // Wait for appends, not for a time.
            let seen = appended.load(Ordering::Acquire);
            while appended.load(Ordering::Acquire) < seen + 40 {
                std::thread::yield_now();
            }
            let query: Query = queries[n % queries.len()].parse().unwrap();
            let definition = IndexDefinition::new(format!("i{n}"), query);
            let definition = match n % 3 {
                0 => definition.partitioned(4, PartitionKey::Stream),
                _ => definition,
            };
            pollster::block_on(store.define_index(definition)).unwrap();
            if n % 5 == 4 {
                pollster::block_on(store.drop_index(&format!("i{}", n - 2))).unwrap();
            }
        }
        stop.store(true, Ordering::Release);
    });
    let indexes = pollster::block_on(store.indexes()).unwrap();
    assert_eq!(indexes.len(), 32);
    for info in indexes {
        let expected = all(&store, &info.query);
        let found = all(&store, &Query::index(&info.name));
        let missing: Vec<_> = BTreeSet::from_iter(&expected)
            .difference(&BTreeSet::from_iter(&found))
            .take(5)
            .copied()
            .collect();
        assert_eq!(found, expected, "{} lacks {missing:?}", info.name);
        if info.partitioning.is_some() {
            let part = |n| all(&store, &Query::partition(&info.name, n));
            let mut parts: Vec<_> = (0..4).flat_map(part).collect();
            parts.sort_unstable();
            assert_eq!(parts, expected, "the partitions of {}", info.name);
        }
    }
    store.settle().unwrap();
    let verified = store.verify(|_, _| ());
    assert_eq!(verified.problem_count, 0, "{:?}", verified.problems);
}

#[test]
fn subscriptions_that_begin_and_follow_while_appends_run_miss_and_repeat_nothing() {
    let (_dir, store) = busy_store();
    let (stop, appended) = (AtomicBool::new(false), AtomicU64::new(0));
    let queries = ["category:s", "type:A tag:n=14", "stream:s-1-3", "not type:Z not stream:$*"];
    let seen = std::thread::scope(|threads| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, stop, appended) = (&store, &stop, &appended);
                threads.spawn(move || write_until(store, stop, writer, appended))
            })
            .collect();
        let followers: Vec<_> = (0..12_usize)
            .map(|n| {
                while appended.load(Ordering::Acquire) < 200 * n as u64 {
                    std::thread::yield_now();
                }
                let query: Query = queries[n % queries.len()].parse().unwrap();
                let store = &store;
                threads.spawn(move || {
                    let subscribe = Subscribe::to(query.clone());
                    let mut following = store.blocking().subscribe(subscribe).unwrap();
                    let mut found = Vec::new();
                    // Each one is cut and resumed a few times.
                    let mut left = 300 * (1 + n % 3);
                    loop {
                        let Delivery::Event(event, cursor) = following.next_blocking().unwrap()
                        else {
                            continue;
                        };
                        found.push(event.position());
                        if event.data() == "end" {
                            return (query, found);
                        }
                        left -= 1;
                        if left == 0 {
                            left = 300;
                            let resumed = Subscribe::after(query.clone(), cursor);
                            following = store.blocking().subscribe(resumed).unwrap();
                        }
                    }
                })
            })
            .collect();
        while appended.load(Ordering::Acquire) < 6_000 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Release);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        // Every follower waits for this one.
        let end = NewEvent::new("A", "end").tag("n", "14");
        store.blocking().append(Append::new().event("s-1-3", end)).unwrap();
        followers.into_iter().map(|follower| follower.join().unwrap()).collect::<Vec<_>>()
    });
    for (query, found) in seen {
        let expected = all(&store, &query);
        assert_eq!(found, expected, "{query}");
    }
}
