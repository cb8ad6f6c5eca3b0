//! Runs the conformance suite against the embedded store, on a fake disk with small segments.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod elsewhere;
mod prepared;

use std::sync::Arc;

use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::{Compression, Embedded, Options};

fn fresh(segment_bytes: u64, compression: Compression) -> Embedded {
    let mut options = Options { compression, ..Options::default() };
    options.log.segment_bytes = segment_bytes;
    options.log.preallocate = 4096;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let disk = Arc::new(FakeDisk::new());
    Embedded::open_on(disk, clock, random, options).unwrap()
}

/// All events are in the open segment.
mod in_one_segment {
    use leftfold_store::Compression;
    leftfold_api::conformance_suite!(|| Box::new(super::fresh(64 << 20, Compression::Fast)));
}

/// Nearly every event has its own segment, and most segments are sealed.
mod in_many_segments {
    use leftfold_store::Compression;
    leftfold_api::conformance_suite!(|| Box::new(super::fresh(300, Compression::Off)));
}

/// The same with compressed segments.
mod in_many_compressed_segments {
    use leftfold_store::Compression;
    leftfold_api::conformance_suite!(|| Box::new(super::fresh(300, Compression::Small)));
}

/// The same with scavenging before every call: no answer may depend on it.
mod scavenged_before_every_call {
    use leftfold_store::Compression;
    leftfold_api::conformance_suite!(|| {
        let store = super::fresh(300, Compression::Fast);
        Box::new(super::prepared::Prepared {
            store,
            prepare: |store| drop(store.scavenge(|_, _| {}).unwrap()),
        })
    });
}

/// Batches are confirmed by another thread, and empty frames take a position.
mod confirmed_elsewhere {
    leftfold_api::conformance_suite!(|| Box::new(super::elsewhere::fresh(64 << 20)));
}

/// The same with small segments.
mod confirmed_elsewhere_in_many_segments {
    leftfold_api::conformance_suite!(|| Box::new(super::elsewhere::fresh(300)));
}

/// The same, and between any two calls some positions hold no event.
mod with_gaps_between_positions {
    leftfold_api::conformance_suite!(|| super::elsewhere::with_gaps(64 << 20));
}

/// The same with small segments.
mod with_gaps_between_positions_in_many_segments {
    leftfold_api::conformance_suite!(|| super::elsewhere::with_gaps(300));
}
