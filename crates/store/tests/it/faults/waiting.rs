//! Which calls wait for a sync or a disk, and which do not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::faults::support::{append, event, manual, open, poll, small};
use leftfold_api::{
    Append, AppendError, Coded, Conflict, Cursor, EventStore, Expected, NewEvent, Page, Query,
    Read, Recorded, Subscribe,
};
use leftfold_io::fake::FakeDisk;
use leftfold_store::{Compression, Durability, Embedded, Options};

/// The writer is blocked in an fsync, and other calls depend on its outcome.
#[test]
fn no_answer_depends_on_an_append_before_its_sync() {
    let disk = FakeDisk::new();
    let (store, mut manual) = manual(&disk, Options::default()).unwrap();
    let mut winner = Box::pin(store.append(append("cart-1", Expected::NoStream, 1)));
    let mut loser = Box::pin(store.append(append("cart-1", Expected::NoStream, 2)));
    let mut same = Box::pin(store.append(append("cart-1", Expected::NoStream, 1)));
    let unseen =
        append("other", Expected::Any, 3).none_after(Query::category("cart"), Cursor::START);
    let mut guarded = Box::pin(store.append(unseen));
    assert!(poll(&mut winner).is_pending() && poll(&mut loser).is_pending());
    assert!(poll(&mut same).is_pending() && poll(&mut guarded).is_pending());
    disk.syncs().shut();
    std::thread::scope(|threads| {
        let writing = threads.spawn(|| manual.write());
        disk.syncs().wait_until_blocked();
        assert!(poll(&mut winner).is_pending() && poll(&mut loser).is_pending());
        assert!(poll(&mut same).is_pending() && poll(&mut guarded).is_pending());
        assert!(store.blocking().read(Read::forward(Query::All)).unwrap().events.is_empty());
        assert_eq!(store.blocking().stream("cart-1").unwrap(), None);
        disk.syncs().open();
        assert!(writing.join().unwrap());
    });
    assert!(matches!(poll(&mut winner), Poll::Ready(Ok(appended)) if !appended.repeated));
    let Poll::Ready(Err(AppendError::Conflict(Conflict::Version { actual, .. }))) =
        poll(&mut loser)
    else {
        panic!("the loser must get a conflict with the winner");
    };
    assert_eq!(actual, Some(0));
    assert!(matches!(poll(&mut same), Poll::Ready(Ok(appended)) if appended.repeated));
    assert!(matches!(poll(&mut guarded), Poll::Ready(Err(AppendError::Conflict(_)))));
}

/// In relaxed mode only the acknowledgement comes before the sync.
#[test]
fn a_relaxed_store_only_acknowledges_before_the_sync() {
    let disk = FakeDisk::new();
    let mut options = Options::default();
    options.log.durability = Durability::Relaxed(Duration::from_secs(3600));
    let (store, mut manual) = manual(&disk, options).unwrap();
    let mut subscription = store.blocking().subscribe(Subscribe::to(Query::All)).unwrap();
    subscription.try_next().unwrap();
    let mut first = Box::pin(store.append(append("cart-1", Expected::NoStream, 1)));
    assert!(poll(&mut first).is_pending());
    manual.write();
    let Poll::Ready(Ok(acknowledged)) = poll(&mut first) else { panic!("not acknowledged") };

    assert!(store.blocking().read(Read::forward(Query::All)).unwrap().events.is_empty());
    assert!(subscription.try_next().unwrap().is_none());
    let mut loser = Box::pin(store.append(append("cart-1", Expected::NoStream, 2)));
    let mut same = Box::pin(store.append(append("cart-1", Expected::NoStream, 1)));
    let mut own = Box::pin(store.read(Read::forward(Query::All).at_least(acknowledged.cursor)));
    assert!(poll(&mut loser).is_pending() && poll(&mut same).is_pending());
    assert!(poll(&mut own).is_pending());
    manual.write();
    manual.rest();
    assert!(matches!(poll(&mut loser), Poll::Ready(Err(AppendError::Conflict(_)))));
    let Poll::Ready(Ok(repeated)) = poll(&mut same) else { panic!("not repeated") };
    assert_eq!((repeated.positions, repeated.repeated), (acknowledged.positions, true));
    assert_eq!(pollster::block_on(own).unwrap().events.len(), 1);
    assert!(subscription.try_next().unwrap().is_some());
}

