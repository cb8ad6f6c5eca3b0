//! The cluster that an engine is a node of, for servers.

use serde::Serialize;

/// A node of a cluster, as it sees the cluster.
pub trait Cluster: Send + Sync {
    /// Returns what the node knows at the moment. Asks no other node, and reads no file.
    fn status(&self) -> ClusterStatus;

    /// Gives all partitions of this node away to other nodes, as far as there are any, and takes no new ones. Returns
    /// at once: see the status.
    fn drain(&self);

    /// Takes partitions again after [`Cluster::drain`].
    fn undrain(&self);
}

/// A cluster, as one of its nodes sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// The name of the cluster.
    pub cluster: String,
    /// The name of the node.
    pub node: String,
    /// The state of its membership: `joining`, `member`, `away`, `replaced` or `left`.
    pub standing: &'static str,
    /// Whether it gives its partitions away.
    pub is_draining: bool,
    /// Why the membership does not work at the moment.
    pub problem: Option<String>,
    /// The nodes of the cluster, by name, as the node last heard.
    pub members: Vec<ClusterMember>,
    /// The partitions, by number.
    pub partitions: Vec<ClusterPartition>,
}

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClusterMember {
    /// Its name.
    pub name: String,
    /// The URL at which other nodes reach it.
    pub url: String,
    /// Whether it gives its partitions away.
    pub is_draining: bool,
}

/// A partition, as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClusterPartition {
    /// Its number, from 0.
    pub number: u32,
    /// The node that is to own it, if one is chosen.
    pub owner: Option<String>,
    /// The nodes that follow it; the first takes over.
    pub standbys: Vec<String>,
    /// What this node is to it: `opening`, `standby`, `claiming` or `owner`.
    pub role: &'static str,
    /// The term that this node's copy has come to: the number of the last claim.
    pub term: u64,
    /// The position up to which this node's copy has applied the log.
    pub applied: u64,
    /// The last position of the log, as this node last saw it.
    pub end: u64,
    /// What fails at the moment on this node, if anything does.
    pub failure: Option<String>,
}

impl ClusterStatus {
    /// Returns the status of a node that knows nothing yet.
    pub fn new(cluster: impl Into<String>, node: impl Into<String>) -> Self {
        ClusterStatus {
            cluster: cluster.into(),
            node: node.into(),
            standing: "joining",
            is_draining: false,
            problem: None,
            members: Vec::new(),
            partitions: Vec::new(),
        }
    }
}

impl ClusterMember {
    /// Returns a member.
    pub fn new(name: impl Into<String>, url: impl Into<String>, is_draining: bool) -> Self {
        ClusterMember { name: name.into(), url: url.into(), is_draining }
    }
}

impl ClusterPartition {
    /// Returns a partition of which nothing is known yet.
    pub fn new(number: u32) -> Self {
        ClusterPartition {
            number,
            owner: None,
            standbys: Vec::new(),
            role: "opening",
            term: 0,
            applied: 0,
            end: 0,
            failure: None,
        }
    }

    /// Returns by how many positions this node's copy is behind the log.
    pub fn lag(&self) -> u64 {
        self.end.saturating_sub(self.applied)
    }
}
