//! Whether this node can serve a partition: decided by how often its own copy fails.
//!
//! What Kafka does not answer or refuses is no failure here: it would look the same to every node, and no partition may
//! move because Kafka was away.

use std::time::Duration;

use leftfold_api::Timestamp;
use leftfold_fold::time::later;

/// How long a copy keeps failing before its node gives the partition up.
const FAILING: Duration = Duration::from_secs(10);
/// The fewest failures before that: two may have an outage of Kafka between them.
const FAILURES: u32 = 3;
/// How long a copy must work before it counts as sound again.
const FIRST_PROBATION: Duration = Duration::from_secs(30);
/// The most that it must work after it has failed again and again.
const LONGEST_PROBATION: Duration = Duration::from_secs(480);

/// The failures of a node's copy, until it has worked for a while.
#[derive(Debug, Default)]
pub(super) struct Fitness {
    /// When the first of the failures came, and how many there were.
    failing: Option<(Timestamp, u32)>,
    is_unfit: bool,
    /// How often the node was unfit, with less than the longest probation between two times.
    relapses: u32,
    recovered: Option<Timestamp>,
}

impl Fitness {
    /// Notes that the copy has failed.
    pub(super) fn note_failure(&mut self, now: Timestamp) {
        let (since, count) = self.failing.unwrap_or((now, 0));
        self.failing = Some((since, count.saturating_add(1)));
        if self.is_unfit || count + 1 < FAILURES || now < later(since, FAILING) {
            return;
        }
        self.is_unfit = true;
        let is_relapse = self.recovered.is_some_and(|at| now < later(at, LONGEST_PROBATION));
        self.relapses = if is_relapse { self.relapses.saturating_add(1) } else { 0 };
    }

    /// Notes that the copy has worked for the whole [probation](Fitness::probation).
    pub(super) fn note_recovery(&mut self, now: Timestamp) {
        self.failing = None;
        if std::mem::take(&mut self.is_unfit) {
            self.recovered = Some(now);
        }
    }

    /// Returns whether the node should give the partition up.
    pub(super) fn is_unfit(&self) -> bool {
        self.is_unfit
    }

    /// Returns how long the copy must work until its failures are forgotten, or `None` if there are none. It doubles
    /// with each relapse, so that a disk that fails only under load moves the partition less and less often.
    pub(super) fn probation(&self) -> Option<Duration> {
        self.failing?;
        let factor = 2_u32.saturating_pow(self.relapses.min(10));
        Some(FIRST_PROBATION.saturating_mul(factor).min(LONGEST_PROBATION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    /// Fails at each of these seconds.
    fn fail(fitness: &mut Fitness, seconds: impl IntoIterator<Item = i64>) {
        seconds.into_iter().for_each(|second| fitness.note_failure(at(second)));
    }

    #[test]
    fn a_copy_that_fails_for_ten_seconds_is_unfit_until_its_probation_is_over() {
        let mut fitness = Fitness::default();
        assert_eq!((fitness.is_unfit(), fitness.probation()), (false, None));
        fail(&mut fitness, [0, 3, 9]);
        assert!(!fitness.is_unfit());
        fail(&mut fitness, [10]);
        assert!(fitness.is_unfit());
        assert_eq!(fitness.probation(), Some(Duration::from_secs(30)));
        fitness.note_recovery(at(45));
        assert_eq!((fitness.is_unfit(), fitness.probation()), (false, None));
    }

    #[test]
    fn two_failures_with_an_outage_between_them_are_not_enough() {
        let mut fitness = Fitness::default();
        fail(&mut fitness, [0, 600]);
        assert!(!fitness.is_unfit());
        fail(&mut fitness, [601]);
        assert!(fitness.is_unfit());
    }

    #[test]
    fn failures_before_a_recovery_do_not_count() {
        let mut fitness = Fitness::default();
        fail(&mut fitness, [0, 1, 2]);
        fitness.note_recovery(at(40));
        fail(&mut fitness, [41, 42, 50]);
        assert!(!fitness.is_unfit());
    }

    #[test]
    fn each_relapse_doubles_the_probation_up_to_a_limit_and_a_long_time_without_one_ends_that() {
        let (mut fitness, mut now, mut probations) = (Fitness::default(), 0, Vec::new());
        for _ in 0..6 {
            fail(&mut fitness, [now, now + 5, now + 10]);
            let probation = fitness.probation().unwrap().as_secs();
            probations.push(probation);
            now += 10 + i64::try_from(probation).unwrap();
            fitness.note_recovery(at(now));
        }
        assert_eq!(probations, [30, 60, 120, 240, 480, 480]);
        now += 480;
        fail(&mut fitness, [now, now + 5, now + 10]);
        assert_eq!(fitness.probation(), Some(FIRST_PROBATION));
    }
}
