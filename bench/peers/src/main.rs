//! The store beside its peers: one run, one machine, equal durability. `cargo xtask bench peers`
//! builds and runs this.
//!
//! A run goes in rounds; in a round each system has a turn, in a process of its own ([`turn`]),
//! with a bare write+fdatasync loop beside it. [`system`] says what a system is, [`work`] what it
//! does, [`driver`] how the turns follow each other, [`report`] what is shown of them.

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

use crate::driver::{Found, Plan};
use crate::roster::{Name, Task};
use crate::system::{Place, Purpose};
use crate::turn::Turn;
use crate::work::Scale;

#[derive(Parser)]
#[command(about = "The store beside its peers in one run.")]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Gets the peers, measures all, and writes the results.
    Bench(Bench),
    /// One system's data set; for the command above.
    #[command(hide = true)]
    Load(One),
    /// One system's turn.
    #[command(hide = true)]
    Turn(One),
    /// One system's syncs.
    #[command(hide = true)]
    Syncs(One),
}

#[derive(Args)]
struct Bench {
    /// Where peers and data go.
    #[arg(long)]
    cache: PathBuf,
    /// Where the results go; a quick run's stay in the cache.
    #[arg(long)]
    results: PathBuf,
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Tiny counts: shows that it runs, and measures nothing.
    #[arg(long)]
    quick: bool,
    /// Only counts syncs, and puts them into the results of the last run.
    #[arg(long)]
    syncs: bool,
    /// Only these systems, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Name>,
}

#[derive(Args)]
struct One {
    #[arg(long)]
    cache: PathBuf,
    #[arg(long)]
    system: Name,
    #[arg(long)]
    round: u64,
    #[arg(long)]
    quick: bool,
}

/// What runs in this process, ours or a peer's, runs with the allocator that our binary has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    match Command::parse().what {
        What::Bench(bench) => run(&bench),
        What::Load(one) => perform(Task::Load, &one),
        What::Turn(one) => perform(Task::Measure, &one),
        What::Syncs(one) => perform(Task::CountSyncs, &one),
    }
}

fn perform(task: Task, one: &One) -> anyhow::Result<()> {
    let cache = std::path::absolute(&one.cache)?;
    let run = cache.join("run");
    let file = one.system.file();
    // Syncs are counted on a store of its own, which is small.
    let data = if matches!(task, Task::CountSyncs) { format!("{file}-syncs") } else { file };
    let turn = Turn {
        place: Place { data: run.join(data), cache, purpose: Purpose::Measure },
        beside: run.join("control"),
        scale: if one.quick { Scale::QUICK } else { Scale::FULL },
        round: one.round,
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build()?.block_on(one.system.perform(task, &turn))
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
    let found = if bench.syncs { with_syncs(&plan, driver::kept(&kept))? } else { plan.run()? };
    driver::keep(&found, &kept)?;
    let quick = if bench.quick { " --quick" } else { "" };
    let command = format!("cargo xtask bench peers --rounds {}{quick}", found.rounds);
    let page = report::page(&found, &command)?;
    let results =
        if bench.quick { bench.cache.join("RESULTS-quick.md") } else { bench.results.clone() };
    std::fs::write(&results, &page)?;
    println!("{page}\nwritten to {} after {:.1} minutes", results.display(), found.minutes);
    Ok(())
}

/// Counts syncs, and puts them beside what an earlier run has measured.
fn with_syncs(plan: &Plan, earlier: Option<Found>) -> anyhow::Result<Found> {
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
