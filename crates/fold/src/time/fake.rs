use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use leftfold_api::Timestamp;
use parking_lot::Mutex;

use super::{Time, Waiting, later};

/// A time that stands still until it is moved. Its clones are one.
#[derive(Debug, Clone, Default)]
pub struct FakeTime {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    micros: Mutex<i64>,
    moved: Event,
}

impl FakeTime {
    /// It is this moment.
    pub fn at(now: Timestamp) -> Self {
        let time = FakeTime::default();
        time.set(now);
        time
    }

    /// Goes on by so much, and wakes who has waited for it.
    pub fn advance(&self, by: Duration) {
        self.set(later(self.now(), by));
    }

    /// Jumps to a moment, maybe backwards.
    pub fn set(&self, now: Timestamp) {
        *self.inner.micros.lock() = now.micros();
        self.inner.moved.notify(usize::MAX);
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
                // Listen before looking: a move in between is not missed.
                let moved = time.inner.moved.listen();
                if time.now() >= at {
                    return;
                }
                moved.await;
            }
        })
    }
}
