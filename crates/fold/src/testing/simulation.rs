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

/// The counts of all runs together; check them, because a test without crashes proves little.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Actions of users.
    pub turns: u64,
    /// Power cuts.
    pub crashes: u64,
    /// Ends of the process, each followed by a new start.
    pub restarts: u64,
    /// Jumps of the clock.
    pub jumps: u64,
}

/// A run in which a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("seed {seed} failed: {message}\nreplay it with LEFTFOLD_SEED={seed}")]
pub struct Failed {
    /// The seed of the run.
    pub seed: u64,
    /// The message of the check.
    pub message: String,
}

impl<D: Domain, M: Fn() -> D> Simulation<M> {
    /// Makes a simulation of the domain; `make` is called for every seed.
    pub fn of(make: M) -> Self {
        Simulation { make, seeds: 200, steps: 1_500, turns: 20 }
    }

    /// Sets the number of seeds, counted from 0; the default is 200.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Sets the number of steps of a run before it comes to rest; the default is 1,500.
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Sets how often users act in a run; the default is 20.
    pub fn turns(mut self, turns: u64) -> Self {
        self.turns = turns;
        self
    }

    /// Runs all seeds, or those of the environment variables; stops at the first failure.
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
            let ended = ended.unwrap_or_else(|panic| Err(panic_text(&*panic)));
            ended.map_err(|message| Failed { seed, message })?;
        }
        Ok(tally)
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    format!("it panicked: {}", crate::panic::panic_text(panic))
}
