use std::sync::atomic::{AtomicI64, Ordering};

use crate::Clock;

/// A clock that only the test moves.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Creates a clock that shows this time, in microseconds since 1970.
    pub fn at(micros: i64) -> Self {
        ManualClock(AtomicI64::new(micros))
    }

    /// Moves the clock forward, or backward by a negative number.
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
