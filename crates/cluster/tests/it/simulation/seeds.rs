//! The seeds of a simulation: a few in CI, and those that the environment names.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Whether the environment names no seeds.
pub(crate) fn is_ci() -> bool {
    number("LEFTFOLD_SEED").is_none() && number("LEFTFOLD_SEEDS").is_none()
}

/// Returns the seeds to run of a simulation that has this many in CI.
pub(crate) fn seeds(in_ci: u64) -> Range<u64> {
    match (number("LEFTFOLD_SEED"), number("LEFTFOLD_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(in_ci),
    }
}

/// Runs seeds, and names the first one that fails.
pub(crate) fn run_seeds(seeds: Range<u64>, mut run: impl FnMut(u64)) {
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("seed {seed} failed; replay it with LEFTFOLD_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
