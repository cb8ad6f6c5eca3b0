//! Runs the conformance suite against the embedded store, on a fake disk with small segments.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod prepared;

use std::sync::Arc;

use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::{Compression, Embedded, Keep, Options};

use crate::elsewhere::{Elsewhere, Topic};
use prepared::Prepared;

fn fresh(segment_bytes: u64, compression: Compression) -> Embedded {
    let mut options = Options { compression, ..Options::default() };
    options.log.segment_bytes = segment_bytes;
    options.log.preallocate = 4096;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let disk = Arc::new(FakeDisk::new());
    Embedded::open_on(disk, clock, random, options).unwrap()
}

/// Returns a store whose batches another thread confirms.
fn elsewhere(segment_bytes: u64) -> Embedded {
    let mut options = Options::default();
    options.log.segment_bytes = segment_bytes;
    options.log.preallocate = 4096;
    options.log.keep = Keep::Marked;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let (disk, commit) = (Arc::new(FakeDisk::new()), Box::new(Elsewhere::new(Topic::default())));
    Embedded::open_with(disk, clock, random, options, commit).unwrap()
}

/// Returns a store that passes over some positions after every append.
fn with_gaps(segment_bytes: u64) -> Box<Prepared> {
    let appended = |store: &Embedded| {
        let last = store.last_position();
        pollster::block_on(store.skip_to(last + last % 3)).unwrap();
    };
    Box::new(Prepared { store: elsewhere(segment_bytes), prepare: |_| {}, appended })
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
    use leftfold_store::{Compression, Embedded};
    leftfold_api::conformance_suite!(|| {
        let prepare = |store: &Embedded| {
            store.scavenge(|_, _| {}).unwrap();
        };
        let store = super::fresh(300, Compression::Fast);
        Box::new(super::Prepared { store, prepare, appended: |_| {} })
    });
}

/// Batches are confirmed by another thread, and empty frames take a position.
mod confirmed_elsewhere {
    leftfold_api::conformance_suite!(|| Box::new(super::elsewhere(64 << 20)));
}

/// The same with small segments.
mod confirmed_elsewhere_in_many_segments {
    leftfold_api::conformance_suite!(|| Box::new(super::elsewhere(300)));
}

/// The same, and after every append some positions hold no event.
mod with_gaps_between_positions {
    leftfold_api::conformance_suite!(|| super::with_gaps(64 << 20));
}

/// The same with small segments.
mod with_gaps_between_positions_in_many_segments {
    leftfold_api::conformance_suite!(|| super::with_gaps(300));
}

#[test]
fn positions_of_a_store_on_one_disk_number_all_events() {
    use leftfold_api::{Append, NewEvent};

    let store = fresh(300, Compression::Fast);
    for n in 1..=20 {
        let append = Append::new().event(format!("s-{}", n % 3), NewEvent::new("Counted", ""));
        let positions = store.blocking().append(append).unwrap().positions;
        assert_eq!(positions, Some((n, n)));
    }
}
