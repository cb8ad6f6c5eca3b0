//! Lets the system begin to read several blocks before the first of them is waited for.

use std::ops::Range;
use std::sync::Arc;

use leftfold_io::File;

/// Another read costs a disk about as much as this many more bytes of the same read.
const GAP: u64 = 16 << 10;

/// Ranges of files that will be read soon. Ranges beside each other become one.
#[derive(Default)]
pub(crate) struct Prefetches {
    ranges: Vec<(Arc<dyn File>, Range<u64>)>,
    /// How many were added to `ranges`.
    added: usize,
}

impl Prefetches {
    pub(crate) fn add(&mut self, file: Arc<dyn File>, range: Range<u64>) {
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
