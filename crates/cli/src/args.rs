mod accounts;
mod settings;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand};
use leftfold::{Compression, Expected, From, Point, Query, Timestamp};
use uuid::Uuid;

pub(crate) use accounts::{
    Grant, GrantAction, Group, GroupAction, Token, TokenAction, User, UserAction,
};
pub(crate) use settings::Settings;

/// An event-sourcing database in one binary.
///
/// On a terminal the output is for people; into a pipe it is one JSON object a line.
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
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the store is, and how it is opened.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The store's directory.
    #[arg(long, global = true, env = "LEFTFOLD_DATA", default_value = "leftfold-data")]
    pub(crate) data: PathBuf,
    /// How full segments are stored: off (as they are), fast, or small.
    #[arg(long, global = true, env = "LEFTFOLD_PACKING", default_value = "fast", value_parser = packing)]
    pub(crate) packing: Compression,
    /// Works on a server's store instead of a directory, such as http://127.0.0.1:2113.
    #[arg(long, global = true, env = "LEFTFOLD_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// A PEM file with the CAs that the server's certificate may come from; else the system's.
    #[arg(long, global = true, env = "LEFTFOLD_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The user whom the server knows; the password comes from LEFTFOLD_PASSWORD.
    #[arg(long = "as", global = true, env = "LEFTFOLD_USER", value_name = "USER")]
    pub(crate) asking: Option<String>,
    /// Best from the environment: others can read what is on a command line.
    #[arg(long, env = "LEFTFOLD_PASSWORD", hide = true, hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// A service's token, in the place of user and password.
    #[arg(long, env = "LEFTFOLD_TOKEN", hide = true, hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a bank's night of statements, ingest it, and show what can be asked of it.
    Demo(Demo),
    /// Append one event for each record of XML, CSV or NDJSON files.
    #[command(after_help = INGEST_HELP)]
    Ingest(Ingest),
    /// Append one event.
    #[command(
        after_help = "Examples:\n  leftfold append order-1 OrderPlaced '{\"total\":\"9.90\"}' \
                            --expect no-stream\n  echo '{}' | leftfold append order-1 Paid - --expect 0"
    )]
    Append(Append),
    /// Read what a query yields.
    #[command(after_help = READ_HELP)]
    Read(Read),
    /// Read what a query yields, and then what comes.
    #[command(after_help = "Example:\n  leftfold subscribe 'category:order' --follow")]
    Subscribe(Subscribe),
    /// List the streams.
    Streams(Streams),
    /// Define, drop and list named indexes.
    Index(Index),
    /// List, replay and skip what reactors have parked.
    #[command(after_help = PARKED_HELP)]
    Parked(Parked),
    /// Say what is kept of streams and of what queries yield.
    #[command(after_help = RETENTION_HELP)]
    Retention(Retention),
    /// Delete a stream's events; it goes on counting.
    Delete(Delete),
    /// Remove metadata and data of all that retention has dropped, or that was deleted.
    Scavenge {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Seal all events so far, and wait until all is packed and merged.
    Pack,
    /// The store's size and state.
    Stat,
    /// Check every byte: checksums, index against log, versions.
    Verify,
    /// Say exactly what damage has cost, and make the store whole without it.
    #[command(after_help = REPAIR_HELP)]
    Repair(Repair),
    /// Back the store up: only what is new is copied.
    #[command(after_help = BACKUP_HELP)]
    Backup(Backup),
    /// Make a store from the last backup in a directory, as a new incarnation.
    #[command(after_help = "Example:\n  leftfold --data new-shop restore --from /backups/shop\n\n\
                            The directory given with --data must be empty.")]
    Restore(Restore),
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
    /// Say who may do what.
    #[command(after_help = accounts::GRANTS)]
    Grant(Grant),
    /// Print the server's settings, and where each was said.
    Config(Settings),
}