/// Others may append without a pause: then no moment comes in which the writer has nothing to do.
#[test]
fn in_a_relaxed_store_a_read_of_ones_own_append_waits_for_no_sync_in_turn() {
    let disk = FakeDisk::new();
    let mut options = Options::default();
    options.log.durability = Durability::Relaxed(Duration::from_secs(3600));
    let (store, mut manual) = manual(&disk, options).unwrap();
    let mut write = |n| {
        let mut appending = Box::pin(store.append(append("cart-1", Expected::Any, n)));
        assert!(poll(&mut appending).is_pending());
        manual.write();
        match poll(&mut appending) {
            Poll::Ready(Ok(appended)) => appended.cursor,
            other => panic!("{other:?}"),
        }
    };
    let acknowledged = write(1);
    let own = Read::forward(Query::stream("cart-1")).at_least(acknowledged);
    let mut own = Box::pin(store.read(own));
    assert!(poll(&mut own).is_pending());
    write(2);
    // Without a sync it would wait for ever.
    let page = pollster::block_on(own).unwrap();
    assert_eq!(page.events.len(), 2);
}

/// A condition has to read a million events from the disk. While it is blocked in its first read, other
/// appends succeed.
#[test]
fn a_broad_condition_over_a_million_events_delays_no_other_append() {
    let disk = FakeDisk::new();
    let mut options = Options::default();
    options.log.segment_bytes = 16 << 20;
    let store = open(&disk, options.clone()).unwrap();
    for _ in 0..100 {
        let many = (0..10_000)
            .fold(Append::new(), |append, _| append.event("bulk-1", NewEvent::new("Bulk", "")));
        store.blocking().append(many).unwrap();
    }
    drop(store);
    let store = open(&disk, options).unwrap();
    let reads = disk.reads_of(".seg");
    reads.shut();
    let nothing_but_bulk: Query = "not type:Bu*".parse().unwrap();
    let guarded = || {
        append("guarded", Expected::NoStream, 1).none_after(nothing_but_bulk.clone(), Cursor::START)
    };
    std::thread::scope(|threads| {
        let checking = threads.spawn(|| store.blocking().append(guarded()));
        reads.wait_until_blocked();
        for n in 2..1_002 {
            store.blocking().append(append("Busy", Expected::Any, n)).unwrap();
        }
        assert!(!checking.is_finished(), "the condition still waits for its first block");
        reads.open();
        match checking.join().unwrap() {
            Err(AppendError::Conflict(Conflict::Query { position, .. })) => {
                assert_eq!(position, 1_000_001, "the match was appended in the meantime");
            }
            other => panic!("{other:?}"),
        }
    });
}

/// Many broad conditions take turns with all else, and end with their caller.
#[test]
fn many_broad_conditions_delay_no_other_append_and_have_a_limit() {
    let disk = FakeDisk::new();
    let mut options = Options::default();
    options.limits.condition_events = 3_000_000;
    let store = open(&disk, options).unwrap();
    for _ in 0..2 {
        let many = (0..10_000)
            .fold(Append::new(), |append, _| append.event("bulk-1", NewEvent::new("Bulk", "")));
        store.blocking().append(many).unwrap();
    }
    let broad = |n: u128| {
        let condition = |n: u64| format!("not type:Bu* not type:C* not tag:z={n}").parse().unwrap();
        let append = append("guarded", Expected::Any, n);
        (0..1_500).fold(append, |append, n| append.none_after(condition(n), Cursor::START))
    };
    let mut left = Box::pin(store.append(broad(9)));
    assert!(crate::faults::support::poll(&mut left).is_pending(), "one turn on this thread");
    std::thread::scope(|threads| {
        let checking: Vec<_> = [1, 2]
            .map(|n| (n, &store))
            .into_iter()
            .map(|(n, store)| threads.spawn(move || store.blocking().append(broad(n))))
            .collect();
        for n in 10..110 {
            store.blocking().append(append("Busy", Expected::Any, n)).unwrap();
        }
        let reads = store.blocking().read(Read::forward(Query::stream("Busy"))).unwrap();
        assert_eq!(reads.events.len(), 100);
        for checking in checking {
            let error = checking.join().unwrap().unwrap_err();
            assert_eq!(leftfold_api::Coded::code(&error), "condition_too_broad");
        }
    });
    drop(left);
}

