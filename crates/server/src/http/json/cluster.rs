//! The cluster, as the node that was asked sees it.

use leftfold_api::{ClusterMember, ClusterPartition, ClusterStatus};
use serde::Serialize;
use utoipa::ToSchema;

/// A cluster, as one of its nodes sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterAnswer {
    /// The name of the cluster.
    cluster: String,
    /// The name of the node that answers.
    node: String,
    /// The state of its membership: `joining`, `member`, `away`, `replaced` or `left`.
    #[schema(example = "member")]
    standing: &'static str,
    /// Whether it gives its partitions away.
    is_draining: bool,
    /// Why the membership does not work at the moment; null if it does.
    problem: Option<String>,
    /// The nodes of the cluster, by name, as the node last heard.
    members: Vec<MemberAnswer>,
    /// The partitions, by number.
    partitions: Vec<PartitionAnswer>,
}

/// A node of a cluster.
#[derive(Serialize, ToSchema)]
struct MemberAnswer {
    /// Its name.
    name: String,
    /// The URL at which other nodes reach it.
    url: String,
    /// The address at which Kafka's clients reach it; null if they do not.
    #[schema(example = "n1.example.com:9092")]
    kafka: Option<String>,
    /// Whether it gives its partitions away.
    is_draining: bool,
}

/// A partition, as the node that answers sees it.
#[derive(Serialize, ToSchema)]
struct PartitionAnswer {
    /// Its number, from 0.
    number: u32,
    /// The node that is to own it; null if none is chosen.
    owner: Option<String>,
    /// The nodes that follow it; the first takes over.
    standbys: Vec<String>,
    /// What the node is to it: `opening`, `standby`, `claiming` or `owner`.
    #[schema(example = "owner")]
    role: &'static str,
    /// The term that the node's copy has come to.
    term: u64,
    /// The position up to which the node's copy has applied the log.
    applied: u64,
    /// The last position of the log, as the node last saw it.
    end: u64,
    /// By how many positions the node's copy is behind the log.
    lag: u64,
    /// The node from which it gets its copy at the moment; null if it does not.
    restoring_from: Option<String>,
    /// What fails on the node at the moment; null if nothing does.
    failure: Option<String>,
}

impl From<ClusterStatus> for ClusterAnswer {
    fn from(status: ClusterStatus) -> Self {
        ClusterAnswer {
            cluster: status.cluster,
            node: status.node,
            standing: status.standing,
            is_draining: status.is_draining,
            problem: status.problem,
            members: status.members.into_iter().map(MemberAnswer::from).collect(),
            partitions: status.partitions.into_iter().map(PartitionAnswer::from).collect(),
        }
    }
}

impl From<ClusterMember> for MemberAnswer {
    fn from(member: ClusterMember) -> Self {
        let ClusterMember { name, url, kafka, is_draining, .. } = member;
        MemberAnswer { name, url, kafka, is_draining }
    }
}

impl From<ClusterPartition> for PartitionAnswer {
    fn from(partition: ClusterPartition) -> Self {
        PartitionAnswer {
            lag: partition.lag(),
            number: partition.number,
            owner: partition.owner,
            standbys: partition.standbys,
            role: partition.role,
            term: partition.term,
            applied: partition.applied,
            end: partition.end,
            restoring_from: partition.restoring_from,
            failure: partition.failure,
        }
    }
}
