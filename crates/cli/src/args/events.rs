//! Appends, reads, subscriptions and the list of streams.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ArgAction;
use leftfold::{Expected, Point, Query, ReadLevel, Timestamp};
use uuid::Uuid;

use super::parse;

pub(super) const READ_HELP: &str = "\
Queries:
  'category:order type:OrderPlaced,OrderPaid'      both, any of two
  'tag:customer=42 not stream:Integration*'        not, prefix
  '(stream:a-1 or stream:a-2) time:2026-03-01..'   or, event time
  'partition:orders/3'                             partition 3 of the index orders
Points (--from includes the point, --after excludes it):
  position:17   version:3   ordinal:3   committed:2026-03-01   cursor:...
  --from end is behind the newest event: subscribe --follow --from end prints only new ones.";

pub(super) const APPEND_HELP: &str = "\
Examples:
  leftfold append order-1 OrderPlaced '{\"total\":\"9.90\"}' --expect no-stream
  leftfold append order-1 Packed '{}' Sent '{\"by\":\"post\"}'        two events, both or none
  echo '{}' | leftfold append order-1 Paid - --expect 0
  leftfold append seat-7 Taken '{}' --none-after stream:seat-7 start    only if there is none
  leftfold read category:order | leftfold --data copy append --from -

--none-after takes a query and a point: start, position:17 (the last event that you have seen) or
cursor:... It may be given several times.
--from repeats nothing: a line whose event is stored already, by its id, is counted and skipped.";

#[derive(Debug, clap::Args)]
pub(crate) struct Append {
    /// The stream; with --from, instead of each line's own.
    #[arg(required_unless_present = "from")]
    pub(crate) stream: Option<String>,
    /// The event's type.
    #[arg(value_name = "TYPE", required_unless_present = "from", conflicts_with = "from")]
    pub(crate) event_type: Option<String>,
    /// The event's data; `-` reads it from standard input. JSON is stored as JSON, other text as bytes.
    #[arg(value_name = "DATA", default_value = "", hide_default_value = true)]
    pub(crate) data_text: String,
    /// Further events, each a type and its data. All are appended, or none.
    #[arg(value_name = "TYPE DATA", conflicts_with = "from")]
    pub(crate) more: Vec<String>,
    /// Append the events of a file that `leftfold read` has written; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "raw", "expect", "none_after", "id", "tag", "event_time", "correlation", "causation", "metadata",
    ])]
    pub(crate) from: Option<PathBuf>,
    /// Store the data as bytes, also if they look like broken JSON.
    #[arg(long)]
    pub(crate) raw: bool,
    /// The expected state of the stream: any, no-stream, exists, or its last version.
    #[arg(short, long, value_name = "STATE", default_value = "any", value_parser = parse::expected)]
    pub(crate) expect: Expected,
    /// Append only if no event after the point matches the query.
    #[arg(long, num_args = 2, value_names = ["QUERY", "POINT"], action = ArgAction::Append)]
    pub(crate) none_after: Vec<String>,
    /// The event's id: appending it again changes nothing. Of several events, one for each.
    #[arg(short, long, value_name = "UUID", value_parser = parse::id)]
    pub(crate) id: Vec<Uuid>,
    /// A tag of each event; may be given several times.
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse::tag)]
    pub(crate) tag: Vec<(String, String)>,
    /// When it happened, such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) event_time: Option<Timestamp>,
    /// The correlation id: the conversation or process that it belongs to.
    #[arg(long, value_name = "ID")]
    pub(crate) correlation: Option<String>,
    /// The causation id: what caused it.
    #[arg(long, value_name = "ID")]
    pub(crate) causation: Option<String>,
    /// Bytes about the event.
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub(crate) metadata: String,
}

impl Append {
    /// Returns the type and the data of each event.
    ///
    /// # Errors
    /// An event has no data, or there is not one id for each event.
    pub(crate) fn pairs(&self) -> Result<Vec<(&str, &str)>, String> {
        let (more, rest) = self.more.as_chunks::<2>();
        if let [without] = rest {
            return Err(format!(
                "expected TYPE DATA for each event, found {without} without data; write data with \
                 spaces in quotes, and '' for no data"
            ));
        }
        let first = self.event_type.iter().map(|first| (first.as_str(), self.data_text.as_str()));
        let more = more.iter().map(|[event_type, data]| (event_type.as_str(), data.as_str()));
        let pairs: Vec<_> = first.chain(more).collect();
        if !self.id.is_empty() && self.id.len() != pairs.len() {
            let (ids, events) = (self.id.len(), pairs.len());
            return Err(format!("expected one --id for each of {events} events, found {ids}"));
        }
        Ok(pairs)
    }

    /// Returns the queries of `--none-after` and their points: positions or cursors.
    ///
    /// # Errors
    /// A query or a point can't be read.
    pub(crate) fn conditions(&self) -> Result<Vec<(Query, Point)>, String> {
        let pairs = self.none_after.as_chunks::<2>().0.iter();
        pairs.map(|[query, point]| parse::condition(query, point)).collect()
    }
}

/// The start of a read or a subscription.
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    /// Begin at this point, including it; `end` is behind the newest event.
    #[arg(long, value_name = "POINT", value_parser = parse::start, conflicts_with = "after")]
    pub(crate) from: Option<StartPoint>,
    /// Begin behind this point, excluding it.
    #[arg(long, value_name = "POINT", value_parser = parse::point)]
    pub(crate) after: Option<Point>,
}

/// A point at which a read can begin.
#[derive(Debug, Clone)]
pub(crate) enum StartPoint {
    /// Behind the newest event.
    End,
    /// A point in the log.
    At(Point),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Read {
    /// The events; all if not given.
    #[arg(default_value = "*", value_parser = Query::from_str)]
    pub(crate) query: Query,
    #[command(flatten)]
    pub(crate) start: StartArgs,
    /// From new to old.
    #[arg(short, long)]
    pub(crate) backward: bool,
    /// The largest number of events.
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = parse::count)]
    pub(crate) limit: Option<u64>,
    /// How current the answer must be, from a node of a cluster: committed (of the owner), local (of the
    /// node that is asked, which may lag) or linearizable (of the owner, behind a barrier in the log).
    #[arg(long, value_name = "LEVEL", default_value = "committed", value_parser = parse::level)]
    pub(crate) level: ReadLevel,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Subscribe {
    /// The events; all if not given.
    #[arg(default_value = "*", value_parser = Query::from_str)]
    pub(crate) query: Query,
    #[command(flatten)]
    pub(crate) start: StartArgs,
    /// Go on after catching up, until interrupted.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Stop after this number of events.
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = parse::count)]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Streams {
    /// Only the streams of this category.
    #[arg(short, long)]
    pub(crate) category: Option<String>,
    /// The store's own streams and those of reactors too.
    #[arg(long)]
    pub(crate) system: bool,
    /// The largest number of streams.
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = parse::count)]
    pub(crate) limit: Option<u64>,
}
