//! The threads that connections live on. A connection stays on one of them with all of its requests:
//! what it wakes is there already, and no processor is woken for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One thread for each processor.
pub(super) struct Threads(Vec<Thread>);

struct Thread {
    handle: Handle,
    connections: Arc<AtomicUsize>,
    /// Dropped to end the thread.
    _running: oneshot::Sender<()>,
}

/// A connection's place on a thread.
pub(super) struct Seat {
    pub(super) handle: Handle,
    connections: Arc<AtomicUsize>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Threads {
    pub(super) fn start() -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        (0..processors).map(|_| Thread::start()).collect::<io::Result<_>>().map(Threads)
    }

    /// A place on the thread that has the fewest connections; none if there are no threads.
    pub(super) fn seat(&self) -> Option<Seat> {
        let thread =
            self.0.iter().min_by_key(|thread| thread.connections.load(Ordering::Relaxed))?;
        thread.connections.fetch_add(1, Ordering::Relaxed);
        Some(Seat { handle: thread.handle.clone(), connections: thread.connections.clone() })
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("leftfold-net".to_owned()).spawn(move || {
            // Ends when the other side is dropped: nothing is ever sent.
            _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Thread { handle, connections: Arc::default(), _running: running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_over_all_threads() {
        let threads = Threads::start().unwrap();
        let count = threads.0.len();
        let seats: Vec<Seat> = (0..3 * count).filter_map(|_| threads.seat()).collect();
        let loads = || -> Vec<usize> {
            threads.0.iter().map(|thread| thread.connections.load(Ordering::Relaxed)).collect()
        };
        assert_eq!(loads(), vec![3; count]);
        drop(seats);
        assert_eq!(loads(), vec![0; count]);
        let ran =
            threads.seat().unwrap().handle.spawn(async { thread::current().name().is_some() });
        assert!(pollster::block_on(ran).unwrap());
    }
}
