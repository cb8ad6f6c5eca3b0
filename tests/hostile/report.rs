//! What is printed, and what fails the run.

use std::time::Duration;

use crate::healthy::Seen;
use crate::served::Served;

const MIB: u64 = 1 << 20;

/// The lines so far, and what was wrong.
pub(crate) struct Report {
    bound: u64,
    pub(crate) failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(bound: u64) -> Self {
        println!("bound of memory: {} MiB", bound / MIB);
        println!(
            "{:<12} {:>6} {:>9} {:>9} {:>9}  refusals",
            "flood", "calls", "p50 ms", "p99 ms", "RSS MiB"
        );
        Report { bound, failures: Vec::new() }
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.failures.push(why);
    }

    /// Prints a flood's line, and notes what was wrong.
    pub(crate) fn add(
        &mut self,
        flood: &str,
        seen: Seen,
        served: &mut Served,
    ) -> anyhow::Result<()> {
        let peak = served.take_memory_peak();
        let [median, late] = [50, 99].map(|percent| percentile(&seen.times, percent));
        let reasons = seen.refusals.iter().map(|(why, times)| format!("{why} ({times})"));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        println!(
            "{flood:<12} {:>6} {:>9} {:>9} {:>9}  {}",
            seen.times.len(),
            milliseconds(median),
            milliseconds(late),
            peak.map_or("?".to_owned(), |peak| (peak / MIB).to_string()),
            reasons
        );
        if let Some(ended) = served.ended()? {
            anyhow::bail!("{flood}: the server has ended: {ended}");
        }
        if let Some(peak) = peak.filter(|peak| *peak > self.bound) {
            self.fail(format!(
                "{flood}: the server took {} MiB, expected at most {}",
                peak / MIB,
                self.bound / MIB
            ));
        }
        if !reasons.is_empty() {
            self.fail(format!("{flood}: calls of the healthy client were refused: {reasons}"));
        }
        Ok(())
    }
}

/// Returns a percentile of sorted times.
fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    times.get((times.len() * percent / 100).min(times.len().checked_sub(1)?)).copied()
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1_000.0))
}
