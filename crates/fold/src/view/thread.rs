use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use leftfold_io::run_behind_others;

use super::ViewError;

type Job = Box<dyn FnOnce() + Send>;

/// A thread for calls that wait for a disk, so that they do not block an executor.
///
/// It starts with the first call and does one call after the other: a call whose caller is gone is
/// done before the next one begins. Dropping the thread waits for the current call. Other threads of the process run
/// before it.
#[derive(Default)]
pub struct WriterThread {
    started: Option<Started>,
}

struct Started {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl WriterThread {
    /// Makes a thread that has not started yet.
    pub fn new() -> Self {
        WriterThread::default()
    }

    /// Makes a call on the thread and waits for its answer. If the future is dropped, the call is
    /// still made. If no thread can be started, the call is made on the caller's thread.
    ///
    /// # Errors
    /// `view_rows_failed`: the call panicked.
    pub async fn call<T: Send + 'static>(
        &mut self,
        call: impl FnOnce() -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, ViewError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            let done = catch_unwind(AssertUnwindSafe(call));
            let done = done.unwrap_or_else(|panic| Err(ViewError::rows(panic_text(&*panic))));
            // The caller may be gone.
            _ = answer.send(done);
        });
        match self.jobs() {
            Some(jobs) => {
                if let Err(mpsc::SendError(job)) = jobs.send(job) {
                    job();
                }
            }
            None => job(),
        }
        answered.await.unwrap_or_else(|_| Err(ViewError::rows("the writer thread has ended")))
    }

    fn jobs(&mut self) -> Option<&mpsc::Sender<Job>> {
        if self.started.is_none() {
            let (jobs, queue) = mpsc::channel::<Job>();
            let thread = thread::Builder::new().name("leftfold-view".to_owned());
            let work = move || {
                run_behind_others();
                queue.into_iter().for_each(|job| job());
            };
            let thread = thread.spawn(work).ok()?;
            self.started = Some(Started { jobs, thread });
        }
        self.started.as_ref().map(|started| &started.jobs)
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        let Some(Started { jobs, thread }) = self.started.take() else { return };
        drop(jobs);
        // The last reference to a task may be its waker, which this thread itself drops.
        if thread.thread().id() != thread::current().id() {
            _ = thread.join();
        }
    }
}

/// Calls the code of a view; a panic becomes the error of its event. What the code was changing must be
/// rolled back after an error.
pub fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, ViewError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| ViewError::event(panic_text(&*panic)))
}

/// Returns the error text for a panic.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    format!("it panicked: {}", crate::panic::panic_text(panic))
}
