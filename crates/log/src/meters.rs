pub use leftfold_api::Histogram;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Values up to 2^40 are counted by powers of two; larger ones count with the last.
const BUCKETS: usize = 41;

/// Counts values by powers of two. One thread adds, any thread reads.
#[derive(Debug)]
pub(crate) struct Meter {
    sum: AtomicU64,
    counts: [AtomicU64; BUCKETS],
}

/// The meters of the writer.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// Appends of a batch, which one write and one sync serve.
    pub(crate) batch: Meter,
    /// The microseconds of each sync.
    pub(crate) sync: Meter,
    /// The commit time of the last append.
    pub(crate) commit_time: AtomicI64,
}

impl Default for Meter {
    fn default() -> Self {
        Meter { sum: AtomicU64::new(0), counts: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl Meter {
    pub(crate) fn add(&self, value: u64) {
        let power = value.checked_next_power_of_two().map_or(BUCKETS, |next| next.ilog2() as usize);
        self.sum.fetch_add(value, Ordering::Relaxed);
        if let Some(count) = self.counts.get(power.min(BUCKETS - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> Histogram {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Histogram { sum: self.sum.load(Ordering::Relaxed), counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_values_by_powers_of_two() {
        let meter = Meter::default();
        for value in [0, 1, 2, 3, 4, 5, 1 << 50, u64::MAX >> 1] {
            meter.add(value);
        }
        let Histogram { counts, .. } = meter.read();
        assert_eq!((&counts[..4], counts[40]), (&[2, 1, 2, 1][..], 2));
        assert_eq!(counts.iter().sum::<u64>(), 8);
    }
}
