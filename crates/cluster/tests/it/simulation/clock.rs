use leftfold_api::Timestamp;
use leftfold_fold::time::{FakeTime, Time, Waiting};
use leftfold_io::Clock;

/// The clock of one machine: ahead of the true time or behind it.
#[derive(Debug, Clone)]
pub(crate) struct MachineClock {
    time: FakeTime,
    ahead: i64,
}

impl MachineClock {
    pub(crate) fn new(time: FakeTime, ahead: i64) -> Self {
        MachineClock { time, ahead }
    }
}

impl Time for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.time.now().micros() + self.ahead)
    }

    fn until(&self, at: Timestamp) -> Waiting {
        self.time.until(Timestamp(at.micros().saturating_sub(self.ahead)))
    }
}

impl Clock for MachineClock {
    fn now_micros(&self) -> i64 {
        self.now().micros()
    }
}
