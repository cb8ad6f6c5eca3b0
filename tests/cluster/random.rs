//! Numbers that look random, from a seed.

use std::time::Duration;

/// A generator; equal seeds give equal numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns a number below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64: any seed is as good as another one.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// Returns a time of `least` to `most` milliseconds.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }
}
