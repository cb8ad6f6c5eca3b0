//! The simulation passes a right node, and catches each planted bug.

use std::sync::atomic::Ordering;

use super::partition_node;
use super::reference::{Bug, start};
use super::run::run;
use super::seeds::{is_ci, run_seeds, seeds};
use super::tally::Tally;

#[test]
fn a_node_that_keeps_the_rule_passes() {
    let (start, mut tally) = (start(None), Tally::default());
    run_seeds(seeds(100), |seed| tally.add(run(seed, &start).unwrap()));
    println!("{tally:?}");
    if is_ci() {
        tally.assert_all_happened();
    }
}

#[test]
fn the_nodes_of_the_crate_pass() {
    let (start, mut tally) = (partition_node::start(), Tally::default());
    run_seeds(seeds(500), |seed| {
        tally.add(run(seed, &start).unwrap());
        // No fault of this simulation is a reason to fetch everything again.
        let deleted = partition_node::DELETED.load(Ordering::Relaxed);
        assert_eq!(deleted, 0, "copies were deleted");
    });
    println!("{tally:?}");
    if is_ci() {
        tally.assert_all_happened();
        assert!(tally.unfit > 0, "{tally:?}");
    }
}

#[test]
fn a_seed_decides_a_whole_run() {
    let runs = [0, 1].map(|_| format!("{:?}", run(7, &start(None))));
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn every_planted_bug_is_caught() {
    for bug in [
        Bug::TrustsLeaders,
        Bug::SkipsToItsClaim,
        Bug::TakesAnyClaim,
        Bug::AppliesVoidRecords,
        Bug::ReadsWithoutBarrier,
        Bug::ReadsUpToTheEnd,
        Bug::RefusesUnknown,
        Bug::ForgetsIds,
    ] {
        let start = start(Some(bug));
        let errors = (0..500).map(|seed| (seed, run(seed, &start).err()));
        let caught = errors.into_iter().find_map(|(seed, error)| Some((seed, error?)));
        println!("{bug:?}: {caught:?}");
        assert!(caught.is_some(), "{bug:?} was not caught");
    }
}
