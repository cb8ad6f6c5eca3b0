use std::time::Duration;

use leftfold::react::{Cause, Handler, HandlerError, Parked, Why};
use leftfold::{Query, Timestamp};

use crate::reactor::support::{World, echo};

/// Returns a handler that waits for the customer that an order names.
fn wait_for_customer(world: &World, until: Option<Timestamp>) -> impl Handler + use<> {
    let store = world.store.clone();
    world.logging(move |cause: &Cause| {
        let customer = format!("customer-{}", String::from_utf8_lossy(&cause.event.data()));
        match store.blocking().stream(&customer).unwrap() {
            Some(_) => echo(cause),
            None => {
                let wait = HandlerError::wait_for(Query::stream(customer));
                Err(until.map_or(wait.clone(), |until| wait.until(until)))
            }
        }
    })
}

#[test]
fn an_arriving_dependency_wakes_the_lane_and_others_continue() {
    let world = World::new();
    world.append("customer-1", "Registered", "1");
    for (stream, customer) in [("o-0", "1"), ("o-1", "2"), ("o-1", "1"), ("o-2", "1")] {
        world.append(stream, "Placed", customer);
    }
    let reactor = world.reactor(wait_for_customer(&world, None));
    let progress = world.catch_up(&reactor);
    assert_eq!((progress.counts.handled, progress.held_lanes), (2, 1));
    assert_eq!(progress.counts.failed, 0);
    // Two days pass.
    world.time.advance(Duration::from_secs(2 * 24 * 3600));
    world.take_calls();
    world.catch_up(&reactor);
    assert_eq!(world.take_calls(), [""; 0]);
    world.append("customer-2", "Registered", "2");
    world.catch_up(&reactor);
    assert_eq!(world.take_calls(), ["o-1@0", "o-1@1"]);
    assert_eq!(world.echoes()["echo-o-1"], ["2", "1"]);
}

/// No time passes here, so only the arrival can wake the lane.
#[test]
fn a_running_reactor_is_woken_without_polling() {
    let world = World::new();
    world.append("o-0", "Placed", "7");
    let reactor = world.reactor(wait_for_customer(&world, None));
    let (store, call_log) = (world.store.clone(), world.call_log.clone());
    let arrival = async {
        while call_log.lock().is_empty() {
            yield_now().await;
        }
        // The lane is held up, or about to be: in both cases the event must not be missed.
        let event = leftfold::NewEvent::json("Registered", "7");
        let append = leftfold::Append::new().event("customer-7", event);
        leftfold::EventStore::append(&*store, append).await.unwrap();
        while store.blocking().stream("echo-o-0").unwrap().is_none() {
            yield_now().await;
        }
    };
    pollster::block_on(reactor.run_until(arrival)).unwrap();
    assert_eq!(world.take_calls(), ["o-0@0", "o-0@0"]);
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        std::thread::yield_now();
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn a_wait_parks_at_its_deadline_even_after_a_restart() {
    let world = World::new();
    world.append("o-0", "Placed", "7");
    let deadline = Timestamp(3_600_000_000);
    let waiting = || world.reactor(wait_for_customer(&world, Some(deadline)));
    world.catch_up(&waiting());
    let held = pollster::block_on(Parked::of("r", &*world.store).list_held()).unwrap();
    assert_eq!(held[0].why, Why::Waiting("stream:customer-7".to_owned(), Some(deadline)));
    world.time.advance(Duration::from_secs(3_599));
    world.catch_up(&waiting());
    assert_eq!(pollster::block_on(Parked::of("r", &*world.store).list()).unwrap(), []);
    world.time.advance(Duration::from_secs(1));
    world.catch_up(&waiting());
    let parked = pollster::block_on(Parked::of("r", &*world.store).list()).unwrap();
    assert_eq!(parked[0].reason, "waited for stream:customer-7 until 1970-01-01T01:00:00Z");
    assert_eq!(world.take_calls(), ["o-0@0"]);
}

/// Each matching event wakes a lane once, so a handler that always waits does not loop.
#[test]
fn each_matching_event_wakes_a_waiting_lane_once() {
    let world = World::new();
    for n in 0..5 {
        world.append("news-1", "Told", &n.to_string());
    }
    world.append("o-0", "Placed", "1");
    let never = world.logging(|_| Err(HandlerError::wait_for(Query::category("news"))));
    let reactor = world.reactor(never);
    world.catch_up(&reactor);
    assert_eq!(world.take_calls().len(), 6);
    world.append("news-1", "Told", "5");
    world.catch_up(&reactor);
    assert_eq!(world.take_calls().len(), 1);
}

#[test]
fn many_lanes_can_wait_for_the_same_or_different_events() {
    let world = World::new();
    for n in 0..200 {
        world.append(&format!("o-{n}"), "Placed", &(n % 50).to_string());
    }
    let reactor = world.reactor(wait_for_customer(&world, None));
    assert_eq!(world.catch_up(&reactor).held_lanes, 200);
    for n in 0..49 {
        world.append(&format!("customer-{n}"), "Registered", "1");
    }
    let progress = world.catch_up(&reactor);
    assert_eq!((progress.counts.handled, progress.held_lanes), (196, 4));
}

#[test]
fn a_wait_for_a_named_index_is_parked() {
    let world = World::new();
    world.append("o-0", "Placed", "1");
    let never = world.logging(|_| Err(HandlerError::wait_for(Query::index("paid"))));
    world.catch_up(&world.reactor(never));
    let parked = pollster::block_on(Parked::of("r", &*world.store).list()).unwrap();
    assert!(parked[0].reason.contains("index"), "{}", parked[0].reason);
}
