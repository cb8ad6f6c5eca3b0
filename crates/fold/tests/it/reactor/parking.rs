use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use leftfold::react::{Cause, Guarantee, HandlerError, HeldEvent, Parked, Reaction, Why};
use leftfold::{EventStore, Query};

use crate::reactor::support::{World, echo, of, poll_once};

fn parked(world: &World) -> Vec<HeldEvent> {
    pollster::block_on(Parked::of("r", &*world.store).list()).unwrap()
}

/// Returns a handler that fails for the second event of stream `o-1` until `fixed` is set.
fn failing(world: &World, fixed: &Arc<AtomicBool>) -> impl leftfold::react::Handler + use<> {
    let fixed = fixed.clone();
    world.logging(move |cause| match of(cause, "o-1", 1) && !fixed.load(Ordering::SeqCst) {
        true => Err(HandlerError::retry("the till is closed")),
        false => echo(cause),
    })
}

#[test]
fn a_failed_event_is_retried_later_and_only_its_stream_waits() {
    let world = World::new();
    world.append_orders(3, 4);
    let fixed = Arc::new(AtomicBool::new(false));
    let reactor = world.reactor(failing(&world, &fixed));
    let progress = world.catch_up(&reactor);
    assert_eq!((progress.counts.handled, progress.held_lanes), (9, 1));
    assert_eq!(world.echoes()["echo-o-1"], ["0"]);
    // It is not retried before its time, however often the reactor runs.
    world.take_calls();
    world.catch_up(&reactor);
    assert_eq!(world.take_calls(), [""; 0]);
    fixed.store(true, Ordering::SeqCst);
    world.time.advance(Duration::from_secs(10));
    world.catch_up(&reactor);
    assert_eq!(world.take_calls(), ["o-1@1", "o-1@2", "o-1@3"]);
    world.assert_echoed(3, 4);
}

#[test]
fn attempts_survive_restarts_and_the_last_one_parks_with_its_reason() {
    let world = World::new();
    world.append_orders(3, 4);
    let fixed = Arc::new(AtomicBool::new(false));
    for attempts in 1..=3 {
        world.catch_up(&world.reactor(failing(&world, &fixed)));
        let held = pollster::block_on(Parked::of("r", &*world.store).list_held()).unwrap();
        assert_eq!(held[0].attempts, attempts);
        world.time.advance(Duration::from_secs(10));
    }
    let parked = parked(&world);
    assert_eq!(parked.len(), 1);
    let item = &parked[0];
    assert_eq!((item.stream.as_str(), item.version), ("o-1", 1));
    assert_eq!((item.reason.as_str(), &item.why), ("the till is closed", &Why::Parked));
    // It stays parked, and later events of its lane wait.
    world.time.advance(Duration::from_secs(100_000));
    world.take_calls();
    world.append("o-1", "Placed", "4");
    world.append("o-2", "Placed", "4");
    world.catch_up(&world.reactor(failing(&world, &fixed)));
    assert_eq!(world.take_calls(), ["o-2@4"]);
    // An operator can subscribe to parkings.
    assert_eq!(world.read(Query::event_type("leftfold.Parked")).len(), 1);
}

#[test]
fn a_replayed_event_succeeds_and_later_ones_follow_in_order() {
    let world = World::new();
    world.append_orders(3, 4);
    let fixed = Arc::new(AtomicBool::new(false));
    park_event(&world, &fixed);
    fixed.store(true, Ordering::SeqCst);
    pollster::block_on(Parked::of("r", &*world.store).replay(&parked(&world)[0])).unwrap();
    world.take_calls();
    world.catch_up(&world.reactor(failing(&world, &fixed)));
    assert_eq!(world.take_calls(), ["o-1@1", "o-1@2", "o-1@3"]);
    assert_eq!(parked(&world), []);
    world.assert_echoed(3, 4);
}

#[test]
fn a_replayed_event_that_fails_is_parked_again() {
    let world = World::new();
    world.append_orders(3, 4);
    let fixed = Arc::new(AtomicBool::new(false));
    park_event(&world, &fixed);
    let item = parked(&world).remove(0);
    pollster::block_on(Parked::of("r", &*world.store).replay(&item)).unwrap();
    park_event(&world, &fixed);
    assert_eq!(parked(&world)[0].attempts, 3);
    world.take_calls();
    world.catch_up(&world.reactor(failing(&world, &fixed)));
    assert_eq!(world.take_calls(), [""; 0]);
}

