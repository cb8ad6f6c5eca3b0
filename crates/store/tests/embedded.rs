//! The conformance suite against the embedded store: on a fake disk, with small segments.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::{Embedded, Options};

fn fresh(segment_bytes: u64) -> Box<Embedded> {
    let mut options = Options::default();
    options.log.segment_bytes = segment_bytes;
    options.log.preallocate = 4096;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let disk = Arc::new(FakeDisk::new());
    Box::new(Embedded::open_on(disk, clock, random, options).unwrap())
}

/// All in the open segment.
mod in_one_segment {
    leftfold_store::conformance_suite!(|| super::fresh(64 << 20));
}

/// Nearly every event in a segment of its own, most of them sealed.
mod in_many_segments {
    leftfold_store::conformance_suite!(|| super::fresh(300));
}
