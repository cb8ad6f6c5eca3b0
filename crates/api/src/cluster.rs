//! The cluster that an engine is a node of, for servers.

use serde::Serialize;

use crate::BoxFuture;

/// The most warnings of failing partitions in [`ClusterStatus::warnings`].
const MAX_WARNINGS: usize = 5;

/// A node of a cluster, as it sees the cluster.
pub trait Cluster: Send + Sync {
    /// Returns what the node knows at the moment. Asks no other node, and reads no file.
    fn status(&self) -> ClusterStatus;

    /// Returns the number of partitions.
    fn partitions(&self) -> u32;

    /// Returns whether the node owns a partition at the moment.
    fn owns(&self, partition: u32) -> bool;

    /// Waits until the node owns a partition that it did not own when this was called, or the other way round.
    fn owned_changed(&self) -> BoxFuture<'static, ()>;

    /// Tells the other nodes the address at which Kafka's clients reach this one, as `host:port`. Returns at once.
    fn advertise_kafka(&self, address: &str);

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
    /// The address at which Kafka's clients reach it, as `host:port`; `None` if they do not.
    pub kafka: Option<String>,
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
    /// The node from which this one gets its copy at the moment, if it does.
    pub restoring_from: Option<String>,
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

    /// Returns what an operator should look at: the membership, a drain, and the
    /// first five partitions that fail or have no owner.
    pub fn warnings(&self) -> Vec<String> {
        let failing = self.partitions.iter().filter_map(|partition| {
            let no_owner = partition.owner.is_none().then_some("no node is chosen to own it");
            let problem = partition.failure.as_deref().or(no_owner)?;
            Some(format!("partition {}: {problem}", partition.number))
        });
        let mut failing: Vec<_> = failing.collect();
        if failing.len() > MAX_WARNINGS {
            let more = failing.len() - MAX_WARNINGS;
            failing.truncate(MAX_WARNINGS);
            failing.push(format!(
                "{more} more partitions fail or have no owner: see the status of the cluster"
            ));
        }
        let draining = self.is_draining.then(|| {
            format!("node {} gives its partitions away: undrain it to end that", self.node)
        });
        self.membership_warning().into_iter().chain(draining).chain(failing).collect()
    }

    fn membership_warning(&self) -> Option<String> {
        let (node, cluster) = (&self.node, &self.cluster);
        match (self.standing, &self.problem) {
            ("member", None) => None,
            ("member", Some(problem)) => {
                Some(format!("the membership of node {node} in {cluster} does not work: {problem}"))
            }
            (standing, problem) => {
                let why = problem.as_ref().map_or(String::new(), |problem| format!(": {problem}"));
                Some(format!("node {node} is no member of {cluster}, but {standing}{why}"))
            }
        }
    }
}

impl ClusterMember {
    /// Returns a member that Kafka's clients do not reach.
    pub fn new(name: impl Into<String>, url: impl Into<String>, is_draining: bool) -> Self {
        ClusterMember { name: name.into(), url: url.into(), kafka: None, is_draining }
    }

    /// Sets the address at which Kafka's clients reach it.
    #[must_use]
    pub fn kafka(mut self, address: impl Into<String>) -> Self {
        self.kafka = Some(address.into());
        self
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
            restoring_from: None,
            failure: None,
        }
    }

    /// Returns by how many positions this node's copy is behind the log.
    pub fn lag(&self) -> u64 {
        self.end.saturating_sub(self.applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_without_problems_has_no_warnings() {
        let status = ClusterStatus { standing: "member", ..ClusterStatus::new("shop", "n1") };
        assert_eq!(status.warnings(), Vec::<String>::new());
    }

    #[test]
    fn warns_of_a_membership_that_does_not_work() {
        let check = |standing, problem: Option<&str>, expected: &str| {
            let problem = problem.map(str::to_owned);
            let status = ClusterStatus { standing, problem, ..ClusterStatus::new("shop", "n1") };
            assert_eq!(status.warnings(), [expected]);
        };
        check("joining", None, "node n1 is no member of shop, but joining");
        check("away", Some("no broker"), "node n1 is no member of shop, but away: no broker");
        let works_not = "the membership of node n1 in shop does not work: no broker";
        check("member", Some("no broker"), works_not);
    }

    #[test]
    fn warns_of_a_drain_and_of_the_first_partitions_that_fail() {
        let mut status = ClusterStatus { standing: "member", ..ClusterStatus::new("shop", "n1") };
        status.is_draining = true;
        for number in 0..7 {
            let failure = (number != 1).then(|| "the broker is away".to_owned());
            status.partitions.push(ClusterPartition { failure, ..ClusterPartition::new(number) });
        }
        let warnings = status.warnings();
        assert_eq!(warnings.len(), 7);
        assert_eq!(warnings[0], "node n1 gives its partitions away: undrain it to end that");
        assert_eq!(warnings[1], "partition 0: the broker is away");
        assert_eq!(warnings[2], "partition 1: no node is chosen to own it");
        assert_eq!(
            warnings[6],
            "2 more partitions fail or have no owner: see the status of the cluster"
        );
    }

    #[test]
    fn a_copy_that_is_ahead_of_what_is_known_of_the_log_has_no_lag() {
        let copy = |applied, end| ClusterPartition { applied, end, ..ClusterPartition::new(0) };
        assert_eq!([copy(3, 10).lag(), copy(10, 3).lag()], [7, 0]);
    }
}
