use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use leftfold_api::Timestamp;
use parking_lot::Mutex;

use super::{Time, Waiting, later};

/// A clock that stands still until it is moved. Its clones share the time.
#[derive(Debug, Clone, Default)]
pub struct FakeTime {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    micros: Mutex<i64>,
    changed: Event,
}

impl FakeTime {
    /// Makes a clock that shows this time.
    pub fn at(now: Timestamp) -> Self {
        let time = FakeTime::default();
        time.set(now);
        time
    }

    /// Moves the clock forward, and wakes the waits that are due.
    pub fn advance(&self, by: Duration) {
        self.set(later(self.now(), by));
    }

    /// Sets the clock, perhaps backwards.
    pub fn set(&self, now: Timestamp) {
        *self.inner.micros.lock() = now.micros();
        self.inner.changed.notify(usize::MAX);
    }
}

impl Time for FakeTime {
    fn now(&self) -> Timestamp {
        Timestamp(*self.inner.micros.lock())
    }

    fn until(&self, at: Timestamp) -> Waiting {
        let time = self.clone();
        Box::pin(async move {
            loop {
                // Listen before checking, so that no change is missed.
                let changed = time.inner.changed.listen();
                if time.now() >= at {
                    return;
                }
                changed.await;
            }
        })
    }
}
