//! Events that reactors have parked.

use clap::Subcommand;

use super::parse;

pub(super) const HELP: &str = "\
Examples:
  leftfold parked list
  leftfold parked list mails --all
  leftfold parked replay mails order-17 3
  leftfold parked skip mails order-17 3

The reactor acts on it at once if it runs, otherwise at its next start.";

#[derive(Debug, clap::Args)]
pub(crate) struct Parked {
    #[command(subcommand)]
    pub(crate) action: ParkedAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedAction {
    /// List the parked events, with the reasons.
    List {
        /// Only this reactor's.
        reactor: Option<String>,
        /// Also events that wait for something, or for their next attempt.
        #[arg(long)]
        all: bool,
    },
    /// Retry an event; the events that wait behind it follow.
    Replay(ParkedEvent),
    /// Count an event as handled; the events that wait behind it follow.
    Skip(ParkedEvent),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ParkedEvent {
    /// The reactor.
    pub(crate) reactor: String,
    /// The event's stream.
    pub(crate) stream: String,
    /// Its version.
    #[arg(value_parser = parse::version)]
    pub(crate) version: u64,
}