#[test]
fn a_skipped_event_is_never_handled_and_later_ones_follow() {
    let world = World::new();
    world.append_orders(3, 4);
    let fixed = Arc::new(AtomicBool::new(false));
    park_event(&world, &fixed);
    pollster::block_on(Parked::of("r", &*world.store).skip(&parked(&world)[0])).unwrap();
    world.take_calls();
    for _ in 0..2 {
        world.catch_up(&world.reactor(failing(&world, &fixed)));
    }
    assert_eq!(world.take_calls(), ["o-1@2", "o-1@3"]);
    assert_eq!(world.echoes()["echo-o-1"], ["0", "2", "3"]);
}

/// The subscription delivers the request to a running reactor.
#[test]
fn a_running_reactor_handles_operators_requests() {
    let world = World::new();
    world.append_orders(3, 4);
    let fixed = Arc::new(AtomicBool::new(false));
    park_event(&world, &fixed);
    fixed.store(true, Ordering::SeqCst);
    let item = parked(&world).remove(0);
    let reactor = world.reactor(failing(&world, &fixed));
    let store = world.store.clone();
    let replayed = async {
        Parked::of("r", &*store).replay(&item).await.unwrap();
        let query = Query::stream("echo-o-1");
        let mut echoes = store.subscribe(leftfold::Subscribe::to(query)).await.unwrap();
        let mut seen = 0;
        while seen < 4 {
            let next = leftfold::Subscription::next(&mut echoes).await.unwrap();
            seen += u64::from(matches!(next, leftfold::Delivery::Event(..)));
        }
    };
    pollster::block_on(reactor.run_until(replayed)).unwrap();
    world.assert_echoed(3, 4);
}

fn park_event(world: &World, fixed: &Arc<AtomicBool>) {
    let reactor = world.reactor(failing(world, fixed));
    for _ in 0..3 {
        world.catch_up(&reactor);
        world.time.advance(Duration::from_secs(10));
    }
    assert_eq!(parked(world).len(), 1);
}

#[test]
fn an_event_whose_handler_panics_is_parked_and_others_continue() {
    let world = World::new();
    world.append_orders(2, 2);
    let handler = world.logging(|cause| match of(cause, "o-0", 0) {
        true => panic!("no such thing"),
        false => echo(cause),
    });
    let reactor = world.reactor(handler);
    for _ in 0..3 {
        world.catch_up(&reactor);
        world.time.advance(Duration::from_secs(10));
    }
    assert_eq!(parked(&world)[0].reason, "the handler panicked: no such thing");
    assert_eq!(world.echoes()["echo-o-1"], ["0", "1"]);
}

#[test]
fn a_setback_without_retry_parks_at_once() {
    let world = World::new();
    world.append_orders(1, 1);
    let handler = world.logging(|_| Err(HandlerError::park("no such product")));
    world.catch_up(&world.reactor(handler));
    assert_eq!((parked(&world)[0].attempts, world.take_calls().len()), (1, 1));
}

#[test]
fn at_most_once_a_failed_effect_is_parked_and_not_repeated() {
    let world = World::new();
    world.append_orders(2, 2);
    let handler = world.logging(|cause| match of(cause, "o-0", 0) {
        true => Err(HandlerError::retry("the mail server hung up")),
        false => echo(cause),
    });
    let reactor = world.reactor(handler).guarantee(Guarantee::AtMostOnce);
    for _ in 0..3 {
        world.catch_up(&reactor);
        world.time.advance(Duration::from_secs(100));
    }
    let call_log = world.take_calls();
    assert_eq!(call_log.iter().filter(|entry| *entry == "o-0@0").count(), 1);
    assert_eq!(call_log.len(), 3);
    assert_eq!(parked(&world)[0].reason, "the mail server hung up");
}

/// The process ends during an effect, so its outcome is unknown and an operator decides.
#[test]
fn at_most_once_an_interrupted_effect_is_parked_and_not_repeated() {
    let world = World::new();
    world.append_orders(1, 2);
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let hanging = move |_: Cause| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            Ok::<_, HandlerError>(Reaction::none())
        }
    };
    let reactor = world.reactor(hanging).guarantee(Guarantee::AtMostOnce);
    pollster::block_on(async {
        let mut run = std::pin::pin!(reactor.catch_up());
        while calls.load(Ordering::SeqCst) == 0 {
            assert!(!poll_once(&mut run).await);
            std::thread::yield_now();
        }
    });
    world.catch_up(&reactor);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(parked(&world)[0].reason.contains("interrupted"), "{:?}", parked(&world));
    pollster::block_on(Parked::of("r", &*world.store).replay(&parked(&world)[0])).unwrap();
    world.catch_up(&reactor);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}
