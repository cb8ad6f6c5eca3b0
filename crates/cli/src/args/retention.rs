//! Retention and deletion.

use std::str::FromStr;
use std::time::Duration;

use clap::Subcommand;
use leftfold::{Expected, Query};

use super::parse;

pub(super) const HELP: &str = "\
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
    /// Set the retention of a stream, instead of its earlier setting.
    Set {
        /// The stream.
        stream: String,
        #[command(flatten)]
        retained: Retained,
        /// Drop the events before this version.
        #[arg(long, value_name = "VERSION", value_parser = parse::version)]
        truncate_before: Option<u64>,
    },
    /// Define a rule, instead of an earlier one of this name.
    Rule {
        /// Its name.
        name: String,
        /// The events. With --max-count the query may select streams and categories only.
        #[arg(value_parser = Query::from_str)]
        query: Query,
        #[command(flatten)]
        retained: Retained,
    },
    /// Remove a rule.
    Drop {
        /// Its name.
        name: String,
    },
    /// List the rules, or the streams with a retention of their own, a deletion or a tombstone.
    List {
        /// The streams instead of the rules.
        #[arg(long)]
        streams: bool,
    },
}

/// The events that retention keeps.
#[derive(Debug, clap::Args)]
pub(crate) struct Retained {
    /// Keep this number of a stream's newest events.
    #[arg(long, value_name = "COUNT", value_parser = parse::count)]
    pub(crate) max_count: Option<u64>,
    /// Keep events for this time after they were stored, such as 90d or 12h.
    #[arg(long, value_name = "AGE", value_parser = parse::age)]
    pub(crate) max_age: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The stream.
    pub(crate) stream: String,
    /// The expected state of the stream: any, no-stream, exists, or its last version.
    #[arg(short, long, value_name = "STATE", default_value = "any", value_parser = parse::expected)]
    pub(crate) expect: Expected,
    /// Close the stream for ever: it accepts no more events.
    #[arg(long)]
    pub(crate) tombstone: bool,
}
