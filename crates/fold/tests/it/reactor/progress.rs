use std::sync::Arc;

use leftfold::react::{HandlerError, Reaction, ReactorError};
use leftfold::{Append, CheckpointMove, Coded, Cursor, EventStore, Expected, NewEvent, Query};

use crate::reactor::support::{World, echo, of, poll_once};

#[test]
fn a_restart_continues_from_the_progress() {
    let world = World::new();
    world.append_orders(4, 5);
    world.catch_up(&world.reactor(world.logging(echo)));
    assert_eq!(world.take_calls().len(), 20);
    world.append("o-9", "Placed", "0");
    world.catch_up(&world.reactor(world.logging(echo)));
    assert_eq!(world.take_calls(), ["o-9@0"]);
    assert_eq!(world.echoes().values().map(Vec::len).sum::<usize>(), 21);
}

/// S07: a lost checkpoint repeats neither results nor effects.
#[test]
fn a_lost_checkpoint_repeats_nothing() {
    let world = World::new();
    world.append_orders(4, 5);
    world.catch_up(&world.reactor(world.logging(echo)));
    world.take_calls();
    let lost = CheckpointMove {
        name: "reactor/r".to_owned(),
        expected: world.checkpoint(),
        to: Cursor::START,
    };
    world.store.blocking().append(Append::new().checkpoint(lost)).unwrap();
    world.catch_up(&world.reactor(world.logging(echo)));
    assert_eq!(world.take_calls(), [""; 0]);
    world.assert_echoed(4, 5);
    assert_ne!(world.checkpoint(), Some(Cursor::START));
}

/// Without its journal a reactor starts from the beginning. Its results are recognised by their
/// ids, even if they would be different now.
#[test]
fn a_lost_journal_repeats_no_result() {
    let world = World::new();
    world.append_orders(4, 5);
    world.catch_up(&world.reactor(world.logging(echo)));
    let deleted = world.store.delete_stream("leftfold.reactor-r", Expected::Exists);
    pollster::block_on(deleted).unwrap();
    let others = world.logging(|cause| {
        let event = NewEvent::json("Echoed", "\"something else\"");
        let more = NewEvent::json("Echoed", "\"and more\"");
        let stream = format!("echo-{}", cause.event.stream());
        Ok(Reaction::none().event(&stream, event).event(stream, more))
    });
    let progress = world.catch_up(&world.reactor(others));
    assert_eq!(progress.counts.recognised, 20);
    world.assert_echoed(4, 5);
}

#[test]
fn of_two_runs_of_one_reactor_the_older_stops() {
    let world = World::new();
    world.append_orders(1, 1);
    let (older, newer) = (world.reactor(world.logging(echo)), world.reactor(world.logging(echo)));
    let stopped = pollster::block_on(async {
        let mut older = std::pin::pin!(older.run());
        while world.store.blocking().stream("leftfold.reactor-r").unwrap().is_none() {
            assert!(!poll_once(&mut older).await);
            std::thread::yield_now();
        }
        newer.catch_up().await.unwrap();
        world.append("o-0", "Placed", "1");
        older.await.unwrap_err()
    });
    assert_eq!(stopped.code(), "reactor_overtaken");
    assert!(matches!(stopped, ReactorError::Overtaken { .. }));
    world.catch_up(&newer);
    world.assert_echoed(1, 2);
}

#[test]
fn a_reactor_can_start_after_a_cursor() {
    let world = World::new();
    world.append_orders(1, 3);
    let head = pollster::block_on(world.store.head()).unwrap();
    world.append("o-0", "Placed", "3");
    world.catch_up(&world.reactor(world.logging(echo)).starts_after(head));
    assert_eq!(world.take_calls(), ["o-0@3"]);
    world.catch_up(&world.reactor(world.logging(echo)));
    assert_eq!(world.take_calls(), [""; 0]);
}

/// A handler whose result conditions do not hold decides again.
#[test]
fn a_handler_decides_again_after_a_conflict() {
    let world = World::new();
    world.append_orders(1, 1);
    let store = world.store.clone();
    let handler = world.logging(move |cause| {
        let seen = store.blocking().stream("total").unwrap().map(|total| total.version);
        if seen.is_none() {
            // Another writer appends first.
            let event = NewEvent::json("Counted", "1");
            store.blocking().append(Append::new().event("total", event)).unwrap();
        }
        let expected = seen.map_or(Expected::NoStream, Expected::Exactly);
        let counted = NewEvent::json("Counted", cause.event.data());
        Ok(Reaction::none().event("total", counted).expect("total", expected))
    });
    let progress = world.catch_up(&world.reactor(handler));
    assert_eq!(world.take_calls(), ["o-0@0", "o-0@0"]);
    assert_eq!((progress.counts.handled, progress.counts.failed), (1, 0));
    assert_eq!(world.read(Query::stream("total")).len(), 2);
}

