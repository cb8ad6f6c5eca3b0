//! The end of a runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leftfold::react::{Cause, Handler, HandlerError, Reactor};
use leftfold::runtime::PartState;
use leftfold::{Embedded, Query};

use super::support::{Process, World, poll_often, run_until};

/// What became of a handler that hangs.
#[derive(Clone, Default)]
pub(crate) struct Hanging {
    started: Arc<AtomicBool>,
    dropped: Arc<AtomicBool>,
}

impl Hanging {
    pub(crate) fn started(&self) -> bool {
        self.started.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::SeqCst)
    }
}

/// Notes that it was dropped.
struct Guard(Hanging);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
    }
}

/// Makes a reactor whose handler never ends.
pub(crate) fn hanging(world: &World) -> (Reactor<Embedded, impl Handler + use<>>, Hanging) {
    let hanging = Hanging::default();
    let noted = hanging.clone();
    let handler = move |_: Cause| {
        noted.started.store(true, Ordering::SeqCst);
        let guard = Guard(noted.clone());
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok::<_, HandlerError>(())
        }
    };
    (Reactor::new("hang", Query::category("o"), world.store.clone(), handler), hanging)
}

#[test]
fn a_handler_that_hangs_is_dropped_when_the_time_to_drain_is_over() {
    let world = World::new();
    let (hangs, handler) = hanging(&world);
    let mut process = Process::start(world.runtime().reactor(hangs));
    world.append("o-1", "Placed");
    run_until([&mut process], "the handler hangs", |_| handler.started());
    process.shut_down();
    poll_often([&mut process]);
    world.advance(9_999);
    poll_often([&mut process]);
    assert!(process.ended.is_none() && !handler.is_dropped());
    world.advance(1);
    run_until([&mut process], "it ends", |[it]| it.ended.is_some());
    assert!(handler.is_dropped() && process.is("hang", PartState::Stopped));
    let released = world.read(Query::category("leftfold.lease")).pop().unwrap();
    assert_eq!(released.event_type(), "leftfold.LeaseReleased");
    // The event is handled by the next process.
    let (hangs, handler) = hanging(&world);
    let mut process = Process::start(world.runtime().reactor(hangs));
    run_until([&mut process], "the handler is called again", |_| handler.started());
}

#[test]
fn a_running_handler_may_end() {
    let world = World::new();
    let (gate, opened) = oneshot::channel::<()>();
    let (opened, started) = (parking_lot::Mutex::new(Some(opened)), Hanging::default());
    let noted = started.clone();
    let handler = move |_: Cause| {
        noted.started.store(true, Ordering::SeqCst);
        let opened = opened.lock().take();
        async move {
            _ = opened.unwrap().await;
            Ok::<_, HandlerError>(())
        }
    };
    let reactor = Reactor::new("slow", Query::category("o"), world.store.clone(), handler);
    let mut process = Process::start(world.runtime().reactor(reactor));
    world.append("o-1", "Placed");
    run_until([&mut process], "the handler runs", |_| started.started());
    process.shut_down();
    poll_often([&mut process]);
    gate.send(()).unwrap();
    run_until([&mut process], "it ends", |[it]| it.ended.is_some());
    let cursor =
        pollster::block_on(leftfold::EventStore::checkpoint(&*world.store, "reactor/slow"));
    assert!(cursor.unwrap().is_some(), "its progress is written");
}

#[test]
fn parts_can_be_spawned_and_end_with_the_runtime() {
    let world = World::new();
    let (hangs, handler) = hanging(&world);
    let (ended, ends) = std::sync::mpsc::channel();
    let runtime = world.runtime().reactor(hangs).spawner(move |part| {
        let ended = ended.clone();
        std::thread::spawn(move || {
            pollster::block_on(part);
            ended.send(()).unwrap();
        });
    });
    let mut process = Process::start(runtime);
    world.append("o-1", "Placed");
    run_until([&mut process], "the handler hangs", |_| handler.started());
    drop(process);
    ends.recv().unwrap();
    assert!(handler.is_dropped());
}
