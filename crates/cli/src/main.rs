//! The binary `leftfold`: an event store in a directory, from the command line.
//!
//! Open `args.rs` first (all commands and flags), then the command's file in `commands/`.

mod args;
mod commands;
mod failure;
mod output;
mod store;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// A third faster than the C library's where many threads append: what one allocates, another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Demo(demo) => commands::demo::run(&demo),
        Command::Ingest(ingest) => commands::ingest::run(&args.place, &ingest),
        Command::Append(append) => commands::append::run(&args.place, append),
        Command::Read(read) => commands::read::run(&args.place, &read),
        Command::Subscribe(subscribe) => commands::subscribe::run(&args.place, &subscribe),
        Command::Streams(streams) => commands::streams::run(&args.place, &streams),
        Command::Index(index) => commands::index::run(&args.place, index.action),
        Command::Parked(parked) => commands::parked::run(&args.place, &parked.action),
        Command::Retention(retention) => commands::retention::run(&args.place, retention.action),
        Command::Delete(delete) => commands::retention::delete(&args.place, &delete),
        Command::Scavenge { dry_run } => commands::scavenge::run(&args.place, dry_run),
        Command::Pack => commands::pack::run(&args.place),
        Command::Stat => commands::stat::run(&args.place),
        Command::Verify => commands::verify::run(&args.place),
        Command::Backup(backup) => commands::backup::run(&args.place, &backup),
        Command::Restore(restore) => commands::backup::run_restore(&args.place, &restore),
        Command::Repair(repair) => commands::repair::run(&args.place, &repair),
        Command::Serve(settings) => commands::serve::run(&settings),
        Command::Cert(cert) => commands::serve::certificate(&cert),
        Command::User(user) => commands::accounts::user(&args.place, &user),
        Command::Group(group) => commands::accounts::group(&args.place, &group),
        Command::Token(token) => commands::accounts::token(&args.place, &token),
        Command::Grant(grant) => commands::accounts::grant(&args.place, &grant),
        Command::Config(settings) => commands::serve::config(&settings),
    };
    done.unwrap_or_else(|error| failure::report(&error))
}
