//! Reactors, timers, messages, processes and views under crashes at every step: one number decides a
//! whole run. `LEFTFOLD_SEED=n` replays one; `LEFTFOLD_SEEDS=n` runs so many.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod islands;
mod once;
mod planted;
mod stash;
mod waits;

use leftfold::testing::{Domain, Simulation, Tally};

/// Runs in CI, for each domain.
const SEEDS: u64 = 100;

fn simulate<D: Domain>(make: impl Fn() -> D) -> Tally {
    let tally = Simulation::of(make).seeds(SEEDS).run();
    let tally = tally.unwrap_or_else(|failed| panic!("{failed}"));
    if tally.runs == SEEDS {
        assert!(tally.crashes > SEEDS && tally.restarts > SEEDS && tally.turns > SEEDS);
    }
    tally
}
