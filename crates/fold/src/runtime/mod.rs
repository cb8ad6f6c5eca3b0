//! A runtime: reactors, processes, command streams, timers and views that run together.
//!
//! A [`Runtime`] is a future. It polls its parts concurrently, and each part only when there is
//! something for it to do. It restarts what fails, lets a second process stand by, ends in an orderly
//! way, and shows its status.
//!
//! ```
//! # use std::sync::Arc;
//! # use leftfold::{Embedded, NewEvent, Options, Query, Recorded};
//! # use leftfold::react::{Cause, HandlerError, Reactor};
//! # use leftfold::view::{MemoryRows, Rows, View, ViewError, ViewRunner};
//! use leftfold::runtime::Runtime;
//!
//! # struct Customers;
//! # impl View for Customers {
//! #     fn name(&self) -> &str { "customers" }
//! #     fn query(&self) -> Query { Query::category("customer") }
//! #     fn apply(&self, _: &mut dyn Rows, _: &Recorded) -> Result<(), ViewError> { Ok(()) }
//! # }
//! # async fn ctrl_c() {}
//! # let dir = tempfile::tempdir()?;
//! let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
//! let greet = |_: Cause| async { Ok::<_, HandlerError>(()) };
//! let greeter = Reactor::new("greet", Query::event_type("Registered"), store.clone(), greet);
//! let customers = Arc::new(ViewRunner::new(Customers, store.clone(), MemoryRows::default()));
//!
//! let runtime = Runtime::new(store).reactor(greeter).view(customers).timers();
//! let status = runtime.status(); // for a page of the program, also while it runs
//! # pollster::block_on(async {
//! let last = runtime.run_until(ctrl_c()).await;
//! # assert_eq!(last, status.get());
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Failures
//!
//! A part that fails or panics is restarted after a random time below a bound that doubles with each
//! failure ([`Runtime::back_off`]). What a restart can't help stays stopped, and its status says
//! [`Failed`](PartState::Failed): a view of another logic or history, an event that a view can't
//! apply, an unreadable journal, invalid input, and a store that is closed or damaged. All others go
//! on.
//!
//! # Standby
//!
//! Several processes may run a runtime of the same name on one store. One of them holds the lease, and
//! runs the reactors, processes, command streams and timers. The others wait. The lease is facts in the
//! stream `leftfold.lease-NAME`. The holder renews it every third of its term (15 seconds, see
//! [`Runtime::term`]). If it ends by `shutdown`, a standby takes over at once. If it is killed or cut
//! off from the store, a standby takes over when the term is over, and by then the holder has ended
//! its parts.
//!
//! The lease prevents that two processes take work from each other. That results are written once
//! does not depend on it: the journals of reactors see to that, also if a process was suspended
//! while another took over.
//!
//! Views run in every process, because each answers from its own rows. If processes share the rows
//! of a view, add it with [`Runtime::shared_view`].
//!
//! # Shutdown
//!
//! When `shutdown` is ready, no part starts anything new. Running handlers may end within a bound
//! ([`Runtime::drain`]), then they are dropped; their events are handled again later. The
//! lease is released after that.

mod lease;
mod part;
mod run;
mod status;
pub(crate) mod stop;
mod supervise;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use leftfold_api::EventStore;
use leftfold_io::{OsRandom, Random};

pub use status::{
    LeaseState, PartFailure, PartKind, PartState, PartStatus, RuntimeStatus, StatusHandle,
};

use crate::commands::{Commands, Handle, Recordable};
use crate::react::{Handler, Ownership, Reactor, Retry};
use crate::time::{SystemTime, Time, Waiting};
use crate::timer::timers;
use crate::view::{View, ViewRunner};
use part::{CommandsPart, Part, ReactorPart, ViewPart};
use status::Board;
use supervise::Numbered;

/// The default term of a lease.
const TERM: Duration = Duration::from_secs(15);
/// The default time that running handlers have to end at shutdown.
const DRAIN: Duration = Duration::from_secs(10);
/// The default bounds of the pauses before restarts: the first and the largest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Starts a future elsewhere, for example as a task of tokio.
type Spawner = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// Runs reactors, processes, command streams, timers and views together. See the
/// [module](crate::runtime).
pub struct Runtime<S> {
    store: Arc<S>,
    name: String,
    term: Duration,
    is_alone: bool,
    /// Parts that run in every process.
    everywhere: Vec<Numbered>,
    /// Parts that run where the lease is.
    leased: Vec<Numbered>,
    environment: Environment,
}

/// What all parts share.
struct Environment {
    given_time: Option<Arc<dyn Time>>,
    given_random: Option<Arc<dyn Random>>,
    back_off: Retry,
    drain: Duration,
    spawner: Option<Spawner>,
    ownership: Option<Arc<dyn Ownership>>,
    board: Board,
}

impl Environment {
    fn time(&self) -> Arc<dyn Time> {
        self.given_time.clone().unwrap_or_else(|| Arc::new(SystemTime))
    }

    fn random(&self) -> Arc<dyn Random> {
        self.given_random.clone().unwrap_or_else(|| Arc::new(OsRandom))
    }

