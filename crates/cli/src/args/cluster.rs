//! The cluster that a server is a node of.

use std::time::Duration;

use clap::Subcommand;

use super::parse;

pub(super) const HELP: &str = "\
Examples:
  leftfold cluster status --server http://node-1:2113
  leftfold cluster members
  leftfold cluster drain --wait --server http://node-1:2113     before node-1 is stopped
  leftfold cluster undrain --server http://node-1:2113

Each node answers for itself: the roles, terms and positions are those of the node that is asked.";

#[derive(Debug, clap::Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    pub(crate) action: ClusterAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterAction {
    /// Print the node's membership, and what it is to each partition.
    Status,
    /// List the nodes of the cluster, with the partitions that they own and follow.
    Members,
    /// Give the partitions of the node to other nodes, and take no new ones.
    Drain {
        /// Wait until the node owns no partition.
        #[arg(long)]
        wait: bool,
        /// How long to wait, such as 30s or 5m.
        #[arg(long, requires = "wait", value_name = "TIME", default_value = "60s", value_parser = parse::age)]
        timeout: Duration,
    },
    /// Let the node take partitions again.
    Undrain,
}
