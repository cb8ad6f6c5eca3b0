use std::time::{Duration, Instant};

/// Decides whether a connection's thread does work that waits for a disk, or leaves it to another thread. To wake
/// that one, and be woken by it, takes tens of microseconds each, as an fsync or a read of a quick disk does.
/// So a client that waits for each answer is served faster by its connection's thread.
pub(crate) struct ThreadChoice {
    /// Pieces of work in a row that came when the thread had no other; negative while the thread must
    /// not be blocked.
    alone: i32,
    /// When this thread began to work.
    began: Option<Instant>,
    /// After work that takes longer, the thread does none for a while.
    slow: Duration,
    /// That while, in pieces of work.
    pause: i32,
}

impl ThreadChoice {
    /// Pieces of work in a row after which the client counts as one that waits for each answer.
    const ALONE: i32 = 8;

    /// Makes a choice that leaves this many pieces of work to other threads after one that took longer than this.
    pub(crate) const fn new(slow: Duration, pause: i32) -> Self {
        ThreadChoice { alone: 0, began: None, slow, pause }
    }

    /// Returns whether this thread is to do the next piece of work.
    pub(crate) fn take(&mut self, is_only: bool, now: Instant) -> bool {
        let here = is_only && self.alone >= Self::ALONE;
        self.alone = match is_only {
            true => (self.alone + 1).min(Self::ALONE),
            false => self.alone.min(0),
        };
        self.began = here.then_some(now);
        here
    }

    /// Notes that the work is done.
    pub(crate) fn answered(&mut self, now: Instant) {
        if self.began.take().is_some_and(|began| now - began > self.slow) {
            self.alone = -self.pause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_micros(500);
    const PAUSE: i32 = 100;

    #[test]
    fn the_thread_works_for_a_client_that_waits_for_each_answer() {
        let (mut choice, now) = (ThreadChoice::new(SLOW, PAUSE), Instant::now());
        let first = (0..20).position(|_| choice.take(true, now));
        assert_eq!(first, Some(ThreadChoice::ALONE as usize));
        assert!(!choice.take(false, now));
        let next = (0..20).position(|_| choice.take(true, now));
        assert_eq!(next, Some(ThreadChoice::ALONE as usize));
    }

    #[test]
    fn a_slow_disk_does_not_block_the_thread_again_soon() {
        let (mut choice, now) = (ThreadChoice::new(SLOW, PAUSE), Instant::now());
        while !choice.take(true, now) {}
        choice.answered(now + SLOW);
        assert!(choice.take(true, now));
        choice.answered(now + 2 * SLOW);
        let next = (0..1_000).position(|_| choice.take(true, now));
        assert_eq!(next, Some((PAUSE + ThreadChoice::ALONE) as usize));
    }
}
