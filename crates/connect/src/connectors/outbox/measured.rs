//! What the run of an outbox has measured.

use std::time::{Duration, Instant};

use super::super::Gauges;
use super::rows::Batch;

/// What the run of an outbox has measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) events: u64,
    pub(super) skipped: u64,
    held: u64,
    /// The age of the oldest row that waited at the last poll, and when that was.
    polled: Option<(Duration, Instant)>,
}

impl Measured {
    /// Notes what a poll has found.
    pub(super) fn note(&mut self, batch: &Batch) {
        self.held = batch.held as u64;
        self.polled = Some((batch.age.unwrap_or_default(), Instant::now()));
    }

    pub(super) fn gauges(&self) -> Gauges {
        // A row that waits becomes older also while no poll ends.
        let lag = self.polled.map(|(age, at)| match age {
            Duration::ZERO => Duration::ZERO,
            age => age.saturating_add(at.elapsed()),
        });
        Gauges {
            events: self.events,
            skipped: self.skipped,
            held: self.held,
            lag_micros: lag.and_then(|lag| u64::try_from(lag.as_micros()).ok()),
        }
    }
}
