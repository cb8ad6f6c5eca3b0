//! Polling for a moment before a thread sleeps (busy polling). To wake a sleeping thread takes tens of microseconds, above all
//! on a virtual machine, whose processor must be woken too; an answer from memory takes as many.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The most chances to poll that are passed by after polls that were in vain.
const MOST_PASSED: u32 = 63;
/// The longest time of a poll.
const MOST_TIME: Duration = Duration::from_millis(10);

/// The requests in progress of a thread that runs a network. The thread polls the network for a moment after its only request
/// has begun, since the answer may be near, and after that has ended, since the next request may be. With several requests
/// in progress it does not: other threads need the processors then, and seldom sleep.
#[derive(Debug, Default)]
pub struct Traffic {
    in_progress: AtomicUsize,
    /// How often a request has begun or ended.
    changes: AtomicUsize,
    changed: Notify,
    for_answers: BusyPoll,
    for_requests: BusyPoll,
}

impl Traffic {
    /// Polls for this time, and for 10 ms at most, before the thread sleeps; not at all if there is one processor only, which the other side needs.
    pub fn new(limit: Duration) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let limit = if processors > 1 { limit.min(MOST_TIME) } else { Duration::ZERO };
        Traffic {
            for_answers: BusyPoll::new(limit),
            for_requests: BusyPoll::new(limit),
            ..Traffic::default()
        }
    }

    /// Notes that a request begins; returns how many were in progress before.
    pub fn begin(&self) -> usize {
        let before = self.in_progress.fetch_add(1, Ordering::Relaxed);
        self.note_change();
        before
    }

    /// Notes that a request has ended.
    pub fn end(&self) {
        self.in_progress.fetch_sub(1, Ordering::Relaxed);
        self.note_change();
    }

    /// Returns how many requests are in progress.
    pub fn in_progress(&self) -> usize {
        self.in_progress.load(Ordering::Relaxed)
    }

    fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Polls whenever a request has begun or ended; it never returns. Tasks and network go on meanwhile, if the runtime has
    /// one thread, which runs this.
    pub async fn poll_network(&self) {
        let mut seen = 0;
        loop {
            let changed = self.changed.notified();
            if self.changes.load(Ordering::Acquire) == seen {
                changed.await;
            }
            loop {
                seen = self.changes.load(Ordering::Acquire);
                let poll = match self.in_progress.load(Ordering::Relaxed) {
                    0 => &self.for_requests,
                    1 => &self.for_answers,
                    _ => break,
                };
                if !poll.until(|| self.changes.load(Ordering::Acquire) != seen).await {
                    break;
                }
            }
        }
    }
}

/// Decides when to poll. After each poll in vain twice as many chances are passed by, up to 63, and after a useful one none:
/// who mostly waits for longer polls at one chance of 64.
#[derive(Debug, Default)]
struct BusyPoll {
    limit: Duration,
    passed_by: AtomicU32,
    to_pass: AtomicU32,
}

impl BusyPoll {
    fn new(limit: Duration) -> Self {
        BusyPoll { limit, ..BusyPoll::default() }
    }

    /// Polls until something is so, for the time of one poll at most. Between two looks the runtime goes on, and other threads
    /// may have the processor. Returns false if it was not so in time, or if this chance is passed by.
    async fn until(&self, is_so: impl Fn() -> bool) -> bool {
        if self.limit.is_zero() || !self.takes_chance() {
            return false;
        }
        let started = Instant::now();
        while started.elapsed() < self.limit {
            tokio::task::yield_now().await;
            if is_so() {
                self.to_pass.store(0, Ordering::Relaxed);
                return true;
            }
            thread::yield_now();
        }
        let more = self.to_pass.load(Ordering::Relaxed) * 2 + 1;
        self.to_pass.store(more.min(MOST_PASSED), Ordering::Relaxed);
        false
    }

