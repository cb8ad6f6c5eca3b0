//! Appends, reads, subscriptions and the list of streams.

use std::str::FromStr;

use leftfold::{Expected, From, Point, Query, Timestamp};
use uuid::Uuid;

use super::parse;

pub(super) const READ_HELP: &str = "\
Queries:
  'category:order type:OrderPlaced,OrderPaid'      both, any of two
  'tag:customer=42 not stream:Integration*'        not, prefix
  '(stream:a-1 or stream:a-2) time:2026-03-01..'   or, event time
  'partition:orders/3'                             partition 3 of the index orders
Points (--from includes the point, --after excludes it):
  position:17   version:3   ordinal:3   committed:2026-03-01   cursor:...";

#[derive(Debug, clap::Args)]
pub(crate) struct Append {
    /// The stream.
    pub(crate) stream: String,
    /// The event's type.
    pub(crate) event_type: String,
    /// The event's data; `-` reads it from standard input. JSON is stored as JSON, other text as bytes.
    #[arg(default_value = "")]
    pub(crate) data_text: String,
    /// Store the data as bytes, also if they look like broken JSON.
    #[arg(long)]
    pub(crate) raw: bool,
    /// The expected state of the stream: any, no-stream, exists, or its last version.
    #[arg(long, default_value = "any", value_parser = parse::expected)]
    pub(crate) expect: Expected,
    /// The event's id: appending it again changes nothing.
    #[arg(long)]
    pub(crate) id: Option<Uuid>,
    /// A tag; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::tag)]
    pub(crate) tag: Vec<(String, String)>,
    /// When it happened, such as 2026-03-01T12:00:00Z.
    #[arg(long)]
    pub(crate) event_time: Option<Timestamp>,
    /// The correlation id: the conversation or process that it belongs to.
    #[arg(long)]
    pub(crate) correlation: Option<String>,
    /// The causation id: what caused it.
    #[arg(long)]
    pub(crate) causation: Option<String>,
    /// Bytes about the event.
    #[arg(long, default_value = "")]
    pub(crate) metadata: String,
}

/// The start of a read or a subscription.
#[derive(Debug, clap::Args)]
pub(crate) struct Start {
    /// Begin at this point, including it.
    #[arg(long, value_name = "POINT", value_parser = parse::point, conflicts_with = "after")]
    pub(crate) from: Option<Point>,
    /// Begin behind this point, excluding it.
    #[arg(long, value_name = "POINT", value_parser = parse::point)]
    pub(crate) after: Option<Point>,
}

impl Start {
    pub(crate) fn point(&self) -> From {
        match (self.from.clone(), self.after.clone()) {
            (Some(point), _) => From::Including(point),
            (None, Some(point)) => From::Excluding(point),
            (None, None) => From::Outermost,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Read {
    /// The events; all if not given.
    #[arg(default_value = "*", value_parser = Query::from_str)]
    pub(crate) query: Query,
    #[command(flatten)]
    pub(crate) start: Start,
    /// From new to old.
    #[arg(long)]
    pub(crate) backward: bool,
    /// The largest number of events.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Subscribe {
    /// The events; all if not given.
    #[arg(default_value = "*", value_parser = Query::from_str)]
    pub(crate) query: Query,
    #[command(flatten)]
    pub(crate) start: Start,
    /// Go on after catching up, until interrupted.
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Streams {
    /// Only the streams of this category.
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// The store's own streams and those of reactors too.
    #[arg(long)]
    pub(crate) system: bool,
    /// The largest number of streams.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}
