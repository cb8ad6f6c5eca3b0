//! Live counters of a client.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many requests a client has made, and what it took; see [`Client::counts`](crate::Client::counts).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCounts {
    /// Appends, reads, subscriptions and other calls, each counted once.
    pub requests: u64,
    /// Attempts after an error that may pass.
    pub retries: u64,
    /// Subscriptions that found their server again.
    pub reconnects: u64,
}

/// The counters behind [`ClientCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) reconnects: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn read(&self) -> ClientCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClientCounts {
            requests: read(&self.requests),
            retries: read(&self.retries),
            reconnects: read(&self.reconnects),
        }
    }
}
