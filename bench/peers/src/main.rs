//! The store beside other systems: one run, one machine, equal durability. `cargo xtask bench
//! peers` builds and runs this.
//!
//! A run has rounds. In each round every system has a turn, in a process of its own ([`turn`]),
//! with a bare write+fdatasync loop as the control. [`system`] is the interface of a system,
//! [`work`] has the workloads, [`driver`] runs the turns, and [`report`] makes the tables.

mod driver;
mod get;
mod process;
mod report;
mod roster;
mod server;
mod syncs;
mod system;
mod systems;
mod turn;
mod work;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::driver::{Plan, RunResults};
use crate::roster::{Name, Task};
use crate::system::{Directories, Purpose};
use crate::turn::Turn;
use crate::work::Scale;

#[derive(Parser)]
#[command(about = "The store beside its peers in one run.")]
struct Command {
    #[command(subcommand)]
    what: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Gets the systems, measures all, and writes the results.
    Bench(Bench),
    /// Loads one system's data set; for the command above.
    #[command(hide = true)]
    Load(SystemArguments),
    /// Runs one system's turn.
    #[command(hide = true)]
    Turn(SystemArguments),
    /// Counts one system's syncs.
    #[command(hide = true)]
    Syncs(SystemArguments),
}

#[derive(Args)]
struct Bench {
    /// The directory of downloads and data.
    #[arg(long)]
    cache: PathBuf,
    /// The file of the results; a quick run's stay in the cache.
    #[arg(long)]
    results: PathBuf,
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Uses tiny counts, only to check that it works.
    #[arg(long)]
    quick: bool,
    /// Only counts syncs, and adds them to the results of the last run.
    #[arg(long)]
    syncs: bool,
    /// Only these systems, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Name>,
}

#[derive(Args)]
struct SystemArguments {
    #[arg(long)]
    cache: PathBuf,
    #[arg(long)]
    system: Name,
    #[arg(long)]
    round: u64,
    #[arg(long)]
    quick: bool,
}

/// Stores in this process use the same allocator as our binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    match Command::parse().what {
        Action::Bench(bench) => run(&bench),
        Action::Load(one) => perform(Task::Load, &one),
        Action::Turn(one) => perform(Task::Measure, &one),
        Action::Syncs(one) => perform(Task::CountSyncs, &one),
    }
}

fn perform(task: Task, one: &SystemArguments) -> anyhow::Result<()> {
    let cache = std::path::absolute(&one.cache)?;
    let run = cache.join("run");
    let file = one.system.file();
    // Syncs are counted on a small store of their own.
    let data = if matches!(task, Task::CountSyncs) { format!("{file}-syncs") } else { file };
    let turn = Turn {
        place: Directories { data: run.join(data), cache, purpose: Purpose::Measure },
        beside: run.join("control"),
        scale: if one.quick { Scale::QUICK } else { Scale::FULL },
        round: one.round,
    };
    one.system.perform(task, &turn)
}

fn run(bench: &Bench) -> anyhow::Result<()> {
    std::fs::create_dir_all(&bench.cache)?;
    let lock = std::fs::File::create(bench.cache.join("lock"))?;
    lock.try_lock().context("another run is on its way here")?;
    let everyone = Name::value_variants().to_vec();
    let plan = Plan {
        cache: bench.cache.clone(),
        names: if bench.only.is_empty() { everyone } else { bench.only.clone() },
        rounds: bench.rounds,
        quick: bench.quick,
    };
    let size = if bench.quick { "quick" } else { "full" };
    let kept = bench.cache.join(format!("found-{size}.json"));
    let found =
        if bench.syncs { with_syncs(&plan, driver::load_saved(&kept))? } else { plan.run()? };
    driver::save(&found, &kept)?;
    let quick = if bench.quick { " --quick" } else { "" };
    let command = format!("cargo xtask bench peers --rounds {}{quick}", found.rounds);
    let page = report::page(&found, &command)?;
    let results =
        if bench.quick { bench.cache.join("RESULTS-quick.md") } else { bench.results.clone() };
    std::fs::write(&results, &page)?;
    println!("{page}\nwritten to {} after {:.1} minutes", results.display(), found.minutes);
    Ok(())
}

/// Counts syncs, and adds them to the results of an earlier run.
fn with_syncs(plan: &Plan, earlier: Option<RunResults>) -> anyhow::Result<RunResults> {
    let counted = plan.count_only()?;
    let Some(mut found) = earlier else { return Ok(counted) };
    for (name, of) in counted.systems {
        match found.systems.iter_mut().find(|(one, _)| *one == name) {
            Some((_, known)) => known.syncs = of.syncs.or(known.syncs.take()),
            None => found.systems.push((name, of)),
        }
    }
    Ok(found)
}