/// An expectation needs a look-up in a file. While that is blocked, other appends succeed.
#[test]
fn a_cold_look_up_delays_no_other_append() {
    let disk = FakeDisk::new();
    let store = open(&disk, crate::faults::support::small()).unwrap();
    for n in 0..100 {
        let stream = format!("cold-{n}");
        store.blocking().append(append(&stream, Expected::NoStream, n)).unwrap();
    }
    drop(store);
    crate::faults::support::settle(&disk, crate::faults::support::small());
    let options = Options { index_cache_bytes: 0, ..crate::faults::support::small() };
    let store = open(&disk, options).unwrap();
    let reads = disk.reads_of(".idx");
    reads.shut();
    std::thread::scope(|threads| {
        let cold =
            threads.spawn(|| store.blocking().append(append("cold-3", Expected::Exactly(0), 500)));
        reads.wait_until_blocked();
        let before = disk.counts().syncs;
        // A stream of the open segment needs no file.
        let hot = store.blocking().append(append("cold-99", Expected::Exactly(0), 501)).unwrap();
        assert_eq!(hot.streams[0].first, 1);
        assert!(disk.counts().syncs > before && !cold.is_finished());
        reads.open();
        assert_eq!(cold.join().unwrap().unwrap().streams[0].first, 1);
    });
}

