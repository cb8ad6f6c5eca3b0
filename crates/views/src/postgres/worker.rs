//! The thread on which PostgreSQL is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::lock::Mutex as AsyncMutex;
use leftfold_fold::view::{ViewError, WriterThread};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use super::error::Failure;

/// A thread with an executor of its own, for connections and all that waits for them: the caller may run on any. It
/// does one call after the other, so that a commit whose caller is gone ends before its result is looked up.
#[derive(Clone, Default)]
pub(crate) struct Worker(Arc<WorkerThreads>);

#[derive(Default)]
struct WorkerThreads {
    thread: AsyncMutex<WriterThread>,
    /// Made by the first call.
    runtime: Mutex<Option<Arc<OwnRuntime>>>,
}

/// A runtime that may be dropped within another.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn new() -> Result<Self, ViewError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(OwnRuntime(Some(runtime.map_err(ViewError::rows)?)))
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Set when the caller of a call is gone.
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Worker {
    fn runtime(&self) -> Result<Arc<OwnRuntime>, ViewError> {
        let mut made = self.0.runtime.lock();
        if let Some(runtime) = &*made {
            return Ok(runtime.clone());
        }
        Ok(made.insert(Arc::new(OwnRuntime::new()?)).clone())
    }

    /// Does work on the thread. If the caller is gone before it begins, it is not done.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let abandoned = Arc::new(AtomicBool::new(false));
        let (of_thread, runtime) = (abandoned.clone(), self.runtime()?);
        let _abandoned = Abandoned(abandoned);
        let work = move || {
            let gone = || Failure::View(ViewError::rows("the caller is gone"));
            let Some(runtime) = runtime.0.as_ref().filter(|_| !of_thread.load(Ordering::Acquire))
            else {
                return Ok(Err(gone()));
            };
            Ok(runtime.block_on(async {
                let done = work().await;
                // A connection that is not needed any more says goodbye.
                tokio::task::yield_now().await;
                done
            }))
        };
        self.0.thread.lock().await.call(work).await?
    }
}
