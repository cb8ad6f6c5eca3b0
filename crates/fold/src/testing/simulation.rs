use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

use super::Domain;
use super::run::Run;

/// Runs a domain under many seeds.
pub struct Simulation<M> {
    make: M,
    seeds: u64,
    steps: u64,
    turns: u64,
}

/// What has happened in all runs together: a test that meets nothing proves nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// What users did.
    pub turns: u64,
    /// Power cuts.
    pub crashes: u64,
    /// Processes that ended and started over.
    pub restarts: u64,
    /// Jumps of the clock.
    pub jumps: u64,
}

/// A run in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("seed {seed} failed: {message}\nreplay it with LEFTFOLD_SEED={seed}")]
pub struct Failed {
    /// The number that decides the run.
    pub seed: u64,
    /// What did not hold.
    pub message: String,
}

impl<D: Domain, M: Fn() -> D> Simulation<M> {
    /// Runs the domain that this makes, anew for every seed.
    pub fn of(make: M) -> Self {
        Simulation { make, seeds: 200, steps: 1_500, turns: 20 }
    }

    /// So many seeds, from 0 on: 200 unless said otherwise.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// So many steps of a run before it comes to rest: 1,500 unless said otherwise.
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// So often users act in a run: 20 times unless said otherwise.
    pub fn turns(mut self, turns: u64) -> Self {
        self.turns = turns;
        self
    }

    /// Runs all seeds, or what the environment says; stops at the first that fails.
    pub fn run(&self) -> Result<Tally, Failed> {
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let seeds = match number("LEFTFOLD_SEED") {
            Some(seed) => seed..seed.saturating_add(1),
            None => 0..number("LEFTFOLD_SEEDS").unwrap_or(self.seeds),
        };
        let mut tally = Tally::default();
        for seed in seeds {
            tally.runs += 1;
            let run = || Run::new((self.make)(), seed, self.turns, &mut tally).run(self.steps);
            let ended = catch_unwind(AssertUnwindSafe(run));
            let ended = ended.unwrap_or_else(|panic| Err(words_of(&*panic)));
            ended.map_err(|message| Failed { seed, message })?;
        }
        Ok(tally)
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", words.unwrap_or_default())
}
