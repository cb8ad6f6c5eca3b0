//! Connectors.

use std::path::PathBuf;

use clap::Subcommand;

use super::{ViewFrom, parse};

pub(super) const HELP: &str = "\
Examples:
  leftfold connector test orders-to-shop.toml     connects, and says what is missing
  leftfold connector add orders-to-shop.toml --from now
  leftfold connector list
  leftfold connector parked orders-to-shop        what could not be delivered?
  leftfold connector retry orders-to-shop --stream order-17

A connector is one file of TOML. A server runs it: name the server with --server.";

#[derive(Debug, clap::Args)]
pub(crate) struct Connector {
    #[command(subcommand)]
    pub(crate) action: ConnectorAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorAction {
    /// Connect with the other side from the server, and say what is missing. The exit code is 1 if anything is.
    Test {
        /// The file.
        file: PathBuf,
    },
    /// Add a connector; it runs from now on.
    Add {
        /// Its file.
        file: PathBuf,
        /// The first events that go out: start (all), now (only new ones), or those after a cursor.
        #[arg(long, value_name = "POINT", default_value = "start", value_parser = parse::view_from)]
        from: ViewFrom,
    },
    /// List the connectors and what they are doing.
    List,
    /// Show a connector and its file.
    Show {
        /// Its name.
        name: String,
    },
    /// Replace a connector; it goes on where it is.
    Replace {
        /// Its file; the name in it is that of the connector.
        file: PathBuf,
    },
    /// Stop a connector until it is resumed.
    Pause {
        /// Its name.
        name: String,
    },
    /// Resume a connector that was paused or has failed.
    Resume {
        /// Its name.
        name: String,
    },
    /// Let a connector begin anew: all events go out again.
    Reset {
        /// Its name.
        name: String,
    },
    /// Remove a connector; what it has delivered stays.
    Remove {
        /// Its name.
        name: String,
    },
    /// List the parked events of a connector, with the reasons.
    Parked {
        /// The connector.
        name: String,
        /// Also the events that are tried again by themselves.
        #[arg(long)]
        all: bool,
    },
    /// Try parked events again.
    Retry {
        /// The connector.
        name: String,
        /// That of this stream; all if it is not given.
        #[arg(long)]
        stream: Option<String>,
    },
    /// Leave a parked event out; those of its stream behind it follow.
    Skip {
        /// The connector.
        name: String,
        /// Its stream.
        #[arg(long)]
        stream: String,
        /// Its version.
        #[arg(long)]
        version: u64,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Outbox {
    #[command(subcommand)]
    pub(crate) action: OutboxAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxAction {
    /// Print the SQL that makes an outbox in PostgreSQL, or completes one that is there. It can be run again.
    Init {
        /// The table, with its schema if it is not on the search path.
        #[arg(long, default_value = "outbox")]
        table: String,
        /// Also print the SQL of the publication, for a connector with mode = "replication".
        #[arg(long)]
        replication: bool,
    },
}
