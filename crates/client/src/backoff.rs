use std::time::Duration;

use tokio::time::Instant;

/// The first pause.
const FIRST: Duration = Duration::from_millis(20);
/// The longest.
const LONGEST: Duration = Duration::from_secs(2);

/// Back-off with jitter: pauses that double, each shortened by a random part of up to one half. So
/// many clients that lost the same server do not reconnect at once.
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Backoff { next: FIRST }
    }

    /// Begins again with the first pause, after a success.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Waits and returns true; returns false at once if the pause would end after the deadline.
    pub(crate) async fn pause(&mut self, deadline: Instant) -> bool {
        let pause = self.length();
        let until = Instant::now() + pause;
        if until >= deadline {
            return false;
        }
        tokio::time::sleep_until(until).await;
        true
    }

    fn length(&mut self) -> Duration {
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let (half, share) = (self.next / 2, f64::from(random) / f64::from(u32::MAX));
        self.next = (self.next * 2).min(LONGEST);
        half + half.mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_reset() {
        let mut backoff = Backoff::new();
        let lengths: Vec<_> = (0..12).map(|_| backoff.length()).collect();
        assert!(lengths[0] >= FIRST / 2 && lengths[0] <= FIRST, "{lengths:?}");
        assert!(lengths[11] >= LONGEST / 2 && lengths[11] <= LONGEST, "{lengths:?}");
        backoff.reset();
        assert!(backoff.length() <= FIRST);
    }
}
