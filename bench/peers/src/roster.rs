//! The systems: their names, settings and versions.

use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use crate::get;
use crate::syncs;
use crate::system::System;
use crate::systems::{bare, leftfold, message_db, nats, postgres, sierradb};
use crate::turn::{self, Turn};
use crate::work::Work;

/// A system's name on the command line.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize,
)]
pub(crate) enum Name {
    Leftfold,
    LeftfoldServer,
    Bare,
    Postgresql,
    MessageDb,
    Umadb,
    UmadbCore,
    Sierradb,
    SierradbSynced,
    Nats,
}

/// A task of a child process for one system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    Load,
    Measure,
    CountSyncs,
}

/// Runs code with a name's system as a type.
macro_rules! with_system {
    ($name:expr, $system:ident => $done:expr) => {
        match $name {
            Name::Leftfold => {
                type $system = leftfold::Leftfold;
                $done
            }
            Name::LeftfoldServer => {
                type $system = leftfold::LeftfoldServer;
                $done
            }
            Name::Bare => {
                type $system = bare::Bare;
                $done
            }
            Name::Postgresql => {
                type $system = postgres::Postgres;
                $done
            }
            Name::MessageDb => {
                type $system = message_db::MessageDb;
                $done
            }
            #[cfg(feature = "umadb")]
            Name::Umadb => {
                type $system = crate::systems::umadb::UmaServer;
                $done
            }
            #[cfg(feature = "umadb")]
            Name::UmadbCore => {
                type $system = crate::systems::umadb::UmaCore;
                $done
            }
            // Without its client it cannot run; `install` has reported that before.
            #[cfg(not(feature = "umadb"))]
            Name::Umadb | Name::UmadbCore => {
                type $system = bare::Bare;
                $done
            }
            Name::Sierradb => {
                type $system = sierradb::SierraDb<sierradb::Defaults>;
                $done
            }
            Name::SierradbSynced => {
                type $system = sierradb::SierraDb<sierradb::Tuned>;
                $done
            }
            Name::Nats => {
                type $system = nats::Nats;
                $done
            }
        }
    };
}

impl Name {
    /// Returns the name in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Name::Leftfold => "**Leftfold**, embedded",
            Name::LeftfoldServer => "**Leftfold** server",
            Name::Bare => "bare loop (control)",
            Name::Postgresql => "PostgreSQL, unique index",
            Name::MessageDb => "PostgreSQL, message-db",
            Name::Umadb => "UmaDB server",
            Name::UmadbCore => "UmaDB core, embedded",
            Name::Sierradb => "SierraDB, defaults",
            Name::SierradbSynced => "SierraDB, each append synced",
            Name::Nats => "NATS JetStream, sync always",
        }
    }

    /// Returns the name in files and on the command line.
    pub(crate) fn file(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(crate) fn cannot(self, work: Work) -> Option<&'static str> {
        with_system!(self, S => S::cannot(work))
    }

    pub(crate) fn perform(self, task: Task, turn: &Turn) -> anyhow::Result<()> {
        let (mut alone, mut together) =
            (Builder::new_current_thread(), Builder::new_multi_thread());
        let mut alone = || alone.enable_all().build();
        let mut together = || together.enable_all().build();
        with_system!(self, S => match task {
            Task::Load => together()?.block_on(turn::load::<S>(turn)),
            Task::Measure => {
                alone()?.block_on(turn::run_alone::<S>(turn))?;
                together()?.block_on(turn::run_together::<S>(turn))
            }
            Task::CountSyncs => together()?.block_on(syncs::count::<S>(turn)),
        })
    }

    /// Installs it if it is missing, and returns its version.
    pub(crate) fn install(self, cache: &Path) -> anyhow::Result<String> {
        Ok(match self {
            Name::Leftfold | Name::LeftfoldServer => "this tree".to_owned(),
            Name::Bare => "this program".to_owned(),
            Name::Postgresql => get::version(&get::postgres_bin()?.join("postgres")),
            Name::MessageDb => {
                get::postgres_bin()?;
                get::message_db(cache)?;
                format!("message-db {} (npm)", get::MESSAGE_DB)
            }
            #[cfg(not(feature = "umadb"))]
            Name::Umadb | Name::UmadbCore => anyhow::bail!(
                "UmaDB's client is built with protoc, which was neither there nor to be had: \
                 install Debian's package protobuf-compiler"
            ),
            #[cfg(feature = "umadb")]
            Name::Umadb => {
                get::umadb(cache)?;
                format!("umadb {} (PyPI), umadb-client {0} (crates.io)", get::UMADB)
            }
            #[cfg(feature = "umadb")]
            Name::UmadbCore => format!("umadb-core {} (crates.io)", get::UMADB),
            Name::Sierradb | Name::SierradbSynced => {
                get::version(&get::sierradb(cache)?) + " (crates.io)"
            }
            Name::Nats => get::version(&get::nats(cache)?) + " (Go module), async-nats 0.51",
        })
    }

    /// Describes its settings and its client.
    pub(crate) fn settings(self) -> String {
        match self {
            Name::Leftfold => {
                "default options, in the process that measures; a single caller's calls run on its \
                 own thread (`Embedded::blocking`)"
                    .to_owned()
            }
            Name::LeftfoldServer => {
                "`leftfold serve` with default settings, HTTP/2 on a Unix socket; its Rust client over \
                 native gRPC, up to 2 connections, its network on the callers' threads, appends \
                 pipelined, replays by streamed pages"
                    .to_owned()
            }
            Name::Bare => format!(
                "one thread; a file of zeros; writes of {} bytes (an event) and {} (a hundred), \
                 fdatasync after each",
                bare::FRAME,
                bare::BATCH_FRAME
            ),
            Name::Postgresql => {
                let settings: Vec<String> = postgres::SETTINGS
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!(
                    "{}; a unique index on (stream, version); tokio-postgres, prepared statements, \
                     one connection for each appender up to {} and shared beyond, unix socket",
                    settings.join(", "),
                    postgres::CONNECTIONS,
                )
            }
            Name::MessageDb => {
                "the same server; `write_message` with expected version, batches as \
                one pipelined transaction; payloads are JSON of the same length"
                    .to_owned()
            }
            Name::Umadb => format!(
                "`--read-method mmap --page-cache-max-mb {CACHE_MB}`, else defaults; umadb-client \
                 over loopback, up to 2 connections; a stream is a tag"
            ),
            Name::UmadbCore => format!(
                "read method mmap, page cache {CACHE_MB} MB; its own writer thread with group \
                 commit, without gRPC; a stream is a tag"
            ),
            Name::Sierradb => {
                "as it comes; sierradb-client over loopback, one connection for each \
                appender; cluster address on loopback"
                    .to_owned()
            }
            Name::SierradbSynced => {
                format!("the same, with `{}{}`", sierradb::EACH, sierradb::PLAIN).replace('\n', " ")
            }
            Name::Nats => "`jetstream { sync_interval: always }`, one file stream; \
                Nats-Expected-Last-Subject-Sequence and Nats-Msg-Id on each message, atomic \
                batches; reads by batched direct gets; up to 2 connections"
                .to_owned(),
        }
    }
}

#[cfg(feature = "umadb")]
use crate::systems::umadb::CACHE_MB;
#[cfg(not(feature = "umadb"))]
const CACHE_MB: usize = 0;
