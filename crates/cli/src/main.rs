//! The binary `leftfold`: an event store in a directory, from the command line.
//!
//! Open `args.rs` first (all commands and flags), then the command's file in `commands/`.

#[macro_use]
mod output;

mod args;
mod commands;
mod failure;
mod http;
mod inputs;
mod rejected;
mod rejects;
mod sse;
mod store;
mod views;

use std::process::ExitCode;

use args::Command;

/// A third faster than the C library's allocator where many threads append: one thread allocates what
/// another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::parse();
    output::init(&args.display);
    let done = match args.command {
        Command::Demo(demo) => commands::demo::run(&demo),
        Command::Ingest(ingest) => commands::ingest::run(&args.location, &ingest),
        Command::Mapping(mapping) => commands::mapping::run(mapping.action),
        Command::Append(append) => commands::append::run(&args.location, append),
        Command::Read(read) => commands::read::run(&args.location, &read),
        Command::Subscribe(subscribe) => commands::subscribe::run(&args.location, &subscribe),
        Command::Streams(streams) => commands::streams::run(&args.location, &streams),
        Command::Checkpoints { action } => commands::checkpoints::run(&args.location, action),
        Command::Index(index) => commands::index::run(&args.location, index.action),
        Command::View(view) => commands::view::run(&args.location, &view.action),
        Command::Outbox(outbox) => commands::outbox::run(&outbox.action),
        Command::Connector(connector) => {
            commands::connector::run(&args.location, &connector.action)
        }
        Command::Query(ask) => commands::query::run(&args.location, &ask),
        Command::Parked(parked) => commands::parked::run(&args.location, &parked.action),
        Command::Retention(retention) => commands::retention::run(&args.location, retention.action),
        Command::Delete(delete) => commands::retention::delete(&args.location, &delete),
        Command::Scavenge { dry_run } => commands::scavenge::run(&args.location, dry_run),
        Command::Pack => commands::pack::run(&args.location),
        Command::Stat => commands::stat::run(&args.location),
        Command::Verify => commands::verify::run(&args.location),
        Command::Backup(backup) => commands::backup::run(&args.location, &backup),
        Command::Restore(restore) => commands::backup::run_restore(&args.location, &restore),
        Command::Export(export) => commands::export::run(&args.location, &export),
        Command::Import(import) => commands::import::run(&args.location, &import),
        Command::Repair(repair) => commands::repair::run(&args.location, &repair),
        Command::Serve(settings) => commands::serve::run(&settings),
        Command::Cert(cert) => commands::serve::certificate(&cert),
        Command::User(user) => commands::accounts::user(&args.location, &user),
        Command::Group(group) => commands::accounts::group(&args.location, &group),
        Command::Token(token) => commands::accounts::token(&args.location, &token),
        Command::Grant(grant) => commands::accounts::grant(&args.location, &grant),
        Command::Cluster(cluster) => commands::cluster::run(&args.location, &cluster.action),
        Command::Config(settings) => commands::serve::config(&settings),
        Command::Completions { shell } => commands::completions::run(shell),
    };
    let done = done.and_then(|code| output::finish().map(|()| code));
    done.unwrap_or_else(|error| failure::report(&error))
}
