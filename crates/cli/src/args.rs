mod accounts;
mod cluster;
mod command;
mod connectors;
mod display;
mod events;
mod files;
mod help;
mod index;
mod ingest;
mod parked;
mod parse;
mod retention;
mod settings;
mod transfer;
mod views;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use leftfold::Compression;

pub(crate) use accounts::{
    Grant, GrantAction, Group, GroupAction, Token, TokenAction, User, UserAction,
};
pub(crate) use cluster::{Cluster, ClusterAction};
pub(crate) use command::{completions, parse};
pub(crate) use connectors::{Connector, ConnectorAction, Outbox, OutboxAction};
pub(crate) use display::{Display, Format};
pub(crate) use events::{Append, Read, StartArgs, StartPoint, Streams, Subscribe};
pub(crate) use files::{Backup, Certificate, Repair, Restore};
pub(crate) use index::{Index, IndexAction};
pub(crate) use ingest::{Demo, Ingest, IngestAction, Mapping, MappingAction};
pub(crate) use parked::{Parked, ParkedAction, ParkedEvent};
pub(crate) use retention::{Delete, Retained, Retention, RetentionAction};
pub(crate) use settings::Settings;
pub(crate) use transfer::{Export, Import};
pub(crate) use views::{Ask, CheckDatabase, View, ViewAction, ViewFrom};

/// What to do with checkpoints instead of listing them.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointsAction {
    /// Delete a checkpoint: a reader of this name begins anew.
    Delete {
        /// Its name.
        name: String,
    },
}

/// An event-sourcing database in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "leftfold",
    version,
    after_help = "Try it:\n  leftfold demo\n  leftfold --data shop append order-1 OrderPlaced \
                  '{\"total\":\"9.90\"}' --tag customer=42 --expect no-stream\n  leftfold --data \
                  shop read 'tag:customer=42'"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) location: Location,
    #[command(flatten)]
    pub(crate) display: Display,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The heading of the options of all commands that say which store, in the help.
const STORE: &str = "Store";