    fn takes_chance(&self) -> bool {
        let passed_by = self.passed_by.fetch_add(1, Ordering::Relaxed);
        let takes = passed_by >= self.to_pass.load(Ordering::Relaxed);
        if takes {
            self.passed_by.store(0, Ordering::Relaxed);
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::runtime::Builder;

    use super::*;

    fn run<T>(task: impl Future<Output = T>) -> T {
        Builder::new_current_thread().build().unwrap().block_on(task)
    }

    #[test]
    fn what_happens_within_the_time_is_seen_and_other_tasks_go_on() {
        let poll = BusyPoll::new(Duration::from_secs(60));
        assert!(run(async {
            let other = tokio::spawn(async { tokio::task::yield_now().await });
            poll.until(|| other.is_finished()).await
        }));
    }

    #[test]
    fn a_poll_is_bounded() {
        let traffic = Traffic::new(Duration::MAX);
        assert!(traffic.for_answers.limit <= MOST_TIME && traffic.for_requests.limit <= MOST_TIME);
    }

    /// Chances that are passed by between polls: 0, 1, 3, 7, 15, 31, and then 63 each time.
    #[test]
    fn polls_in_vain_become_rare_until_one_is_useful() {
        let (looks, poll) = (AtomicUsize::new(0), BusyPoll::new(Duration::from_nanos(1)));
        run(async {
            for _ in 0..1_000 {
                let look = || looks.fetch_add(1, Ordering::Relaxed) > usize::MAX / 2;
                assert!(!poll.until(look).await);
            }
        });
        assert!(looks.into_inner() <= 6 + (1_000 - 63) / 64 + 1);
        assert_eq!(poll.to_pass.load(Ordering::Relaxed), MOST_PASSED);

        let poll = BusyPoll { limit: Duration::from_secs(60), ..poll };
        poll.passed_by.store(MOST_PASSED, Ordering::Relaxed);
        let looks = AtomicUsize::new(0);
        assert!(run(poll.until(|| looks.fetch_add(1, Ordering::Relaxed) == 2)));
        assert_eq!(poll.to_pass.load(Ordering::Relaxed), 0);
    }

    /// Returns how often a thread with a number of requests has slept until another thread had answered one.
    fn sleeps_until_answered(limit: Duration, requests: usize) -> usize {
        let sleeps = Arc::new(AtomicUsize::new(0));
        let counted = sleeps.clone();
        let sleep = move || _ = counted.fetch_add(1, Ordering::Relaxed);
        let runtime = Builder::new_current_thread().on_thread_park(sleep).build().unwrap();
        let traffic = Traffic {
            for_answers: BusyPoll::new(limit),
            for_requests: BusyPoll::new(limit),
            ..Traffic::default()
        };
        let (answer, mut answered) = tokio::sync::oneshot::channel();
        let answering = async {
            (0..requests).for_each(|_| _ = traffic.begin());
            thread::spawn(move || answer.send(()).unwrap());
            (&mut answered).await.unwrap();
        };
        runtime.block_on(async {
            tokio::select! {
                () = answering => {}
                () = traffic.poll_network() => {}
            }
        });
        sleeps.load(Ordering::Relaxed)
    }

    #[test]
    fn a_thread_does_not_sleep_before_the_answer() {
        let limit = Duration::from_secs(60);
        assert_eq!(sleeps_until_answered(limit, 1), 0);
        // Otherwise it does, unless the other thread is sooner.
        assert!((0..1_000).any(|_| sleeps_until_answered(Duration::ZERO, 1) > 0));
        assert!((0..1_000).any(|_| sleeps_until_answered(limit, 2) > 0));
    }

    /// A change between the last look and the sleep must not be slept over.
    #[test]
    fn the_network_is_polled_after_changes_by_other_threads() {
        let traffic = Traffic {
            for_answers: BusyPoll::new(Duration::from_secs(60)),
            for_requests: BusyPoll::new(Duration::from_secs(60)),
            ..Traffic::default()
        };
        let seen = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=1_000 {
                    assert_eq!(traffic.begin(), 0);
                    traffic.end();
                    while seen.load(Ordering::Acquire) < round {
                        thread::yield_now();
                    }
                }
            });
            run(async {
                let mut polling = std::pin::pin!(traffic.poll_network());
                while seen.load(Ordering::Acquire) < 1_000 {
                    let polled = std::future::poll_fn(|context| {
                        std::task::Poll::Ready(polling.as_mut().poll(context).is_ready())
                    });
                    assert!(!polled.await);
                    seen.store(traffic.changes.load(Ordering::Acquire) / 2, Ordering::Release);
                    tokio::task::yield_now().await;
                }
            });
        });
        assert_eq!(traffic.in_progress.into_inner(), 0);
    }
}