/// Results that the store never accepts are parked, and no other results with them.
#[test]
fn results_that_the_store_never_accepts_are_parked_alone() {
    let world = World::new();
    world.append_orders(5, 1);
    let handler = world.logging(|cause| match of(cause, "o-2", 0) {
        true => Ok(Reaction::none().event("$forbidden", NewEvent::json("Echoed", "1"))),
        false => echo(cause),
    });
    let progress = world.catch_up(&world.reactor(handler));
    assert_eq!((progress.counts.handled, progress.counts.parked), (4, 1));
    let parked = pollster::block_on(leftfold::react::Parked::of("r", &*world.store).list());
    assert!(parked.unwrap()[0].reason.starts_with("name_reserved: "), "the reason has the code");
}

#[test]
fn a_reactor_can_react_to_its_results_but_not_to_its_journal() {
    let world = World::new();
    world.append_orders(1, 1);
    let countdown = world.logging(|cause| {
        let left: u64 = match cause.event.event_type() {
            "Placed" => 3,
            _ => String::from_utf8_lossy(&cause.event.data()).parse().unwrap_or(0),
        };
        match left {
            0 => Ok(Reaction::none()),
            _ => {
                let event = NewEvent::json("Left", (left - 1).to_string());
                Ok(Reaction::none().event("o-left", event))
            }
        }
    });
    let reactor = world.reactor_of(Query::All, countdown);
    for _ in 0..10 {
        world.catch_up(&reactor);
    }
    assert_eq!(world.take_calls(), ["o-0@0", "o-left@0", "o-left@1", "o-left@2"]);
}

#[test]
fn a_long_journal_is_loaded_from_its_last_full_state() {
    let world = World::new();
    let mut limits = leftfold::react::ReactorLimits::default();
    limits.batch = 1;
    world.append_orders(1, 300);
    let reactor = world.reactor(world.logging(echo)).limits(limits);
    world.catch_up(&reactor);
    // Facts before the last full state are deleted.
    assert!(world.read(Query::stream("leftfold.reactor-r")).len() < 300);
    world.take_calls();
    world.catch_up(&reactor);
    assert_eq!(world.take_calls(), [""; 0]);
    world.assert_echoed(1, 300);
}

#[test]
fn stopping_waits_for_running_handlers_and_writes_their_results() {
    let world = World::new();
    world.append_orders(3, 3);
    let (stop, stopped) = futures_channel();
    let stop = Arc::new(parking_lot::Mutex::new(Some(stop)));
    let handler = world.logging(move |cause| {
        drop(stop.lock().take());
        echo(cause)
    });
    let run = world.reactor(handler).run_until(stopped);
    let progress = pollster::block_on(run).unwrap();
    let handled = progress.counts.handled as usize;
    assert_eq!(world.echoes().values().map(Vec::len).sum::<usize>(), handled);
    assert_eq!(world.take_calls().len(), handled);
    assert!(handled < 9, "no new handler was started");
    world.catch_up(&world.reactor(world.logging(echo)));
    world.assert_echoed(3, 3);
}

/// Returns a future that is ready when the other value is dropped.
fn futures_channel() -> (impl Send, impl Future<Output = ()> + Send) {
    let (stop, stopped) = async_gate();
    (stop, stopped)
}

struct Opener(Arc<event_listener::Event>);

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.notify(usize::MAX);
    }
}

fn async_gate() -> (Opener, impl Future<Output = ()> + Send) {
    let event = Arc::new(event_listener::Event::new());
    let listener = event.listen();
    (Opener(event), listener)
}

#[test]
fn a_handler_may_return_nothing_or_any_error() {
    let world = World::new();
    world.append("o-0", "Placed", "1");
    world.append("o-1", "Placed", "nonsense");
    let parse = |cause: leftfold::react::Cause| async move {
        String::from_utf8_lossy(&cause.event.data()).parse::<u32>()?;
        Ok::<(), HandlerError>(())
    };
    let progress = world.catch_up(&world.reactor(parse));
    assert_eq!((progress.counts.handled, progress.counts.failed), (1, 1));
}

#[test]
fn an_unreadable_journal_stops_the_reactor_and_names_the_position() {
    let world = World::new();
    world.append_orders(1, 1);
    world.append("leftfold.reactor-r", "leftfold.ReactorMoved", "nonsense");
    let error = pollster::block_on(world.reactor(world.logging(echo)).catch_up()).unwrap_err();
    assert_eq!(error.code(), "journal_unreadable");
    assert!(error.to_string().contains("position 2"), "{error}");
    assert_eq!(world.take_calls(), [""; 0]);
}
