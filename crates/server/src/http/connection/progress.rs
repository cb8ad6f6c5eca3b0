//! Whether the client takes the answer of a stream of HTTP/2. Its connection may go on while a stream does not: the
//! client grants it no window.

use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    /// The stream that the task serves.
    static STREAM: Arc<StreamProgress>;
}

/// Since when the answer of a stream waits for its client; `None` while it waits for the server.
#[derive(Default)]
pub(super) struct StreamProgress {
    waiting_since: Mutex<Option<Instant>>,
}

impl StreamProgress {
    /// Returns that of the stream that is being served, or `None` over HTTP/1.1: its one answer is the connection's.
    pub(super) fn of_stream() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    /// Notes that the client is to take something.
    pub(super) fn waits_for_client(&self) {
        *self.waiting_since.lock() = Some(Instant::now());
    }

    /// Notes that the client has room for more.
    pub(super) fn has_room(&self) {
        *self.waiting_since.lock() = None;
    }

    /// Waits until the client has taken nothing for this time; up to twice as long, since it looks only now and then.
    async fn stalled(&self, within: Duration) {
        loop {
            let since = *self.waiting_since.lock();
            match since.map(|since| since + within) {
                Some(due) if due <= Instant::now() => return,
                Some(due) => sleep_until(due).await,
                None => sleep_until(Instant::now() + within).await,
            }
        }
    }
}

/// Serves each stream of HTTP/2 on a task of its own, until it is done or its client takes nothing of it.
#[derive(Clone, Copy)]
pub(super) struct StreamExecutor {
    /// `limits.write_time`.
    pub(super) within: Duration,
}

impl<S> Executor<S> for StreamExecutor
where
    S: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: S) {
        let (progress, within) = (Arc::<StreamProgress>::default(), self.within);
        tokio::spawn(async move {
            let served = STREAM.scope(progress.clone(), stream);
            tokio::select! {
                biased;
                _ = served => {}
                // What is dropped here resets the stream, and returns what its answer held.
                () = progress.stalled(within) => tracing::debug!("a client takes nothing of a stream"),
            }
        });
    }
}
