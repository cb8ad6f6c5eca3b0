//! A crash at every step: the future is dropped after a number of polls. Work in progress is lost;
//! the store's content stays.

use std::collections::BTreeMap;

use leftfold::Query;
use leftfold::react::{Cause, Guarantee, HandlerError, Parked, ReactorLimits};

use crate::reactor::support::{World, echo, of, poll_once};

/// Polls up to `times` times; returns whether the future has ended.
fn poll_up_to<T>(run: &mut std::pin::Pin<&mut impl Future<Output = T>>, times: u32) -> bool {
    (0..times).any(|_| {
        let ended = pollster::block_on(async { poll_once(run).await });
        std::thread::yield_now();
        ended
    })
}

fn limits() -> ReactorLimits {
    let mut limits = ReactorLimits::default();
    (limits.in_flight, limits.queued_per_lane, limits.batch) = (3, 2, 2);
    limits
}

/// Counts how often each event's handler was called.
fn calls(world: &World) -> BTreeMap<String, u32> {
    let mut calls = BTreeMap::new();
    for entry in world.take_calls() {
        *calls.entry(entry).or_default() += 1;
    }
    calls
}

#[test]
fn a_crash_at_any_step_repeats_no_result_and_few_effects() {
    for step in 0..120 {
        let world = World::new();
        world.append_orders(4, 4);
        let handler = || {
            world.logging(|cause: &Cause| match of(cause, "o-1", 1) && cause.attempt == 1 {
                true => Err(HandlerError::retry("once")),
                false => echo(cause),
            })
        };
        {
            let reactor = world.reactor(handler()).limits(limits());
            let mut run = std::pin::pin!(reactor.catch_up());
            poll_up_to(&mut run, step);
        }
        for _ in 0..3 {
            world.catch_up(&world.reactor(handler()).limits(limits()));
            world.time.advance(std::time::Duration::from_secs(10));
        }
        world.assert_echoed(4, 4);
        // Effects that had ended but were not durable, and running ones: at most two appends'
        // worth.
        let repeated: u32 = calls(&world).values().map(|calls| calls - 1).sum();
        assert!(repeated <= 3 + 2 * 2 + 1, "step {step}: {repeated} effects were repeated");
    }
}

#[test]
fn at_most_once_a_crash_at_any_step_repeats_no_effect_and_drops_none() {
    for step in 0..120 {
        let world = World::new();
        world.append_orders(4, 4);
        let reactor = || {
            let reactor = world.reactor(world.logging(echo)).limits(limits());
            reactor.guarantee(Guarantee::AtMostOnce)
        };
        {
            let reactor = reactor();
            let mut run = std::pin::pin!(reactor.catch_up());
            poll_up_to(&mut run, step);
        }
        world.catch_up(&reactor());
        let parked = pollster::block_on(Parked::of("r", &*world.store).list()).unwrap();
        let calls = calls(&world);
        assert!(calls.values().all(|calls| *calls == 1), "step {step}: {calls:?}");
        for item in &parked {
            pollster::block_on(Parked::of("r", &*world.store).skip(item)).unwrap();
        }
        world.catch_up(&reactor());
        let echoed = world.read(Query::event_type("Echoed"));
        let causes: Vec<_> = echoed.iter().map(|event| event.causation()).collect();
        let seen = (causes, &parked, self::calls(&world));
        assert_eq!(echoed.len() + parked.len(), 16, "step {step}: {seen:?}");
    }
}
