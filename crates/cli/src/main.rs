//! The binary `leftfold`: an event store in a directory, from the command line.
//!
//! Open `args.rs` first (all commands and flags), then the command's file in `commands/`.

mod args;
mod commands;
mod failure;
mod output;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Demo(demo) => commands::demo::run(&demo),
        Command::Ingest(ingest) => commands::ingest::run(&args.data, &ingest),
        Command::Append(append) => commands::append::run(&args.data, append),
        Command::Read(read) => commands::read::run(&args.data, &read),
        Command::Subscribe(subscribe) => commands::subscribe::run(&args.data, &subscribe),
        Command::Streams(streams) => commands::streams::run(&args.data, &streams),
        Command::Index(index) => commands::index::run(&args.data, index.action),
        Command::Stat => commands::stat::run(&args.data),
        Command::Verify => commands::verify::run(&args.data),
    };
    done.unwrap_or_else(|error| failure::report(&error))
}
