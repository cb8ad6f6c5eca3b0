use std::sync::Arc;

use tokio::sync::watch;

/// The signal that the server is shutting down. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    pub(crate) fn new() -> Self {
        Shutdown(Arc::new(watch::Sender::new(false)))
    }

    /// Gives the signal.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether the signal was given.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the signal is given.
    pub(crate) async fn begun(&self) {
        // No error: the sender is held here.
        _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}
