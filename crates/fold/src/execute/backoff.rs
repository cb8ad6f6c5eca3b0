//! Back-off between the attempts at a command.

use std::sync::Arc;
use std::time::Duration;

use leftfold_io::{OsRandom, Random};

use crate::time::{SystemTime, Time};

/// The conflicts after which a command is decided again at once: most commands meet one other.
const AT_ONCE: u32 = 2;
/// The bound of the first pause.
const FIRST: Duration = Duration::from_millis(1);
/// The largest bound.
const LONGEST: Duration = Duration::from_millis(100);

/// The clock and the randomness of the pauses.
#[derive(Clone)]
pub(crate) struct Backoff {
    pub(crate) time: Arc<dyn Time>,
    pub(crate) random: Arc<dyn Random>,
}

impl Backoff {
    /// Returns a back-off with the system's clock and randomness; in a simulation, with the
    /// simulation's.
    pub(crate) fn new() -> Self {
        #[cfg(feature = "testing")]
        if let Some(simulated) = crate::testing::simulated_backoff() {
            return simulated;
        }
        Backoff { time: Arc::new(SystemTime), random: Arc::new(OsRandom) }
    }

    /// Pauses after this number of conflicts: for a random time up to a bound that doubles with each
    /// (full jitter), so that commands which met do not meet again.
    pub(crate) async fn pause(&self, conflicts: u32) {
        let bound = bound(conflicts).as_micros();
        if bound > 0 {
            let micros = self.random.next_u128() % (bound + 1);
            let pause = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
            self.time.after(pause).await;
        }
    }
}

fn bound(conflicts: u32) -> Duration {
    match conflicts.checked_sub(AT_ONCE + 1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_a_pause_grows_up_to_a_limit() {
        let millis: Vec<_> = (0..12).map(|conflicts| bound(conflicts).as_millis()).collect();
        assert_eq!(millis, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 100, 100]);
        assert_eq!(bound(u32::MAX), LONGEST);
    }
}
