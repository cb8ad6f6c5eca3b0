//! Recovery that is cut off while it recovers, up to three times.

use leftfold_io::fake::{Crash, FakeDisk, SeededRandom};

use super::raw;
use super::seeds::{run_seeds, seeds};
use crate::faults::crash::{Acknowledged, check, script};
use crate::faults::support::{manual, small};

/// The number of runs in CI.
const SEEDS: u64 = 60;

/// The most crashes of a recovery before it is left alone.
const DEPTH: u64 = 3;

/// Returns what a run has left on a disk whose power was cut, and what it had acknowledged.
fn some_wreck(random: &SeededRandom) -> (FakeDisk, Acknowledged) {
    let (disk, mut acknowledged) = (FakeDisk::new(), Acknowledged::default());
    disk.cut_power_at(1 + random.below(300));
    _ = script(&disk, &mut acknowledged);
    (disk.after(Crash::Tears(random.next_u64())), acknowledged)
}

/// Opens the store and does all jobs, on a disk whose power is cut at a change; returns the disk, and whether
/// the power was still on at the end.
fn recover(from: &FakeDisk, cut: u64) -> (FakeDisk, bool) {
    let disk = from.after(Crash::Keeps);
    disk.cut_power_at(cut);
    if let Ok((_store, mut manual)) = manual(&disk, small()) {
        while manual.maintain() {}
    }
    let is_on = disk.counts().changes < cut;
    (disk, is_on)
}

fn run(seed: u64) {
    let random = SeededRandom::new(seed);
    let (wreck, acknowledged) = some_wreck(&random);
    // There may be no store yet.
    let events = |disk: &FakeDisk| raw::read_if_any(disk).unwrap_or_default();
    let expected = events(&wreck);
    for cut in 1.. {
        let (mut disk, is_on) = recover(&wreck, cut);
        if is_on {
            return;
        }
        for _ in 0..random.below(DEPTH) {
            let wreck = disk.after(Crash::Tears(random.next_u64()));
            disk = recover(&wreck, 1 + random.below(20)).0;
        }
        let crash = [Crash::Forgets, Crash::Keeps, Crash::Tears(random.next_u64())];
        let found = disk.after(crash[random.below(3) as usize]);
        assert_eq!(events(&found), expected, "the power was cut at change {cut}");
        if let Err(error) = check(&found, &acknowledged) {
            panic!("the power was cut at change {cut} of the recovery: {error}");
        }
    }
}

#[test]
fn a_recovery_that_is_cut_off_at_any_change_ends_like_one_that_is_not() {
    run_seeds(seeds(SEEDS), run);
}
