//! Simulation: compares the store with a model, on a disk that loses power. A seed decides a whole run.
//!
//! A run opens a store on a fake disk. Several callers append at a time; the run reads, defines and drops
//! indexes, seals segments, closes, reopens, and cuts the power in the middle of any write or sync. It
//! sometimes backs up the store to a second disk, which loses power too. At the end one byte is flipped, the
//! store is repaired, and the last whole backup is restored. Every answer is compared with the model, a
//! plain list of events.
//!
//! `LEFTFOLD_SEED=n` replays one run; `LEFTFOLD_SEEDS=n` does n runs.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod backup;
mod chaos;
mod compare;
mod judge;
mod model;
mod raw;
mod retention;
mod run;
mod script;
mod subscriber;
mod tally;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The number of runs in CI.
const SEEDS: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run_all(seeds: impl Iterator<Item = u64>) -> tally::Tally {
    let mut tally = tally::Tally::default();
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run::run(seed, &mut tally))) {
            eprintln!("seed {seed} failed; replay it with LEFTFOLD_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    tally
}

#[test]
fn the_store_answers_like_the_model_after_any_failure() {
    let tally = match number("LEFTFOLD_SEED") {
        Some(seed) => run_all(seed..=seed),
        None => {
            let seeds = number("LEFTFOLD_SEEDS").unwrap_or(SEEDS);
            // Two threads, for machines with two cores.
            let half = std::thread::spawn(move || run_all(0..seeds / 2));
            let other = run_all(seeds / 2..seeds);
            half.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).plus(other)
        }
    };
    println!("{tally:?}");
    if number("LEFTFOLD_SEED").is_none() && number("LEFTFOLD_SEEDS").is_none() {
        tally.assert_all_happened();
    }
}
