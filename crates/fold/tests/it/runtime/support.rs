use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use leftfold::react::{Cause, HandlerError, Reaction, Reactor};
use leftfold::runtime::{PartState, PartStatus, Runtime, RuntimeStatus, StatusHandle};
use leftfold::time::{FakeTime, Time};
use leftfold::{Append, Embedded, NewEvent, Options, Query, Read, Recorded, Timestamp};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use parking_lot::Mutex;

/// The time after which a test has failed; a busy machine may need some of it.
const HANG: Duration = Duration::from_secs(120);

/// A store, a clock, and what handlers have handled.
pub(crate) struct World {
    pub(crate) disk: FakeDisk,
    pub(crate) store: Arc<Embedded>,
    pub(crate) time: FakeTime,
    pub(crate) handled: Arc<Mutex<Vec<Handled>>>,
}

/// A call of a handler.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Handled {
    pub(crate) by: &'static str,
    pub(crate) event: String,
    pub(crate) at: Timestamp,
}

/// A process with a runtime. Dropping it kills it.
pub(crate) struct Process {
    pub(crate) status: StatusHandle,
    task: Pin<Box<dyn Future<Output = RuntimeStatus> + Send>>,
    shutdown: Option<oneshot::Sender<()>>,
    pub(crate) ended: Option<RuntimeStatus>,
}

impl World {
    pub(crate) fn new() -> Self {
        let disk = FakeDisk::new();
        let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(1)));
        let store = Embedded::open_on(Arc::new(disk.clone()), clock, random, Options::default());
        let (store, time) = (Arc::new(store.unwrap()), FakeTime::at(Timestamp(0)));
        World { disk, store, time, handled: Arc::default() }
    }

    pub(crate) fn append(&self, stream: &str, event_type: &str) {
        let event = NewEvent::json(event_type, "{}");
        self.store.blocking().append(Append::new().event(stream, event)).unwrap();
    }

    pub(crate) fn read(&self, query: Query) -> Vec<Recorded> {
        self.store.blocking().read(Read::forward(query)).unwrap().events
    }

    /// Makes a runtime without parts.
    pub(crate) fn runtime(&self) -> Runtime<Embedded> {
        Runtime::new(self.store.clone())
            .name("test")
            .time(self.time.clone())
            .random(Arc::new(SeededRandom::new(7)))
    }

    /// Makes a reactor that notes what it has handled, and by which process.
    pub(crate) fn noting(
        &self,
        by: &'static str,
        query: Query,
    ) -> Reactor<Embedded, impl leftfold::react::Handler + use<>> {
        let (handled, time) = (self.handled.clone(), self.time.clone());
        let handler = move |cause: Cause| {
            let (handled, at) = (handled.clone(), time.now());
            async move {
                let event = format!("{}@{}", cause.event.stream(), cause.event.version());
                handled.lock().push(Handled { by, event, at });
                let noted = NewEvent::json("Noted", "{}");
                Ok::<_, HandlerError>(Reaction::none().event("notes", noted))
            }
        };
        Reactor::new("note", query, self.store.clone(), handler)
    }

    /// Starts a process that notes the orders.
    pub(crate) fn noter(&self, by: &'static str) -> Process {
        let random = Arc::new(SeededRandom::new(by.len() as u64));
        Process::start(self.runtime().random(random).reactor(self.noting(by, Query::category("o"))))
    }

    pub(crate) fn handled_by(&self, by: &str) -> usize {
        self.handled.lock().iter().filter(|handled| handled.by == by).count()
    }

    pub(crate) fn advance(&self, millis: u64) {
        self.time.advance(Duration::from_millis(millis));
    }
}

impl Process {
    pub(crate) fn start(runtime: Runtime<Embedded>) -> Self {
        let (shutdown, asked) = oneshot::channel::<()>();
        let status = runtime.status();
        let task = Box::pin(runtime.run_until(async move { _ = asked.await }));
        Process { status, task, shutdown: Some(shutdown), ended: None }
    }

    pub(crate) fn shut_down(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    pub(crate) fn part(&self, name: &str) -> PartStatus {
        let status = self.status.get();
        status.parts.iter().find(|part| part.name == name).unwrap().clone()
    }

    pub(crate) fn is(&self, name: &str, state: PartState) -> bool {
        self.part(name).state == state
    }

    fn poll(&mut self) {
        if self.ended.is_none()
            && let Poll::Ready(status) =
                self.task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            self.ended = Some(status);
        }
    }
}

/// Polls processes until a condition holds.
pub(crate) fn run_until<const N: usize>(
    mut processes: [&mut Process; N],
    what: &str,
    mut holds: impl FnMut([&Process; N]) -> bool,
) {
    let started = Instant::now();
    while started.elapsed() < HANG {
        processes.iter_mut().for_each(|process| process.poll());
        if holds(processes.each_ref().map(|process| &**process)) {
            return;
        }
        std::thread::yield_now();
    }
    let statuses = processes.map(|process| process.status.get());
    panic!("never: {what}: {statuses:?}");
}

/// Polls processes a number of times, for what must not happen.
pub(crate) fn poll_often<const N: usize>(processes: [&mut Process; N]) {
    let mut polls = 0;
    run_until(processes, "enough polls", |_| {
        polls += 1;
        polls > 2_000
    });
}
