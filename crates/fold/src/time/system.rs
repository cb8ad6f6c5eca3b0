use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, LazyLock};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use leftfold_api::Timestamp;
use leftfold_io::{Clock, SystemClock};
use parking_lot::{Condvar, Mutex};

use super::{Time, Waiting, time_until};

/// The longest sleep of the thread between looks at the clock, because the clock may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The system's clock. One thread serves all waits; it starts with the first wait.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemTime;

/// The moment, and a number that tells equal moments apart.
type Key = (Timestamp, u64);

#[derive(Default)]
struct WaitQueue {
    wakers: Mutex<Wakers>,
    added: Condvar,
}

/// The wakers by moment.
#[derive(Default)]
struct Wakers {
    count: u64,
    by_moment: BTreeMap<Key, Waker>,
}

static WAITS: LazyLock<Option<Arc<WaitQueue>>> = LazyLock::new(|| {
    let waits = Arc::new(WaitQueue::default());
    let of_thread = waits.clone();
    let thread = thread::Builder::new().name("leftfold-time".to_owned());
    thread.spawn(move || of_thread.run()).ok().map(|_| waits)
});

impl WaitQueue {
    fn run(&self) {
        loop {
            let mut wakers = self.wakers.lock();
            let now = SystemTime.now();
            let after = (Timestamp(now.micros().saturating_add(1)), 0);
            let later = wakers.by_moment.split_off(&after);
            let due = std::mem::replace(&mut wakers.by_moment, later);
            if due.is_empty() {
                let first = wakers.by_moment.first_key_value();
                let next = first.map(|((at, _), _)| time_until(now, *at));
                let sleep = next.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
                self.added.wait_until(&mut wakers, Instant::now() + sleep);
            }
            drop(wakers);
            due.into_values().for_each(Waker::wake);
        }
    }

    fn add(&self, at: Timestamp, waker: Waker) -> Key {
        let mut wakers = self.wakers.lock();
        wakers.count += 1;
        let key = (at, wakers.count);
        wakers.by_moment.insert(key, waker);
        self.added.notify_one();
        key
    }
}

/// A registration of a wait, removed when the wait is dropped.
struct WaitGuard(Option<Key>);

impl WaitGuard {
    fn cancel(&mut self) {
        if let (Some(key), Some(waits)) = (self.0.take(), &*WAITS) {
            waits.wakers.lock().by_moment.remove(&key);
        }
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Time for SystemTime {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now_micros())
    }

    fn until(&self, at: Timestamp) -> Waiting {
        let mut guard = WaitGuard(None);
        Box::pin(poll_fn(move |context| {
            guard.cancel();
            if SystemTime.now() >= at {
                return Poll::Ready(());
            }
            match &*WAITS {
                Some(waits) => guard.0 = Some(waits.add(at, context.waker().clone())),
                // There is no thread to wake the task, so it polls.
                None => context.waker().wake_by_ref(),
            }
            Poll::Pending
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_end_in_the_order_of_their_moments() {
        let now = SystemTime.now();
        let at = |millis| super::super::later(now, Duration::from_millis(millis));
        pollster::block_on(async {
            let late = SystemTime.until(at(60));
            SystemTime.until(at(20)).await;
            assert!(SystemTime.now() >= at(20));
            drop(SystemTime.until(at(1_000_000)));
            late.await;
            assert!(SystemTime.now() >= at(60));
        });
    }
}
