use std::time::{Duration, Instant};

use super::Maintenance;

/// Limits the speed of one job of maintenance.
pub(crate) struct Throttle<'a> {
    maintenance: &'a Maintenance,
    started: Instant,
    bytes: u64,
}

impl Maintenance {
    /// Returns a throttle for a job that begins now.
    pub(crate) fn throttle(&self) -> Throttle<'_> {
        Throttle { maintenance: self, started: Instant::now(), bytes: 0 }
    }
}

impl Throttle<'_> {
    /// Adds bytes that were processed, and waits until the limit allows more. Returns false if the store
    /// is being closed.
    pub(crate) fn wait(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        let due = self.bytes as f64 / self.maintenance.bytes_per_second as f64;
        let due = self.started + Duration::from_secs_f64(due);
        let mut state = self.maintenance.state.lock();
        while state.has_threads && !state.closing && Instant::now() < due {
            self.maintenance.changed.wait_until(&mut state, due);
        }
        !state.closing
    }
}
