//! The store beside its peers: one run, one machine, equal durability. `cargo xtask bench peers`
//! builds and runs this.
//!
//! A run goes in rounds; in a round each system has a turn, in a process of its own ([`turn`]),
//! with a bare write+fdatasync loop beside it. [`system`] says what a system is.

mod get;
mod process;
mod server;
mod system;
mod systems;
mod turn;
mod work;

use std::path::PathBuf;

use clap::Parser;

use crate::system::{Place, Purpose};
use crate::turn::Turn;
use crate::work::Scale;

#[derive(Parser)]
struct Args {
    system: String,
    what: String,
    #[arg(long)]
    cache: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let turn = Turn {
        place: Place {
            data: std::path::absolute(args.cache.join("run").join(&args.system))?,
            cache: std::path::absolute(&args.cache)?,
            purpose: Purpose::Measure,
        },
        beside: args.cache.join("run/control"),
        scale: Scale::QUICK,
        round: 0,
    };
    std::fs::create_dir_all(args.cache.join("run"))?;
    runtime.block_on(async {
        match (args.system.as_str(), args.what.as_str()) {
            ("leftfold", "load") => turn::load::<systems::leftfold::Leftfold>(&turn).await,
            ("leftfold", _) => turn::run::<systems::leftfold::Leftfold>(&turn).await,
            ("bare", _) => turn::run::<systems::bare::Bare>(&turn).await,
            ("postgres", "load") => turn::load::<systems::postgres::Postgres>(&turn).await,
            ("postgres", _) => turn::run::<systems::postgres::Postgres>(&turn).await,
            ("mdb", "load") => turn::load::<systems::message_db::MessageDb>(&turn).await,
            ("mdb", _) => turn::run::<systems::message_db::MessageDb>(&turn).await,
            ("uma", "load") => turn::load::<systems::umadb::UmaServer>(&turn).await,
            ("uma", _) => turn::run::<systems::umadb::UmaServer>(&turn).await,
            ("umacore", "load") => turn::load::<systems::umadb::UmaCore>(&turn).await,
            ("umacore", _) => turn::run::<systems::umadb::UmaCore>(&turn).await,
            ("sierra", "load") => turn::load::<systems::sierradb::SierraDb<systems::sierradb::Defaults>>(&turn).await,
            ("sierra", _) => turn::run::<systems::sierradb::SierraDb<systems::sierradb::Defaults>>(&turn).await,
            ("sierratuned", "load") => turn::load::<systems::sierradb::SierraDb<systems::sierradb::Tuned>>(&turn).await,
            ("sierratuned", _) => turn::run::<systems::sierradb::SierraDb<systems::sierradb::Tuned>>(&turn).await,
            ("nats", "load") => turn::load::<systems::nats::Nats>(&turn).await,
            _ => turn::run::<systems::nats::Nats>(&turn).await,
        }
    })
}
