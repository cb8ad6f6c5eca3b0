//! A directory maps the first bits of a key to the range of entries that may hold it.

use super::layout::Section;

/// The average number of keys per bucket.
const KEYS_PER_BUCKET: u64 = 32;
/// Bytes of a bucket.
pub(super) const WIDTH: u64 = 4;

/// Returns the number of buckets for a number of keys, a power of two.
pub(super) fn buckets_for(keys: u64) -> u64 {
    (keys / KEYS_PER_BUCKET).max(1).next_power_of_two()
}

/// Returns the bucket of a key: its first bits. `high` has its first 64 bits.
pub(super) fn bucket_of(high: u64, buckets: u64) -> u64 {
    match buckets.trailing_zeros() {
        0 => 0,
        bits => high >> (64 - bits),
    }
}

/// Returns whether a section has a power of two of buckets, and one more for the end.
pub(super) fn is_directory(section: &Section) -> bool {
    let length = section.length.get();
    length.is_multiple_of(WIDTH) && buckets_in(section).is_power_of_two()
}

pub(super) fn buckets_in(section: &Section) -> u64 {
    (section.length.get() / WIDTH).saturating_sub(1)
}

/// A directory under construction; keys are added in order.
pub(super) struct Directory {
    buckets: u64,
    starts: Vec<u32>,
    keys: u32,
}

impl Directory {
    /// Creates a directory for at most `keys` keys.
    pub(super) fn for_at_most(keys: u64) -> Self {
        let buckets = buckets_for(keys);
        Directory { buckets, starts: Vec::with_capacity(buckets as usize + 1), keys: 0 }
    }

    /// Adds a key by its first 64 bits.
    pub(super) fn add(&mut self, high: u64) {
        let bucket = bucket_of(high, self.buckets) as usize;
        while self.starts.len() <= bucket {
            self.starts.push(self.keys);
        }
        self.keys += 1;
    }

    /// Returns the bytes of the directory, with the number of buckets that fits its keys.
    ///
    /// Every second start of a directory is the directory of half as many buckets.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.starts.resize(self.buckets as usize + 1, self.keys);
        let every = (self.buckets / buckets_for(self.keys.into())).max(1);
        let starts = self.starts.iter().step_by(every as usize);
        starts.flat_map(|start| start.to_le_bytes()).collect()
    }
}
