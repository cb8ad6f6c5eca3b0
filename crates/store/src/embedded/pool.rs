use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// A job of the pool. Each call is one turn; it returns `Break` when the job is done.
type Job = Box<dyn FnMut() -> ControlFlow<()> + Send>;

/// A few threads that read files for async callers, so that no runtime waits for a disk. Each caller has
/// at most one job here.
#[derive(Clone)]
pub(crate) struct Pool {
    queue: Arc<JobQueue>,
    /// The last clone closes the pool.
    _closer: Arc<CloseOnDrop>,
}

struct JobQueue {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    filled: Condvar,
}

struct CloseOnDrop(Arc<JobQueue>);

impl Pool {
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let queue = Arc::new(JobQueue { jobs: Mutex::default(), filled: Condvar::new() });
        for _ in 0..threads.max(1) {
            let queue = queue.clone();
            let name = "leftfold-reader".to_owned();
            std::thread::Builder::new().name(name).spawn(move || queue.work())?;
        }
        Ok(Pool { _closer: Arc::new(CloseOnDrop(queue.clone())), queue })
    }

    /// Runs work on one of the threads. Returns `None` if the pool was closed first.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let mut work = Some(work);
        self.run_in_turns(move || work.take().map(|work| work())).await
    }

    /// Runs work in turns: calls it until it returns an answer. Waiting jobs run between the turns.
    pub(crate) async fn run_in_turns<T: Send + 'static>(
        &self,
        mut work: impl FnMut() -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let (answer, waiting) = oneshot::channel();
        let mut answer = Some(answer);
        let job: Job = Box::new(move || {
            // If the caller has dropped its future, the job ends.
            if answer.as_ref().is_none_or(oneshot::Sender::is_closed) {
                return ControlFlow::Break(());
            }
            match work() {
                Some(done) => {
                    _ = answer.take().map(|answer| answer.send(done));
                    ControlFlow::Break(())
                }
                None => ControlFlow::Continue(()),
            }
        });
        self.queue.add(job);
        waiting.await.ok()
    }
}

impl JobQueue {
    fn add(&self, job: Job) {
        self.jobs.lock().0.push_back(job);
        self.filled.notify_one();
    }

    fn work(&self) {
        loop {
            let mut jobs = self.jobs.lock();
            let mut job = loop {
                match jobs.0.pop_front() {
                    Some(job) => break job,
                    None if jobs.1 => return,
                    None => self.filled.wait(&mut jobs),
                }
            };
            drop(jobs);
            // The panic hook has reported a panic; the caller gets no answer.
            let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut job));
            if matches!(turn, Ok(ControlFlow::Continue(()))) {
                self.add(job);
            }
        }
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.jobs.lock().1 = true;
        self.0.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_job_gets_its_turn_while_long_ones_go_on() {
        let pool = Pool::start(1).unwrap();
        let (stop, is_stopped) = (Arc::new(Mutex::new(false)), |stop: &Mutex<bool>| *stop.lock());
        let (seen, others) = (stop.clone(), pool.clone());
        let long = std::thread::spawn(move || {
            pollster::block_on(others.run_in_turns(move || is_stopped(&seen).then_some("long")))
        });
        // Without turns the only thread would never run this job.
        assert_eq!(pollster::block_on(pool.run(|| "short")), Some("short"));
        *stop.lock() = true;
        assert_eq!(long.join().unwrap(), Some("long"));
    }

    #[test]
    fn a_caller_that_leaves_ends_its_work() {
        let pool = Pool::start(1).unwrap();
        let mut left = Box::pin(pool.run_in_turns(|| None::<()>));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(left.as_mut().poll(&mut context).is_pending());
        drop(left);
        assert_eq!(pollster::block_on(pool.run(|| 1)), Some(1));
    }

    #[test]
    fn a_panic_ends_one_job_and_no_thread() {
        let pool = Pool::start(1).unwrap();
        assert_eq!(pollster::block_on(pool.run(|| panic!("in the middle"))), None::<()>);
        assert_eq!(pollster::block_on(pool.run(|| 1)), Some(1));
    }
}
