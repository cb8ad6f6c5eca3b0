use std::time::{Duration, Instant};

use super::Maintenance;

/// Slows down what is done in the background.
pub(crate) struct Pace<'a> {
    upkeep: &'a Maintenance,
    started: Instant,
    bytes: u64,
}

impl Maintenance {
    /// Starts work that is to be slow.
    pub(crate) fn pace(&self) -> Pace<'_> {
        Pace { upkeep: self, started: Instant::now(), bytes: 0 }
    }
}

impl Pace<'_> {
    /// So many bytes are done: waits until they should be. False if the store is being closed.
    pub(crate) fn go_on(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        let due = self.bytes as f64 / self.upkeep.bytes_per_second as f64;
        let due = self.started + Duration::from_secs_f64(due);
        let mut state = self.upkeep.state.lock();
        while state.threaded && !state.closing && Instant::now() < due {
            self.upkeep.changed.wait_until(&mut state, due);
        }
        !state.closing
    }
}
