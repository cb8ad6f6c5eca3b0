//! What the run of an outbox has measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::Gauges;
use super::super::status::GaugesCell;
use super::statements::Batch;

/// What the run of an outbox has measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) events: u64,
    pub(super) skipped: u64,
    held: u64,
    /// The age of the oldest row that waits, and when it was measured.
    waiting: Option<(Duration, Instant)>,
}

impl Measured {
    /// Notes what a poll has found.
    pub(super) fn note(&mut self, batch: &Batch) {
        self.held = batch.held as u64;
        self.note_age(batch.age.unwrap_or_default());
    }

    /// Notes the age of the oldest row that waits; zero if none does.
    pub(super) fn note_age(&mut self, age: Duration) {
        self.waiting = Some((age, Instant::now()));
    }

    /// Shows what a run measures from now on.
    pub(super) fn show(measured: &Arc<Mutex<Measured>>, gauges: &GaugesCell) {
        let shown = measured.clone();
        gauges.show(move || {
            let gauges = shown.lock().gauges();
            Box::pin(std::future::ready(gauges))
        });
    }

    fn gauges(&self) -> Gauges {
        // A row that waits becomes older also while nothing is measured.
        let lag = self.waiting.map(|(age, at)| match age {
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
