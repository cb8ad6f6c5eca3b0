//! The threads that connections live on. A connection stays on one of them with all of its requests:
//! the tasks that it wakes are there already, and no processor is woken for them.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leftfold_wire::Traffic;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::ThreadChoice;

thread_local! {
    /// The load of this thread, if it is one of these.
    static LOAD: OnceCell<Arc<Load>> = const { OnceCell::new() };

    /// Whether this thread reads files itself.
    static READS: RefCell<ThreadChoice> = const { RefCell::new(ThreadChoice::new(SLOW_READ, PAUSE)) };
}

/// After a read that takes longer, as the first of a hard disk does, a connection's thread does not read files for a while.
const SLOW_READ: Duration = Duration::from_millis(5);
/// The length of that while, in reads. It is short: nobody waits for the thread but who connects meanwhile.
const PAUSE: i32 = 16;

/// How much work a thread has.
#[derive(Default)]
struct Load {
    connections: AtomicUsize,
    /// Requests and appends that are being worked on.
    work: Traffic,
}

/// A request that does not last, or one append of many, while it is being worked on.
pub(crate) struct WorkItem {
    load: Option<Arc<Load>>,
    is_only: bool,
}

impl WorkItem {
    /// Counts a piece of work on the calling thread.
    pub(crate) fn begin() -> Self {
        let load = LOAD.with(|load| load.get().cloned());
        let is_only = load.as_ref().is_some_and(|load| {
            let before = load.work.begin();
            before == 0 && load.connections.load(Ordering::Relaxed) == 1
        });
        WorkItem { load, is_only }
    }

    /// Returns whether it began as the only work of the thread's only connection: then no other
    /// client waits while the thread is blocked.
    pub(crate) fn is_only(&self) -> bool {
        self.is_only
    }
}

impl Drop for WorkItem {
    fn drop(&mut self) {
        if let Some(load) = &self.load {
            load.work.end();
        }
    }
}

/// A read of the only request of its thread's only connection: no other client waits while the thread is blocked by
/// a disk.
pub(crate) struct ReadTurn;

impl ReadTurn {
    /// Returns the turn of a read that is to read files on this thread.
    pub(crate) fn begin() -> Option<Self> {
        let is_only = LOAD.with(|load| {
            load.get().is_some_and(|load| {
                load.work.in_progress() == 1 && load.connections.load(Ordering::Relaxed) == 1
            })
        });
        READS.with_borrow_mut(|reads| reads.take(is_only, Instant::now())).then_some(ReadTurn)
    }
}

impl Drop for ReadTurn {
    fn drop(&mut self) {
        READS.with_borrow_mut(|reads| reads.answered(Instant::now()));
    }
}

/// One thread for each processor; two at least, so that one may be blocked for a moment.
pub(crate) struct Threads(Vec<Thread>);

struct Thread {
    handle: Handle,
    load: Arc<Load>,
    /// Dropped to end the thread.
    _running: oneshot::Sender<()>,
}

/// A connection's place on a thread.
pub(super) struct ThreadSlot {
    pub(super) handle: Handle,
    load: Arc<Load>,
}

impl Drop for ThreadSlot {
    fn drop(&mut self) {
        self.load.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Threads {
    /// Starts them; each polls for this time before it sleeps.
    pub(crate) fn start(busy_poll: Duration) -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from).max(2);
        (0..processors).map(|_| Thread::start(busy_poll)).collect::<io::Result<_>>().map(Threads)
    }

    /// Returns a place on the thread that has the fewest connections, or `None` without threads.
    pub(super) fn seat(&self) -> Option<ThreadSlot> {
        let connections = |thread: &&Thread| thread.load.connections.load(Ordering::Relaxed);
        let thread = self.0.iter().min_by_key(connections)?;
        thread.load.connections.fetch_add(1, Ordering::Relaxed);
        Some(ThreadSlot { handle: thread.handle.clone(), load: thread.load.clone() })
    }
}

impl Thread {
    fn start(busy_poll: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        let load = Arc::new(Load { work: Traffic::new(busy_poll), ..Load::default() });
        let own = load.clone();
        thread::Builder::new().name("leftfold-net".to_owned()).spawn(move || {
            LOAD.with(|load| _ = load.set(own.clone()));
            // Ends when the other side is dropped: nothing is ever sent.
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = own.work.poll_network() => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Thread { handle, load, _running: running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_over_all_threads() {
        let threads = Threads::start(Duration::ZERO).unwrap();
        let count = threads.0.len();
        let seats: Vec<ThreadSlot> = (0..3 * count).filter_map(|_| threads.seat()).collect();
        let connections = |thread: &Thread| thread.load.connections.load(Ordering::Relaxed);
        let loads = || -> Vec<usize> { threads.0.iter().map(connections).collect() };
        assert_eq!(loads(), vec![3; count]);
        drop(seats);
        assert_eq!(loads(), vec![0; count]);
    }

    #[test]
    fn work_knows_whether_it_is_the_only_one_on_its_thread() {
        let thread = Thread::start(Duration::ZERO).unwrap();
        let threads = Threads(vec![thread]);
        let first = threads.seat().unwrap();
        let is_only = || -> [bool; 2] {
            let work = async { [WorkItem::begin(), WorkItem::begin()].map(|work| work.is_only()) };
            pollster::block_on(first.handle.spawn(work)).unwrap()
        };
        assert_eq!(is_only(), [true, false]);
        assert_eq!(is_only(), [true, false]);
        let second = threads.seat().unwrap();
        assert_eq!(is_only(), [false, false]);
        drop(second);
        assert_eq!(is_only(), [true, false]);
        assert!(!WorkItem::begin().is_only());
    }
}
