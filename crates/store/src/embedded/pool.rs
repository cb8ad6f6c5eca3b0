use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

/// A few threads that read for async callers, so that no caller's runtime waits for a disk. Each
/// caller has at most one job here; whoever dropped its future does not add another.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// The last clone closes the pool.
    _closer: Arc<Closer>,
}

struct Shared {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    filled: Condvar,
}

struct Closer(Arc<Shared>);

impl Pool {
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { jobs: Mutex::default(), filled: Condvar::new() });
        for _ in 0..threads.max(1) {
            let shared = shared.clone();
            let name = "leftfold-reader".to_owned();
            std::thread::Builder::new().name(name).spawn(move || shared.work())?;
        }
        Ok(Pool { _closer: Arc::new(Closer(shared.clone())), shared })
    }

    /// Runs the work on one of the threads; none if the pool was closed first.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, waiting) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Whoever dropped its future meanwhile wants no work to be done.
            if !answer.is_closed() {
                _ = answer.send(work());
            }
        });
        self.shared.jobs.lock().0.push_back(job);
        self.shared.filled.notify_one();
        waiting.await.ok()
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let mut jobs = self.jobs.lock();
            let job = loop {
                match jobs.0.pop_front() {
                    Some(job) => break job,
                    None if jobs.1 => return,
                    None => self.filled.wait(&mut jobs),
                }
            };
            drop(jobs);
            // A panic was reported where it happened; whoever waits for the answer gets none.
            _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.jobs.lock().1 = true;
        self.0.filled.notify_all();
    }
}
