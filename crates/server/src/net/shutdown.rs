use std::sync::Arc;

use tokio::sync::watch;

/// The signal that the server is shutting down. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    pub(crate) fn new() -> Self {
        Shutdown(Arc::new(watch::Sender::new(false)))
    }

    /// Begins the shutdown.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether the shutdown has begun.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the shutdown begins.
    pub(crate) async fn begun(&self) {
        // No error: the sender is held here.
        _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}
