//! Tests of the simulation itself: it must notice a disk whose syncs answer success and keep nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use leftfold_io::fake::{FakeDisk, Syncs};

use super::run::run;
use super::tally::Tally;

/// The most seeds that it may take.
const SEEDS: u64 = 300;

fn is_noticed(disks: impl Fn() -> [FakeDisk; 2]) -> bool {
    let mut tally = Tally::default();
    (0..SEEDS)
        .any(|seed| catch_unwind(AssertUnwindSafe(|| run(seed, disks(), &mut tally))).is_err())
}

fn liar(every: u64, of: Syncs) -> FakeDisk {
    let disk = FakeDisk::new();
    disk.lie_at_every(every, of);
    disk
}

#[test]
fn a_disk_that_loses_what_it_has_synced_is_noticed() {
    for (every, of) in [1, 10, 40]
        .into_iter()
        .flat_map(|every| [(every, Syncs::Files), (every, Syncs::Directories)])
    {
        assert!(is_noticed(|| [liar(every, of), FakeDisk::new()]), "every {every} of {of:?}");
    }
}

#[test]
fn a_disk_of_backups_that_loses_what_it_has_synced_is_noticed() {
    for (every, of) in [(1, Syncs::Files), (5, Syncs::Files), (1, Syncs::Directories)] {
        assert!(is_noticed(|| [FakeDisk::new(), liar(every, of)]), "every {every} of {of:?}");
    }
}
