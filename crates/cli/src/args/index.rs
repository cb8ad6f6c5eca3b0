//! Named indexes.

use std::str::FromStr;

use clap::Subcommand;
use leftfold::{PartitionKey, Partitioner, Query};

use super::parse;

pub(super) const HELP: &str = "\
Examples:
  leftfold index define paid type:OrderPaid
  leftfold index define orders 'category:order' --partitions 8 --partition-by stream-id
  leftfold read partition:orders/3";

#[derive(Debug, clap::Args)]
pub(crate) struct Index {
    #[command(subcommand)]
    pub(crate) action: IndexAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IndexAction {
    /// Define an index over a query; returns when it lists all past events.
    Define {
        /// Its name.
        name: String,
        /// Its query.
        #[arg(value_parser = Query::from_str)]
        query: Query,
        /// The number of partitions, 1 to 1024; without it the index is one list.
        #[arg(long, value_name = "COUNT", value_parser = parse::partitions)]
        partitions: Option<u32>,
        /// The key of an event's partition: stream, stream-id (the stream's name behind its
        /// category), store-key (the text in the first braces of the stream's name, else as
        /// stream-id; needed for ordinals in a store of many partitions), behind:PREFIX (the stream's
        /// name behind a prefix), or tag:KEY (the tag's value).
        #[arg(long, value_name = "KEY", default_value = "stream", requires = "partitions",
              value_parser = PartitionKey::from_str)]
        partition_by: PartitionKey,
        /// How the partition is computed from its key, as clients of Kafka do: murmur2 (Java) or crc32
        /// (librdkafka).
        #[arg(long, value_name = "NAME", default_value_t, requires = "partitions",
              value_parser = Partitioner::from_str)]
        partitioner: Partitioner,
    },
    /// Show an index.
    Show {
        /// Its name.
        name: String,
    },
    /// Drop an index.
    Drop {
        /// Its name.
        name: String,
    },
    /// List the indexes.
    List,
}
