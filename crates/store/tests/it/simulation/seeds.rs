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

/// The seeds of the first simulation in CI. The others, whose runs take longer, have fewer in proportion.
pub(crate) const SEEDS: u64 = 10_000;

/// Returns the seeds to run of a simulation that has this many in CI.
pub(crate) fn seeds(in_ci: u64) -> Range<u64> {
    match number("LEFTFOLD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..(number("LEFTFOLD_SEEDS").unwrap_or(SEEDS) * in_ci).div_ceil(SEEDS),
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
