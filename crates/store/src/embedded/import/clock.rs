use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use leftfold_io::Clock;

/// No time is set: the clock shows that of the machine.
const UNSET: i64 = i64::MIN;

/// The clock of a store that is imported into: it shows the commit time of the event that is written.
pub(super) struct ImportClock {
    machine: Arc<dyn Clock>,
    micros: AtomicI64,
}

impl ImportClock {
    pub(super) fn new(machine: Arc<dyn Clock>) -> Self {
        ImportClock { machine, micros: AtomicI64::new(UNSET) }
    }

    /// Shows a time until another one is set.
    pub(super) fn show(&self, micros: i64) {
        self.micros.store(micros, Ordering::Release);
    }

    /// Shows the machine's time again.
    pub(super) fn follow_machine(&self) {
        self.show(UNSET);
    }

    /// Returns the machine's time.
    pub(super) fn machine_micros(&self) -> i64 {
        self.machine.now_micros()
    }
}

impl Clock for ImportClock {
    fn now_micros(&self) -> i64 {
        match self.micros.load(Ordering::Acquire) {
            UNSET => self.machine.now_micros(),
            micros => micros,
        }
    }
}