#[test]
fn exactly_one_of_64_concurrent_writers_wins_each_version() {
    const TASKS: u64 = 64;
    const WINS: u64 = 5;
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    let conflicts = AtomicU64::new(0);
    std::thread::scope(|threads| {
        for task in 0..TASKS {
            let (store, conflicts) = (&store, &conflicts);
            threads.spawn(move || {
                let mut wins = 0;
                let mut expected = Expected::NoStream;
                while wins < WINS {
                    let id = u128::from(task) << 64 | u128::from(wins);
                    match pollster::block_on(store.append(append("cart-1", expected, id))) {
                        Ok(appended) => {
                            assert!(!appended.repeated);
                            wins += 1;
                            expected = Expected::Exactly(appended.streams[0].last);
                        }
                        Err(AppendError::Conflict(Conflict::Version { actual, .. })) => {
                            conflicts.fetch_add(1, Ordering::Relaxed);
                            expected = actual.map_or(Expected::NoStream, Expected::Exactly);
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    let events = store.blocking().read(Read::forward(Query::stream("cart-1"))).unwrap().events;
    assert_eq!(events.len() as u64, TASKS * WINS);
    assert!(events.iter().zip(0..).all(|(event, version)| event.version() == version));
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event.id()).collect();
    assert_eq!(ids.len() as u64, TASKS * WINS, "no event is lost or repeated");
    assert!(conflicts.load(Ordering::Relaxed) > 0);
}

/// A subscriber holds at most a page of 256 events, and still gets every event.
#[test]
fn a_slow_subscriber_falls_back_to_history() {
    let disk = FakeDisk::new();
    let store = open(&disk, crate::faults::support::small()).unwrap();
    let mut subscription = store.blocking().subscribe(Subscribe::to(Query::category("a"))).unwrap();
    for n in 0..2_000 {
        store.blocking().append(Append::new().event("a-1", event(n))).unwrap();
    }
    let (mut events, mut caught_up) = (0u128, 0);
    while let Some(delivery) = subscription.try_next().unwrap() {
        match delivery {
            leftfold_api::Delivery::Event(event, _) => {
                assert_eq!(event.id().as_u128(), events);
                events += 1;
            }
            leftfold_api::Delivery::CaughtUp(_) => caught_up += 1,
        }
    }
    assert_eq!((events, caught_up), (2_000, 2), "caught up, fallen behind, caught up again");
}

/// A caller with an early acknowledgement can expect that version, although it is not durable yet.
#[test]
fn a_relaxed_store_accepts_expectations_of_acknowledged_appends() {
    let disk = FakeDisk::new();
    let mut options = Options::default();
    options.log.durability = Durability::Relaxed(Duration::from_secs(3600));
    let (store, mut manual) = manual(&disk, options).unwrap();
    let mut first = Box::pin(store.append(append("cart-1", Expected::NoStream, 1)));
    assert!(poll(&mut first).is_pending());
    manual.write();
    let Poll::Ready(Ok(first)) = poll(&mut first) else { panic!("not acknowledged") };
    let mut second = Box::pin(store.append(append("cart-1", Expected::Exactly(0), 2)));
    let mut subscription =
        store.blocking().subscribe(Subscribe::after(Query::All, first.cursor)).unwrap();
    assert!(poll(&mut second).is_pending(), "the append waits for the sync and is not refused");
    manual.rest();
    assert!(poll(&mut second).is_pending());
    manual.write();
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(_))));
    manual.rest();
    let mut delivered = Vec::new();
    while let Some(delivery) = subscription.try_next().unwrap() {
        if let leftfold_api::Delivery::Event(event, _) = delivery {
            delivered.push(event.id().as_u128());
        }
    }
    assert_eq!(delivered, [2], "events before the cursor are not delivered again");
}

/// A read of a few events in memory is answered at once. Other reads wait on a reader thread, and return
/// the same events.
#[test]
fn a_short_read_from_memory_waits_for_no_thread() {
    let disk = FakeDisk::new();
    let mut options = small();
    options.log.segment_bytes = 20_000;
    let store = open(&disk, options.clone()).unwrap();
    for n in 0..300 {
        let both = Append::new().event("a-1", event(n)).event(format!("b-{}", n % 7), event(n));
        store.blocking().append(both).unwrap();
    }
    drop(store);
    let store = open(&disk, options).unwrap();
    // A segment that is compressed later is another file, whose blocks are not in memory.
    store.settle().unwrap();
    let files = disk.reads_of("");
    let positions =
        |page: &Page| -> Vec<u64> { page.events.iter().map(Recorded::position).collect() };
    let read = |stream: &str, limit| {
        Box::pin(store.read(Read::forward(Query::stream(stream)).limit(limit)))
    };
    for (stream, count) in [("a-1", 100), ("b-3", 43)] {
        files.shut();
        let mut cold = read(stream, 100);
        assert!(poll(&mut cold).is_pending());
        files.open();
        let cold = pollster::block_on(cold).unwrap();
        assert_eq!(cold.events.len(), count);
        files.shut();
        let Poll::Ready(Ok(hot)) = poll(&mut read(stream, 100)) else {
            panic!("{stream} is in memory")
        };
        assert_eq!((positions(&hot), hot.cursor), (positions(&cold), cold.cursor));
        assert_eq!(hot.more, cold.more);
        files.open();
    }
    // A caller that has its thread to itself reads a short page there, and a long one elsewhere.
    let here = |stream: &str, limit| {
        Box::pin(store.read_here(Read::forward(Query::stream(stream)).limit(limit)))
    };
    let before = disk.counts().reads;
    let Poll::Ready(Ok(page)) = poll(&mut here("b-5", 100)) else {
        panic!("the caller's thread reads the files")
    };
    assert!(page.events.len() == 43 && disk.counts().reads > before);
    files.shut();
    assert!(poll(&mut here("a-1", 1_000)).is_pending());
    files.open();
    let whole = pollster::block_on(read("a-1", 1_000)).unwrap();
    assert_eq!((whole.events.len(), whole.more), (300, false));
    let again = pollster::block_on(read("a-1", 1_000)).unwrap();
    assert_eq!((positions(&again), &again.cursor), (positions(&whole), &whole.cursor));
    // From memory it reads a longer one there, too.
    files.shut();
    let Poll::Ready(Ok(page)) = poll(&mut here("a-1", 1_000)) else {
        panic!("the caller's thread reads memory")
    };
    assert_eq!(
        (positions(&page), page.cursor, page.more),
        (positions(&whole), whole.cursor, false)
    );
    files.open();
    let nothing = pollster::block_on(read("c-1", 0)).unwrap_err();
    assert_eq!(nothing.code(), "limit_invalid");
}

/// Blocks begin anywhere in a stream, also with its last event.
#[test]
fn a_stream_that_was_read_is_in_memory_as_a_whole() {
    for (compression, segment_bytes) in
        [(Compression::Off, 1 << 20), (Compression::Off, 60_000), (Compression::Fast, 60_000)]
    {
        let disk = FakeDisk::new();
        let mut options = Options { compression, ..small() };
        options.log.segment_bytes = segment_bytes;
        let store = open(&disk, options.clone()).unwrap();
        for stream in 0..60 {
            let append = (0..stream % 30 + 1).fold(Append::new(), |append, n| {
                append.event(format!("a-{stream}"), NewEvent::new("T", vec![n; 300]))
            });
            store.blocking().append(append).unwrap();
        }
        store.settle().unwrap();
        drop(store);
        let store = open(&disk, options).unwrap();
        for stream in 0..60 {
            let read = Read::forward(Query::stream(format!("a-{stream}")));
            let first = store.blocking().read(read.clone()).unwrap();
            let before = disk.counts().reads;
            let again = store.blocking().read(read).unwrap();
            assert_eq!(again.events.len(), first.events.len());
            // The block that is being written is never kept.
            let reads = disk.counts().reads - before;
            assert!(reads <= u64::from(stream == 59), "a-{stream}: {reads} reads");
        }
    }
}

#[test]
fn blocks_of_scattered_events_are_announced_to_the_disk_before_they_are_read() {
    for (compression, segment_bytes) in
        [(Compression::Off, 1 << 30), (Compression::Off, 200_000), (Compression::Fast, 200_000)]
    {
        let disk = FakeDisk::new();
        let mut options = small();
        options.log.segment_bytes = segment_bytes;
        options.compression = compression;
        let store = open(&disk, options.clone()).unwrap();
        for n in 0..50 {
            let beside = NewEvent::new("T", vec![b'x'; 40_000]);
            let append = Append::new().event("a-1", event(n)).event("b-1", beside);
            store.blocking().append(append).unwrap();
        }
        store.settle().unwrap();
        drop(store);
        let store = open(&disk, options).unwrap();
        let read = |limit, backward| {
            let query = Query::stream("a-1");
            let read = if backward { Read::backward(query) } else { Read::forward(query) };
            let before = disk.counts();
            let page = store.blocking().read(read.limit(limit)).unwrap();
            let after = disk.counts();
            assert_eq!(page.events.len(), limit);
            [
                after.announced - before.announced,
                after.announced_reads - before.announced_reads,
                after.reads - before.reads,
            ]
        };
        // A read of one event announces no further block.
        assert_eq!(read(1, false)[0], 0);
        let [announced, announced_reads, reads] = read(50, true);
        assert!(announced > 0 && announced <= 50, "{announced}");
        // The first and the last event were read before, or are in the block that is written.
        assert!(announced_reads >= 48 && reads >= announced_reads, "{announced_reads} {reads}");
        assert_eq!(read(50, false), [0, 0, 0]);
    }
}
