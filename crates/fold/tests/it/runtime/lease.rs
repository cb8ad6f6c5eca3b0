//! One of several processes runs the parts.

use leftfold::runtime::{LeaseState, PartState};
use leftfold::time::Time;
use leftfold::{Append, EventStore, NewEvent, Query, Timestamp};

use super::support::{Process, World, poll_often, run_until};
use crate::runtime::restarts::counts;

/// The term of the lease, in milliseconds.
const TERM: u64 = 15_000;

fn is_held(process: &Process) -> bool {
    process.status.get().lease == LeaseState::Held
}

/// Starts two processes, of which the first holds the lease.
fn two(world: &World) -> (Process, Process) {
    let mut first = world.noter("first");
    run_until([&mut first], "the first holds the lease", |[first]| is_held(first));
    (first, world.noter("second!"))
}

#[test]
fn the_holder_handles_each_event_once_and_the_standby_nothing() {
    let world = World::new();
    let (mut first, mut second) = two(&world);
    for n in 0..40 {
        world.append(&format!("o-{n}"), "Placed");
        world.advance(1_000);
        run_until([&mut first, &mut second], "it is handled", |_| world.handled.lock().len() > n);
        // The time moves on only when the renewal that is due is written.
        let due = (n as u64 + 1) / 5;
        run_until([&mut first, &mut second], "it is renewed", |_| {
            let renewed = world.read(Query::category("leftfold.lease"));
            renewed.last().unwrap().version() >= due
        });
    }
    assert_eq!((world.handled_by("first"), world.handled_by("second!")), (40, 0));
    assert!(second.is("note", PartState::Standby) && !is_held(&second));
    assert_eq!(first.part("note").restarts, 0);
}

#[test]
fn a_released_lease_is_taken_over_at_once() {
    let world = World::new();
    let (mut first, mut second) = two(&world);
    poll_often([&mut first, &mut second]);
    first.shut_down();
    run_until([&mut first, &mut second], "the second takes over", |[first, second]| {
        first.ended.is_some() && is_held(second)
    });
    world.append("o-1", "Placed");
    run_until([&mut second], "it is handled", |_| world.handled_by("second!") == 1);
    assert_eq!(world.time.now(), Timestamp(0));
    assert!(first.is("note", PartState::Stopped));
    assert_eq!(second.part("note").restarts, 0);
}

#[test]
fn a_killed_holder_is_succeeded_after_the_term_and_not_before() {
    let world = World::new();
    let (first, mut second) = two(&world);
    drop(first);
    world.append("o-1", "Placed");
    poll_often([&mut second]);
    world.advance(TERM - 1);
    poll_often([&mut second]);
    assert!(second.is("note", PartState::Standby));
    let mut polls = 0;
    run_until([&mut second], "the second takes over", |_| {
        polls += 1;
        if polls % 1_000 == 0 {
            world.advance(1_000);
        }
        world.handled_by("second!") == 1
    });
    assert!(world.handled.lock()[0].at.micros() >= TERM as i64 * 1_000);
}

#[test]
fn a_lease_that_another_process_took_stops_the_parts() {
    let world = World::new();
    let mut process = world.noter("first");
    run_until([&mut process], "it holds the lease", is_first_held);
    let other = r#"{"holder":"6c656674-666f-4c64-8000-000000000001","term_ms":15000}"#;
    let taken = NewEvent::json("leftfold.LeaseHeld", other);
    world.store.blocking().append(Append::new().event("leftfold.lease-test", taken)).unwrap();
    // It finds out when it renews the lease.
    world.advance(TERM / 3);
    run_until([&mut process], "it stands by", |[it]| it.is("note", PartState::Standby));
    world.append("o-1", "Placed");
    poll_often([&mut process]);
    assert_eq!(world.handled_by("first"), 0);
}

fn is_first_held([process]: [&Process; 1]) -> bool {
    is_held(process)
}

#[test]
fn a_holder_that_cannot_renew_ends_its_parts_before_the_term() {
    let world = World::new();
    let (hangs, dropped) = super::shutdown::hanging(&world);
    let mut process = Process::start(world.runtime().reactor(hangs));
    run_until([&mut process], "it holds the lease", is_first_held);
    world.append("o-1", "Placed");
    run_until([&mut process], "the handler hangs", |_| dropped.started());
    world.disk.syncs().shut();
    world.advance(TERM / 3);
    poll_often([&mut process]);
    assert!(is_held(&process), "it tries again");
    world.advance(TERM / 3);
    poll_often([&mut process]);
    assert!(!dropped.is_dropped(), "its handlers may end");
    world.advance(TERM / 3);
    run_until([&mut process], "its handlers are dropped", |_| dropped.is_dropped());
    assert!(process.is("hang", PartState::Standby) && !is_held(&process));
    world.disk.syncs().open();
    run_until([&mut process], "it holds the lease again", is_first_held);
}

#[test]
fn views_run_without_the_lease() {
    let world = World::new();
    let mut first = world.noter("first");
    run_until([&mut first], "the first holds the lease", is_first_held);
    let view = counts(&world, 0);
    let runtime = world.runtime().random(std::sync::Arc::new(leftfold_io::OsRandom));
    let mut second = Process::start(
        runtime.reactor(world.noting("second!", Query::category("o"))).view(view.clone()),
    );
    world.append("order-1", "Placed");
    run_until([&mut first, &mut second], "the view has it", |_| {
        view.rows().get(b"order-1").unwrap().is_some()
    });
    assert!(second.is("counts", PartState::Running) && second.is("note", PartState::Standby));
    assert!(second.status.get().is_healthy());
}

#[test]
fn a_lease_is_bookkeeping_and_keeps_few_events() {
    let world = World::new();
    let mut process = Process::start(world.runtime().reactor(world.noting("all", Query::All)));
    run_until([&mut process], "it holds the lease", is_first_held);
    for renewals in 1..30 {
        world.advance(TERM / 3);
        let head = || pollster::block_on(world.store.stream("leftfold.lease-test")).unwrap();
        run_until([&mut process], "it is renewed", |_| head().unwrap().version >= renewals);
    }
    assert_eq!(world.read(Query::category("leftfold.lease")).len(), 8);
    assert!(world.read(Query::All).is_empty());
    assert!(world.handled.lock().is_empty());
}

#[test]
fn a_runtime_that_is_alone_writes_no_lease() {
    let world = World::new();
    let runtime = world.runtime().alone().reactor(world.noting("alone", Query::category("o")));
    let mut process = Process::start(runtime);
    world.append("o-1", "Placed");
    run_until([&mut process], "it is handled", |_| world.handled_by("alone") == 1);
    assert_eq!(process.status.get().lease, LeaseState::Alone);
    assert!(world.read(Query::category("leftfold.lease")).is_empty());
}

#[test]
fn a_lease_that_cannot_be_acquired_says_why() {
    let world = World::new();
    let closed = world.store.tombstone_stream("leftfold.lease-test", leftfold::Expected::Any);
    pollster::block_on(closed).unwrap();
    let mut process = world.noter("first");
    run_until([&mut process], "it says why", |[it]| it.status.get().lease_error.is_some());
    assert_eq!(process.status.get().lease_error.unwrap().code, "stream_tombstoned");
    assert!(process.is("note", PartState::Standby));
}