    /// Waits after this number of failures.
    fn pause(&self, failures: u32) -> Waiting {
        let micros = self.back_off.wait_micros(failures, &*self.random());
        self.time().after(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}

impl<S: EventStore + 'static> Runtime<S> {
    /// Makes a runtime without parts, of the name `main`.
    pub fn new(store: Arc<S>) -> Self {
        let name = "main".to_owned();
        let environment = Environment {
            given_time: None,
            given_random: None,
            back_off: Retry { attempts: u32::MAX, first: BACK_OFF.0, longest: BACK_OFF.1 },
            drain: DRAIN,
            spawner: None,
            ownership: None,
            board: Board::new(name.clone(), LeaseState::NotHeld),
        };
        let (everywhere, leased) = (Vec::new(), Vec::new());
        Runtime { store, name, term: TERM, is_alone: false, everywhere, leased, environment }
    }

    /// Adds a reactor. A process manager is one: see [`processes`](crate::process::processes).
    pub fn reactor<H: Handler>(self, reactor: Reactor<S, H>) -> Self {
        self.leased(ReactorPart(reactor))
    }

    /// Adds the timers of the store. Of all runtimes that use the store, those of one name may have
    /// them.
    pub fn timers(self) -> Self {
        let timers = timers(self.store.clone());
        self.reactor(timers)
    }

    /// Adds a command stream and what decides its commands: a [`Decider`](crate::Decider) or
    /// [`Entities`](crate::Entities).
    pub fn commands<C, T, H>(self, commands: Commands<C, T>, decider: H) -> Self
    where
        C: Recordable,
        T: EventStore + Clone + 'static,
        H: Handle<C> + Clone + 'static,
    {
        self.leased(CommandsPart { commands, handler: decider })
    }

    /// Adds a view whose rows are this process's own. It runs in every process, without the lease.
    pub fn view<V: View>(mut self, view: Arc<ViewRunner<V, S>>) -> Self {
        let part = self.numbered(ViewPart(view));
        self.everywhere.push(part);
        self
    }

    /// Adds a view whose rows several processes share. It runs where the lease is.
    pub fn shared_view<V: View>(self, view: Arc<ViewRunner<V, S>>) -> Self {
        self.leased(ViewPart(view))
    }

    /// Sets the name. Runtimes of one name on one store stand by for each other, so they have the same
    /// parts.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self.environment.board.set_name(self.name.clone());
        self
    }

    /// Sets the term of the lease, at least 3 milliseconds; the default is 15 seconds. It is
    /// renewed every third of it. Processes may have different terms.
    pub fn term(mut self, term: Duration) -> Self {
        self.term = term.max(Duration::from_millis(3));
        self
    }

    /// Runs without a lease and writes none. For a program that no other process stands by for, and for
    /// simulations, which come to rest only when nothing is written any more.
    pub fn alone(mut self) -> Self {
        self.is_alone = true;
        self.environment.board.set_lease(LeaseState::Alone);
        self
    }

    /// Runs reactors, processes and timers where their partitions are owned, without the lease: each process serves
    /// the partitions that it owns. Command streams and shared views still run where the lease is.
    pub fn ownership(mut self, ownership: Arc<dyn Ownership>) -> Self {
        self.environment.ownership = Some(ownership);
        self
    }

    /// Sets the bounds of the pauses before restarts: that of the first and the largest. The default
    /// is half a second and a minute.
    pub fn back_off(mut self, first: Duration, longest: Duration) -> Self {
        self.environment.back_off = Retry { attempts: u32::MAX, first, longest };
        self
    }

    /// Sets how long running handlers may take to end at shutdown; the default is 10 seconds.
    pub fn drain(mut self, time: Duration) -> Self {
        self.environment.drain = time;
        self
    }

    /// Sets what runs the parts. By default all of them are polled by the task that polls the runtime, so
    /// they share one thread; that suits parts that mostly wait. With tokio, give each a task of its
    /// own if handlers compute for long: `.spawner(|part| drop(tokio::spawn(part)))`.
    pub fn spawner(
        mut self,
        spawn: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static,
    ) -> Self {
        self.environment.spawner = Some(Arc::new(spawn));
        self
    }

    /// Sets another clock than the system's, also for its reactors, timers and command streams. Views
    /// have their own.
    pub fn time(mut self, time: impl Time) -> Self {
        self.environment.given_time = Some(Arc::new(time));
        self
    }

    /// Sets another source of randomness than the system's, also for its reactors. It decides the
    /// jitter of pauses, and who the holder of a lease is.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.environment.given_random = Some(random);
        self
    }

    /// Returns a handle that shows the status of the parts that were added so far.
    pub fn status(&self) -> StatusHandle {
        let mut parts: Vec<_> = self.everywhere.iter().chain(&self.leased).cloned().collect();
        parts.sort_by_key(|(number, _)| *number);
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        StatusHandle { board: self.environment.board.clone(), parts }
    }

    fn leased(mut self, part: impl Part) -> Self {
        let part = self.numbered(part);
        self.leased.push(part);
        self
    }

    fn numbered(&self, part: impl Part) -> Numbered {
        self.environment.board.add(&part);
        (self.everywhere.len() + self.leased.len(), Arc::new(part))
    }
}