/// The location of the store, and how it is opened.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Location {
    /// The store's directory.
    #[arg(
        short,
        long,
        global = true,
        help_heading = STORE,
        env = "LEFTFOLD_DATA", hide_env_values = true,
        value_name = "DIR",
        default_value = "leftfold-data"
    )]
    pub(crate) data: PathBuf,
    /// How full segments are compressed: off, fast, or small.
    #[arg(long, global = true, help_heading = STORE, env = "LEFTFOLD_PACKING", hide_env_values = true, default_value = "fast", value_parser = parse::packing)]
    pub(crate) packing: Compression,
    /// Works on a server's store instead of a directory, such as http://127.0.0.1:2113 or unix:PATH.
    #[arg(short, long, global = true, help_heading = STORE, env = "LEFTFOLD_SERVER", hide_env_values = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// A PEM file with the CAs that the server's certificate may come from; else the system's.
    #[arg(long, global = true, help_heading = STORE, env = "LEFTFOLD_CA", hide_env_values = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The server's user to act as; the password comes from LEFTFOLD_PASSWORD.
    #[arg(short = 'u', long = "as", global = true, help_heading = STORE, env = "LEFTFOLD_USER", hide_env_values = true, value_name = "USER")]
    pub(crate) asking: Option<String>,
    /// Use the environment: other users can read the command line.
    #[arg(long, env = "LEFTFOLD_PASSWORD", hide = true, hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// A service's token, instead of user and password.
    #[arg(long, env = "LEFTFOLD_TOKEN", hide = true, hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a bank's statements of one night, ingest them, and show queries over them.
    Demo(Demo),
    /// Append one event for each record of XML, CSV, NDJSON, OFX or MT940 files.
    #[command(after_help = ingest::HELP)]
    Ingest(Ingest),
    /// List, print, check and draft the mappings that `ingest` reads files with.
    #[command(after_help = ingest::MAPPING_HELP)]
    Mapping(Mapping),
    /// Append events.
    #[command(after_help = events::APPEND_HELP)]
    Append(Append),
    /// Read the events of a query.
    #[command(after_help = events::READ_HELP)]
    Read(Read),
    /// Read the events of a query, and then new ones.
    #[command(after_help = "Examples:\n  leftfold subscribe 'category:order' --follow\n  \
                            leftfold subscribe --follow --from end      only new events")]
    Subscribe(Subscribe),
    /// List the streams.
    Streams(Streams),
    /// List the checkpoints by name, or delete one.
    Checkpoints {
        #[command(subcommand)]
        action: Option<CheckpointsAction>,
    },
    /// Define, drop, show and list named indexes.
    #[command(after_help = index::HELP)]
    Index(Index),
    /// Check, add, replace and list views: tables that SQL keeps up to date.
    #[command(after_help = views::HELP)]
    View(View),
    /// Ask views by SQL.
    #[command(after_help = views::QUERY_HELP)]
    Query(Ask),
    /// Test, add, list and change connectors: what brings events out and in while a server runs.
    #[command(after_help = connectors::HELP)]
    Connector(Connector),
    /// Print the SQL of an outbox in PostgreSQL, for a connector of the kind `outbox`.
    Outbox(Outbox),
    /// List, replay and skip the events that reactors have parked.
    #[command(after_help = parked::HELP)]
    Parked(Parked),
    /// Set the retention of streams and of queries.
    #[command(after_help = retention::HELP)]
    Retention(Retention),
    /// Delete a stream's events; its version numbers continue.
    Delete(Delete),
    /// Remove metadata and data of events that retention drops or that were deleted.
    Scavenge {
        /// Only print what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Seal all events so far; wait until their segments are compressed and merged.
    Pack,
    /// Print the store's size and state.
    Stat,
    /// Check every byte: checksums, index against log, versions. With --server, a store in use.
    Verify,
    /// Print the damage and the lost events, and make the store usable without them.
    #[command(after_help = files::REPAIR_HELP)]
    Repair(Repair),
    /// Back the store up: only new files are copied.
    #[command(after_help = files::BACKUP_HELP)]
    Backup(Backup),
    /// Make a store from the last backup in a directory, as a new incarnation.
    #[command(after_help = "Example:\n  leftfold --data new-shop restore --from /backups/shop\n\n\
                            The directory given with --data must be empty.")]
    Restore(Restore),
    /// Print all events, each on a line, for `leftfold import`.
    #[command(after_help = transfer::EXPORT_HELP)]
    Export(Export),
    /// Import the events of an export: ids, versions, tags and times are kept.
    #[command(after_help = transfer::IMPORT_HELP)]
    Import(Import),
    /// Serve the store over HTTP and gRPC.
    #[command(after_help = "Example:\n  leftfold --data shop serve --listen 127.0.0.1:2113")]
    Serve(Settings),
    /// Make a CA and a certificate for development.
    #[command(after_help = "Example:\n  leftfold cert --to certificates --name localhost")]
    Cert(Certificate),
    /// Add, change, remove and list a server's users.
    #[command(after_help = accounts::HELP)]
    User(User),
    /// Put a server's users into groups.
    Group(Group),
    /// Make, revoke and list tokens for services.
    Token(Token),
    /// Grant permissions to users and groups.
    #[command(after_help = accounts::GRANTS)]
    Grant(Grant),
    /// Print the state of a cluster, and drain a node before it is stopped.
    #[command(after_help = cluster::HELP)]
    Cluster(Cluster),
    /// Print the server's settings and the source of each.
    Config(Settings),
    /// Print a script that completes commands and options in a shell.
    #[command(
        after_help = "Examples:\n  leftfold completions bash > ~/.local/share/bash-completion/completions/leftfold\n  \
                            leftfold completions zsh > ~/.zfunc/_leftfold\n  leftfold completions fish > \
                            ~/.config/fish/completions/leftfold.fish"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}
