use std::collections::BTreeMap;
use std::ops::Bound;
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
    /// How often each moment is waited for.
    waits: Mutex<BTreeMap<Timestamp, usize>>,
    changed: Event,
}

/// A wait that is counted until it is dropped.
struct WaitGuard {
    time: FakeTime,
    at: Timestamp,
}

impl WaitGuard {
    fn new(time: &FakeTime, at: Timestamp) -> Self {
        *time.inner.waits.lock().entry(at).or_default() += 1;
        WaitGuard { time: time.clone(), at }
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut waits = self.time.inner.waits.lock();
        if let Some(count) = waits.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                waits.remove(&self.at);
            }
        }
    }
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

    /// Returns the next moment after now that anything waits for.
    pub fn next_wait(&self) -> Option<Timestamp> {
        let (now, waits) = (self.now(), self.inner.waits.lock());
        let after = (Bound::Excluded(now), Bound::Unbounded);
        waits.range(after).next().map(|(at, _)| *at)
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
            let _wait = WaitGuard::new(&time, at);
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
