use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use leftfold::react::{Cause, HandlerError, Lanes, Parked, Reaction, ReactorLimits};
use leftfold::{Append, NewEvent, Query};

use crate::reactor::support::{World, echo};

#[test]
fn each_event_is_handled_once_and_in_the_order_of_its_stream() {
    let world = World::new();
    world.append_orders(7, 30);
    let progress = world.catch_up(&world.reactor(world.logging(echo)));
    assert_eq!(progress.counts.handled, 210);
    world.assert_echoed(7, 30);
    let call_log = world.take_calls();
    for stream in 0..7 {
        let own: Vec<_> =
            call_log.iter().filter(|entry| entry.starts_with(&format!("o-{stream}@"))).collect();
        let expected: Vec<_> = (0..30).map(|n| format!("o-{stream}@{n}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn results_name_their_cause_and_have_stable_ids() {
    let world = World::new();
    world.append("o-1", "Placed", "1");
    world.catch_up(&world.reactor(echo_async));
    let cause = &world.read(Query::stream("o-1"))[0];
    let echoed = &world.read(Query::event_type("Echoed"))[0];
    assert_eq!(echoed.causation(), Some(cause.id().to_string().as_str()));
    let again = World::new();
    let event = NewEvent::json("Placed", "1").id(cause.id());
    again.store.blocking().append(Append::new().event("o-1", event)).unwrap();
    again.catch_up(&again.reactor(echo_async));
    assert_eq!(again.read(Query::event_type("Echoed"))[0].id(), echoed.id());
}

async fn echo_async(cause: Cause) -> Result<Reaction, HandlerError> {
    echo(&cause)
}

/// Lanes run concurrently: as many handlers as allowed run before the first has ended.
#[test]
fn lanes_run_concurrently_within_the_limit() {
    let world = World::new();
    world.append_orders(20, 2);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (now.clone(), most.clone());
    let handler = move |_: Cause| {
        let (now, most) = counted.clone();
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..50 {
                yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, HandlerError>(())
        }
    };
    let mut limits = ReactorLimits::default();
    limits.in_flight = 5;
    world.catch_up(&world.reactor(handler).limits(limits));
    assert_eq!(most.load(Ordering::SeqCst), 5);
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// A lane may have one event in memory: all others are read when their turn comes.
#[test]
fn a_lane_that_falls_behind_keeps_its_order_and_loses_nothing() {
    let world = World::new();
    world.append_orders(3, 40);
    let mut limits = ReactorLimits::default();
    (limits.queued_per_lane, limits.queued, limits.in_flight) = (1, 4, 2);
    let progress = world.catch_up(&world.reactor(echo_async).limits(limits));
    world.assert_echoed(3, 40);
    assert_eq!((progress.counts.handled, progress.held_lanes), (120, 0));
}

#[test]
fn the_smallest_limits_lose_nothing() {
    let world = World::new();
    world.append_orders(3, 5);
    let mut limits = ReactorLimits::default();
    (limits.in_flight, limits.queued, limits.queued_per_lane) = (0, 0, 0);
    (limits.window, limits.batch, limits.queued_bytes) = (0, 0, 0);
    world.catch_up(&world.reactor(echo_async).limits(limits));
    world.assert_echoed(3, 5);
}

#[test]
fn lanes_can_be_the_values_of_a_tag() {
    let world = World::new();
    for n in 0..40 {
        let event = NewEvent::json("Placed", n.to_string());
        let event = if n % 4 == 3 { event } else { event.tag("customer", (n % 4).to_string()) };
        let append = Append::new().event(format!("o-{}", n % 10), event);
        world.store.blocking().append(append).unwrap();
    }
    let by_customer = |cause: &Cause| {
        let customer = cause.event.tags().next().map_or("none", |tag| tag.1).to_owned();
        let event = NewEvent::json("Echoed", cause.event.data());
        Ok(Reaction::none().event(format!("echo-{customer}"), event))
    };
    let mut limits = ReactorLimits::default();
    limits.queued_per_lane = 2;
    let reactor = world.reactor(world.logging(by_customer)).limits(limits);
    world.catch_up(&reactor.lanes(Lanes::ByTag("customer".to_owned())));
    let expected = |of: i32| -> Vec<String> {
        (0..40).filter(|n| n % 4 == of).map(|n: i32| n.to_string()).collect()
    };
    let echoes = world.echoes();
    for customer in 0..3 {
        assert_eq!(echoes[&format!("echo-{customer}")], expected(customer));
    }
    assert_eq!(echoes["echo-none"].len(), 10);
}

/// An event that is parked holds back no other, and is handled alone once it is retried.
#[test]
fn each_event_can_be_a_lane() {
    let world = World::new();
    world.append_orders(3, 5);
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = is_mended.clone();
    let handler = world.logging(move |cause| {
        match cause.event.version() == 1 && !mended.load(Ordering::SeqCst) {
            true => Err(HandlerError::park("not yet")),
            false => echo(cause),
        }
    });
    let reactor = world.reactor(handler).lanes(Lanes::ByEvent);
    assert_eq!(world.catch_up(&reactor).held_lanes, 3);
    assert_eq!(world.take_calls().len(), 15);
    is_mended.store(true, Ordering::SeqCst);
    let parked = Parked::of("r", &*world.store);
    assert_eq!(pollster::block_on(parked.replay_all()).unwrap(), 3);
    assert_eq!(world.catch_up(&reactor).held_lanes, 0);
    let mut again = world.take_calls();
    again.sort();
    assert_eq!(again, ["o-0@1", "o-1@1", "o-2@1"]);
    assert_eq!(world.echoes().values().map(Vec::len).sum::<usize>(), 15);
}
