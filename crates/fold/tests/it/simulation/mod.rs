//! Reactors, timers, messages, processes and views with crashes at every step; one number decides a
//! run. `LEFTFOLD_SEED=n` replays one run; `LEFTFOLD_SEEDS=n` runs `n`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod contention;
mod deadlines;
mod islands;
mod once;
mod planted;
mod stash;
mod waits;

use leftfold::testing::{Domain, Simulation, Tally};

/// The number of runs in CI, for each domain.
const SEEDS: u64 = 100;

fn simulate<D: Domain>(make: impl Fn() -> D) -> Tally {
    let tally = Simulation::of(make).seeds(SEEDS).run();
    let tally = tally.unwrap_or_else(|failed| panic!("{failed}"));
    if tally.runs == SEEDS {
        assert!(tally.crashes > SEEDS && tally.restarts > SEEDS && tally.turns > SEEDS);
    }
    tally
}