const INGEST_HELP: &str = "\
Examples:
  leftfold ingest statements/*.xml --map camt.053 --rejects rejects.ndjson
  leftfold ingest orders.csv --map orders.toml

Ingesting a file again, or after a crash in the middle, adds nothing twice.
Exit codes: 0 all records taken, 3 some were rejected, 1 stopped by an error.";

const READ_HELP: &str = "\
Queries:
  'category:order type:OrderPlaced,OrderPaid'      both, any of two
  'tag:customer=42 not stream:Integration*'        not, prefix
  '(stream:a-1 or stream:a-2) time:2026-03-01..'   or, event time
Places (--from includes the place, --after excludes it):
  position:17   version:3   ordinal:3   time:2026-03-01   cursor:...";

const REPAIR_HELP: &str = "\
Without --quarantine nothing is changed. Look for a backup first: what it holds is not lost.
With it, damaged bytes are copied to the directory `quarantine`, each lost event leaves a place that
nobody sees, and all others keep their positions and versions.
Exit code 1: there is damage, and it was not repaired.";

const BACKUP_HELP: &str = "\
Examples:
  leftfold --data shop backup --to /backups/shop
  leftfold backup --verify /backups/shop

The directory holds the last whole backup at any time, also if a run is cut short. Exit code 1 from
--verify: the backup is damaged.";

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Where the demo's store and files go; what an earlier demo left there is replaced.
    #[arg(long, default_value = "leftfold-demo")]
    pub(crate) dir: PathBuf,
    /// How many entries to make, over 1,000 accounts.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(2_000..=10_000_000))]
    pub(crate) entries: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// The files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// A built-in mapping (camt.053), or a mapping file.
    #[arg(long)]
    pub(crate) map: String,
    /// Where rejected records go, as NDJSON; without it they go to standard error.
    #[arg(long)]
    pub(crate) rejects: Option<PathBuf>,
    /// The time zone of times without one, such as Europe/Berlin; instead of the mapping's.
    #[arg(long)]
    pub(crate) zone: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Append {
    /// The stream.
    pub(crate) stream: String,
    /// The event's type.
    pub(crate) event_type: String,
    /// The event's data; `-` reads it from standard input.
    #[arg(default_value = "")]
    pub(crate) data_text: String,
    /// Where the stream is expected: any, no-stream, exists, or its last version.
    #[arg(long, default_value = "any", value_parser = expected)]
    pub(crate) expect: Expected,
    /// The event's id: appending it again changes nothing.
    #[arg(long)]
    pub(crate) id: Option<Uuid>,
    /// A tag; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tag: Vec<(String, String)>,
    /// When it happened, such as 2026-03-01T12:00:00Z.
    #[arg(long)]
    pub(crate) event_time: Option<Timestamp>,
    /// What it belongs to.
    #[arg(long)]
    pub(crate) correlation: Option<String>,
    /// What caused it.
    #[arg(long)]
    pub(crate) causation: Option<String>,
    /// Bytes about the event.
    #[arg(long, default_value = "")]
    pub(crate) metadata: String,
}

/// Where a read or a subscription begins.
#[derive(Debug, clap::Args)]
pub(crate) struct Begin {
    /// Begin here, what is there included.
    #[arg(long, value_name = "PLACE", value_parser = place, conflicts_with = "after")]
    pub(crate) from: Option<Point>,
    /// Begin beyond here, what is there excluded.
    #[arg(long, value_name = "PLACE", value_parser = place)]
    pub(crate) after: Option<Point>,
}

impl Begin {
    pub(crate) fn place(&self) -> From {
        match (self.from.clone(), self.after.clone()) {
            (Some(point), _) => From::Including(point),
            (None, Some(point)) => From::Excluding(point),
            (None, None) => From::Outermost,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Read {
    /// Which events; nothing means all.
    #[arg(default_value = "*", value_parser = Query::from_str)]
    pub(crate) query: Query,
    #[command(flatten)]
    pub(crate) begin: Begin,
    /// From new to old.
    #[arg(long)]
    pub(crate) backward: bool,
    /// At most so many events.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Subscribe {
    /// Which events; nothing means all.
    #[arg(default_value = "*", value_parser = Query::from_str)]
    pub(crate) query: Query,
    #[command(flatten)]
    pub(crate) begin: Begin,
    /// Go on when caught up, until interrupted.
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Streams {
    /// Only the streams of this category.
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// At most so many.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Index {
    #[command(subcommand)]
    pub(crate) action: IndexAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IndexAction {
    /// Define an index over a query; returns when it holds all past events.
    Define {
        /// Its name.
        name: String,
        /// Its query.
        #[arg(value_parser = Query::from_str)]
        query: Query,
    },
    /// Forget an index.
    Drop {
        /// Its name.
        name: String,
    },
    /// List the indexes.
    List,
}

const PARKED_HELP: &str = "\
Examples:
  leftfold parked list
  leftfold parked list mails --all
  leftfold parked replay mails order-17 3
  leftfold parked skip mails order-17 3

The reactor hears of it when it runs next, or at once if it runs.";

#[derive(Debug, clap::Args)]
pub(crate) struct Parked {
    #[command(subcommand)]
    pub(crate) action: ParkedAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedAction {
    /// List what is parked, with the reasons.
    List {
        /// Only this reactor's.
        reactor: Option<String>,
        /// Also what waits for something, or for its next attempt.
        #[arg(long)]
        all: bool,
    },
    /// Have an event tried again; what waits behind it follows.
    Replay(ParkedEvent),
    /// Have an event counted as handled; what waits behind it follows.
    Skip(ParkedEvent),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ParkedEvent {
    /// The reactor.
    pub(crate) reactor: String,
    /// The event's stream.
    pub(crate) stream: String,
    /// Its version.
    pub(crate) version: u64,
}

const RETENTION_HELP: &str = "\
Examples:
  leftfold retention set cart-17 --max-count 100
  leftfold retention rule debug 'tag:level=debug' --max-age 7d
  leftfold retention rule carts 'category:cart' --max-count 1000
  leftfold scavenge";

#[derive(Debug, clap::Args)]
pub(crate) struct Retention {
    #[command(subcommand)]
    pub(crate) action: RetentionAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionAction {
    /// Say what is kept of a stream, in the place of what was said before.
    Set {
        /// The stream.
        stream: String,
        #[command(flatten)]
        kept: Kept,
        /// Drop what comes before this version.
        #[arg(long)]
        truncate_before: Option<u64>,
    },
    /// Define a rule, in the place of the one of its name.
    Rule {
        /// Its name.
        name: String,
        /// Which events. With --max-count it may ask for streams and categories only.
        #[arg(value_parser = Query::from_str)]
        query: Query,
        #[command(flatten)]
        kept: Kept,
    },
    /// Forget a rule.
    Drop {
        /// Its name.
        name: String,
    },
    /// List the rules.
    List,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Certificate {
    /// The directory for ca.pem, server.pem and server-key.pem.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// A name or an address of the server; may be given several times.
    #[arg(long, default_values = ["localhost", "127.0.0.1", "::1"])]
    pub(crate) name: Vec<String>,
}

/// What is kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Kept {
    /// Keep the newest so many events of a stream.
    #[arg(long)]
    pub(crate) max_count: Option<u64>,
    /// Keep events for so long after they were stored, such as 90d or 12h.
    #[arg(long, value_parser = age)]
    pub(crate) max_age: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The stream.
    pub(crate) stream: String,
    /// Where the stream is expected: any, no-stream, exists, or its last version.
    #[arg(long, default_value = "any", value_parser = expected)]
    pub(crate) expect: Expected,
    /// Close the stream for ever: it takes no more events.
    #[arg(long)]
    pub(crate) tombstone: bool,
}

fn packing(text: &str) -> Result<Compression, String> {
    match text {
        "off" => Ok(Compression::Off),
        "fast" => Ok(Compression::Fast),
        "small" => Ok(Compression::Small),
        _ => Err("expected off, fast or small".to_owned()),
    }
}

/// A whole number and a unit.
fn age(text: &str) -> Result<Duration, String> {
    let allowed = "an age is written 45s, 30m, 12h, 90d or 2y (of 365 days)";
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "y" => 365 * 86_400,
        _ => return Err(allowed.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| allowed.to_owned())?;
    Ok(Duration::from_secs(number.checked_mul(seconds).ok_or(allowed)?))
}

#[derive(Debug, clap::Args)]
pub(crate) struct Repair {
    /// Put damaged bytes aside and go on without them.
    #[arg(long)]
    pub(crate) quarantine: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// Where the backup goes: a directory that is empty or holds earlier backups of this store.
    #[arg(long, value_name = "DIR", required_unless_present = "verify")]
    pub(crate) to: Option<PathBuf>,
    /// Make none, but read all of the one in this directory and check it.
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    pub(crate) verify: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// Where the backup is.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
}

fn expected(text: &str) -> Result<Expected, String> {
    Ok(match text {
        "any" => Expected::Any,
        "no-stream" => Expected::NoStream,
        "exists" => Expected::Exists,
        version => {
            let allowed = "expected any, no-stream, exists, or a version such as 3";
            Expected::Exactly(version.parse().map_err(|_| allowed.to_owned())?)
        }
    })
}

fn tag(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("a tag is written key=value")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

fn place(text: &str) -> Result<Point, String> {
    let allowed =
        "a place is written position:17, version:3, ordinal:3, time:2026-03-01 or cursor:...";
    let (kind, at) = text.split_once(':').ok_or(allowed)?;
    let number = || at.parse::<u64>().map_err(|_| format!("{at} is not a number; {allowed}"));
    Ok(match kind {
        "position" => Point::Position(number()?),
        "version" => Point::Version(number()?),
        "ordinal" => Point::Ordinal(number()?),
        "time" => Point::CommitTime(at.parse().map_err(|error: leftfold::Invalid| error.message)?),
        "cursor" => Point::Cursor(at.parse().map_err(|error: leftfold::Invalid| error.message)?),
        _ => return Err(allowed.to_owned()),
    })
}
