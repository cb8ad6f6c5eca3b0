//! Waiting subscriptions are woken by events that they want.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::faults::support::{open, poll, small};
use leftfold_api::{
    Append, Coded, Delivery, EventStore, NewEvent, Query, Read, Subscribe, Subscription,
};
use leftfold_io::fake::FakeDisk;
use leftfold_store::{Embedded, LiveSubscription, Options};

/// Counts wake-ups.
#[derive(Default)]
struct WakeCounter(AtomicUsize);

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn put(store: &Embedded, stream: &str, event_type: &str) {
    let event = NewEvent::new(event_type, "").tag("type", event_type);
    store.blocking().append(Append::new().event(stream, event)).unwrap();
}

fn caught_up(store: &Embedded, query: &str) -> LiveSubscription {
    let query: Query = query.parse().unwrap();
    let mut subscription = store.blocking().subscribe(Subscribe::to(query)).unwrap();
    while !matches!(subscription.next_blocking().unwrap(), Delivery::CaughtUp(_)) {}
    subscription
}

#[test]
fn only_events_that_a_query_may_match_wake_its_subscription() {
    let disk = FakeDisk::new();
    let store = open(&disk, small()).unwrap();
    pollster::block_on(
        store.define_index(leftfold_api::IndexDefinition::new("bs", Query::event_type("B"))),
    )
    .unwrap();
    for (query, wanted) in [
        ("stream:a-1", ("a-1", "X")),
        ("category:b", ("b-7", "X")),
        ("type:B", ("c-1", "B")),
        ("tag:type=B", ("c-1", "B")),
        ("index:bs", ("c-1", "B")),
        ("category:b or type:B", ("c-1", "B")),
        ("category:c type:B", ("c-1", "B")),
        ("category:c not type:X", ("c-1", "B")),
    ] {
        let mut subscription = caught_up(&store, query);
        let woken = Arc::new(WakeCounter::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        {
            let mut next = pin!(subscription.next());
            assert!(next.as_mut().poll(&mut context).is_pending());
            // Segments are small: many of them are sealed meanwhile.
            for n in 0..200 {
                put(&store, &format!("other-{n}"), "X");
            }
            assert_eq!(
                woken.0.load(Ordering::SeqCst),
                0,
                "{query} is woken by an event that it can't match"
            );
            put(&store, wanted.0, wanted.1);
            assert!(woken.0.load(Ordering::SeqCst) > 0, "{query} is not woken by {wanted:?}");
        }
        let Delivery::Event(event, _) = subscription.next_blocking().unwrap() else {
            panic!("{query}: expected an event, found a caught-up mark")
        };
        assert_eq!((event.stream(), event.event_type()), wanted, "{query}");
    }
}

/// `advance` moves the cursor and loses no event.
#[test]
fn advance_moves_the_cursor_past_events_that_are_not_wanted() {
    let disk = FakeDisk::new();
    let store = open(&disk, small()).unwrap();
    let mut subscription = caught_up(&store, "stream:a-1");
    put(&store, "b-1", "X");
    let before = subscription.cursor();
    pollster::block_on(subscription.advance()).unwrap();
    assert_ne!(subscription.cursor(), before);
    assert_eq!(subscription.cursor(), pollster::block_on(store.head()).unwrap());
    put(&store, "a-1", "X");
    let at = subscription.cursor();
    pollster::block_on(subscription.advance()).unwrap();
    assert_eq!(subscription.cursor(), at, "an undelivered event stays ahead of the cursor");
    assert!(matches!(subscription.next_blocking().unwrap(), Delivery::Event(..)));
    assert_ne!(subscription.cursor(), at);
}

#[test]
fn a_waiting_subscription_ends_when_the_store_is_closed_or_its_index_dropped() {
    let disk = FakeDisk::new();
    let store = open(&disk, small()).unwrap();
    pollster::block_on(
        store.define_index(leftfold_api::IndexDefinition::new("bs", Query::event_type("B"))),
    )
    .unwrap();
    let mut indexed = caught_up(&store, "index:bs");
    let mut waiting = caught_up(&store, "stream:a-1");
    std::thread::scope(|threads| {
        let ended = threads.spawn(move || indexed.next_blocking().unwrap_err());
        pollster::block_on(store.drop_index("bs")).unwrap();
        assert_eq!(ended.join().unwrap().code(), "index_unknown");
        let ended = threads.spawn(move || waiting.next_blocking().unwrap_err());
        drop(store);
        assert_eq!(ended.join().unwrap().code(), "store_closed");
    });
}

/// Every subscriber gets all of its events, at any timing of waits and appends.
#[test]
fn no_wake_up_is_lost() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 400;
    let disk = FakeDisk::new();
    let mut options = Options::default();
    options.log.segment_bytes = 40_000;
    options.log.preallocate = 1024;
    let store = open(&disk, options).unwrap();
    pollster::block_on(
        store.define_index(leftfold_api::IndexDefinition::new("ones", Query::event_type("T1"))),
    )
    .unwrap();
    let missed = AtomicU64::new(0);
    std::thread::scope(|threads| {
        for query in [
            "stream:s-1",
            "category:s",
            "type:T1",
            "type:T1 or stream:s-2",
            "type:T1 category:s",
            "tag:type=T0 not stream:s-3",
            "index:ones",
            "*",
        ] {
            // The last event of each writer matches all of them.
            let query: Query = format!("({query}) or type:End").parse().unwrap();
            let (store, missed) = (&store, &missed);
            threads.spawn(move || {
                let mut live = store.blocking().subscribe(Subscribe::to(query.clone())).unwrap();
                let (mut seen, mut ends) = (Vec::new(), 0);
                while ends < WRITERS {
                    if let Delivery::Event(event, _) = pollster::block_on(live.next()).unwrap() {
                        ends += u64::from(event.event_type() == "End");
                        seen.push(event.position());
                    }
                }
                let read = leftfold_api::Read::forward(query).limit(usize::MAX);
                let all = store.blocking().read(read).unwrap().events;
                let upto = seen.last().copied().unwrap_or(0);
                let all = all.iter().map(|event| event.position()).filter(|at| *at <= upto);
                missed.fetch_add(u64::from(!all.eq(seen)), Ordering::Relaxed);
            });
        }
        for writer in 0..WRITERS {
            let store = &store;
            threads.spawn(move || {
                for n in 0..EACH {
                    put(store, &format!("s-{}", (n + writer) % 5), &format!("T{}", n % 3));
                    if n % 7 == 0 {
                        std::thread::yield_now();
                    }
                }
                put(store, &format!("end-{writer}"), "End");
            });
        }
    });
    assert_eq!(missed.into_inner(), 0);
}

