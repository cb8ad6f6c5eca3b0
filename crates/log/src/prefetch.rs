//! Lets the system begin to read several blocks before the first of them is waited for.

use std::ops::Range;
use std::sync::Arc;

use leftfold_io::File;

/// Another read costs a disk about as much as this many more bytes of the same read.
const GAP: u64 = 16 << 10;

/// A range of a file.
pub(crate) type FileRange = (Arc<dyn File>, Range<u64>);

/// Ranges of files that will be read soon. Ranges beside each other become one.
#[derive(Default)]
pub(crate) struct Prefetches {
    ranges: Vec<FileRange>,
    /// How many were added to `ranges`.
    added: usize,
}

impl Prefetches {
    pub(crate) fn add(&mut self, (file, range): FileRange) {
        self.added += 1;
        if let Some((last_file, last)) = self.ranges.last_mut()
            && Arc::ptr_eq(last_file, &file)
            && are_near(last, &range)
        {
            *last = last.start.min(range.start)..last.end.max(range.end);
            return;
        }
        self.ranges.push((file, range));
    }

    /// Passes the ranges on to the system. A single range that was added is left out: its reader, who
    /// comes next, asks for it as well.
    pub(crate) fn begin(&mut self) {
        let is_needed = self.added > 1;
        self.added = 0;
        for (file, range) in self.ranges.drain(..).filter(|_| is_needed) {
            file.prefetch(range.start, range.end - range.start);
        }
    }
}

fn are_near(one: &Range<u64>, other: &Range<u64>) -> bool {
    other.start <= one.end.saturating_add(GAP) && one.start <= other.end.saturating_add(GAP)
}

#[cfg(test)]
mod tests {
    use leftfold_io::fake::FakeDisk;
    use leftfold_io::{Disk, OpenMode};

    use super::*;

    #[test]
    fn near_ranges_of_a_file_are_one_read_and_a_single_range_is_left_to_its_reader() {
        let disk = FakeDisk::new();
        let [one, other] = ["a", "b"].map(|name| disk.open(name, OpenMode::Create).unwrap());
        let mut prefetches = Prefetches::default();
        let mut announced = |ranges: &[(&Arc<dyn File>, Range<u64>)]| {
            let before = disk.counts().announced;
            for (file, range) in ranges {
                prefetches.add(((*file).clone(), range.clone()));
            }
            prefetches.begin();
            disk.counts().announced - before
        };
        assert_eq!(announced(&[(&one, 0..10)]), 0);
        assert_eq!(announced(&[(&one, 0..10), (&one, 10..20), (&one, 20 + GAP..30 + GAP)]), 1);
        // A reader that goes backward.
        assert_eq!(announced(&[(&one, 3 * GAP..4 * GAP), (&one, 10..2 * GAP)]), 1);
        assert_eq!(announced(&[(&one, 0..10), (&one, 11 + GAP..20 + GAP)]), 2);
        assert_eq!(announced(&[(&one, 0..10), (&other, 10..20)]), 2);
        assert_eq!(announced(&[]), 0);
    }
}