#[test]
fn a_live_event_is_delivered_though_every_reader_thread_waits_for_a_disk() {
    let disk = FakeDisk::new();
    let store = open(&disk, small()).unwrap();
    let append = |stream: &str| {
        let event = NewEvent::new("Put", "data").tag("k", "v");
        store.blocking().append(Append::new().event(stream, event)).unwrap();
    };
    (0..300).for_each(|_| append("old-1"));
    drop(store);
    let store = open(&disk, small()).unwrap();
    store.settle().unwrap();
    let append = |stream: &str| {
        let event = NewEvent::new("Put", "data").tag("k", "v");
        store.blocking().append(Append::new().event(stream, event)).unwrap();
    };
    // The stream's version is in memory from here on.
    append("new-1");
    let subscribe = Subscribe::after(Query::stream("new-1"), store.blocking().head());
    let mut live = pollster::block_on(store.subscribe(subscribe)).unwrap();
    let caught_up = pollster::block_on(live.next()).unwrap();
    assert!(matches!(caught_up, Delivery::CaughtUp(_)));
    let mut next = Box::pin(live.next());
    assert!(poll(&mut next).is_pending());

    let files = disk.reads_of("");
    files.shut();
    let mut cold: Vec<_> =
        (0..4).map(|_| Box::pin(store.read(Read::forward(Query::event_type("Put"))))).collect();
    assert!(cold.iter_mut().all(|read| poll(read).is_pending()));
    append("new-1");
    let delivered = poll(&mut next);
    files.open();
    let Poll::Ready(Ok(Delivery::Event(event, cursor))) = delivered else {
        panic!("the delivery waits for a reader thread")
    };
    assert_eq!((event.stream(), event.version(), &event.data()[..]), ("new-1", 1, &b"data"[..]));
    assert_eq!(cursor, store.blocking().head());
    let page = store.blocking().read(Read::forward(Query::stream("new-1"))).unwrap();
    assert_eq!(page.events[1].record(), event.record());
    assert_eq!(page.events[1].commit_time(), event.commit_time());
    for read in cold {
        assert!(pollster::block_on(read).unwrap().events.len() > 300);
    }
}
