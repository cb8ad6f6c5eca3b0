//! Decides who owns each partition: a pure function of what the members report.

mod owners;
mod standbys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::profile::Profile;

/// The lag, in records, up to which a copy can take a partition over without a long wait.
pub const DEFAULT_READY_LAG: u64 = 10_000;

/// The number of standbys of a partition if there are enough nodes.
pub const DEFAULT_STANDBYS: usize = 2;

/// The wishes of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The number of partitions.
    pub partitions: u32,
    /// The number of standbys of each partition. With fewer nodes, all others are standbys.
    pub standbys: usize,
    /// A partition moves for balance only to a copy that lags by at most this number of records. The target becomes a
    /// standby first, and gets the partition in a later generation. With `u64::MAX` partitions move at once.
    pub ready_lag: u64,
}

impl Policy {
    /// Returns the default wishes for this number of partitions.
    pub fn new(partitions: u32) -> Self {
        Policy { partitions, standbys: DEFAULT_STANDBYS, ready_lag: DEFAULT_READY_LAG }
    }
}

/// The nodes of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The name of the node that should own the partition.
    pub owner: String,
    /// The names of the nodes that follow it. The first should take over.
    pub standbys: Vec<String>,
    /// The standby that should own the partition as soon as its copy has caught up.
    pub next_owner: Option<String>,
}

/// Returns a placement for each partition, or nothing if there are no members.
///
/// - An owner that is present and not draining keeps its partitions, except for balance.
/// - The numbers of partitions of two nodes differ by at most one. As few partitions as possible move for this; a
///   move waits until the target's copy has caught up ([`Policy::ready_lag`]).
/// - A partition without an owner goes to the node whose copy is furthest ahead; of equal ones to the node with the
///   fewest partitions, then to the first by name.
/// - A node that reports a partition as unfit loses it to a fit node, even if that node then has more than its share.
///   If no node is fit for a partition, it stays where it is.
/// - A draining node gets nothing, unless all nodes drain. Then all count as if none did.
///
/// Equal arguments give equal placements.
pub fn assign_partitions(members: &BTreeMap<String, Profile>, policy: &Policy) -> Vec<Placement> {
    let nodes = select_nodes(members);
    if nodes.is_empty() {
        return Vec::new();
    }
    let current = find_owners(members, &nodes, policy.partitions);
    let plan = owners::plan_owners(&nodes, &current, policy);
    let standbys = standbys::plan_standbys(&nodes, &plan, policy.standbys);
    let name = |node: usize| nodes[node].name.to_owned();
    let placements = plan.into_iter().zip(standbys).map(|(owner, standbys)| Placement {
        owner: name(owner.now),
        standbys: standbys.into_iter().map(name).collect(),
        next_owner: (owner.next != owner.now).then(|| name(owner.next)),
    });
    placements.collect()
}

/// A node that may own partitions. Nodes are sorted by name, so the least index is the first name.
struct Node<'a> {
    name: &'a str,
    profile: &'a Profile,
}

impl Node<'_> {
    /// Returns how far the node's copy is, or `None` if it has none.
    fn copy(&self, partition: u32) -> Option<u64> {
        self.profile.copies.get(&partition).copied()
    }

    /// Returns whether the node can serve the partition.
    fn is_fit(&self, partition: u32) -> bool {
        !self.profile.unfit.contains(&partition)
    }
}

/// Whether the node may own the partition: it is fit, or no node is.
fn may_own(nodes: &[Node<'_>], node: usize, partition: u32) -> bool {
    let is_fit = |node: &Node<'_>| node.is_fit(partition);
    nodes.get(node).is_some_and(is_fit) || !nodes.iter().any(is_fit)
}

fn select_nodes(members: &BTreeMap<String, Profile>) -> Vec<Node<'_>> {
    let all_drain = members.values().all(|profile| profile.is_draining);
    let candidates = members.iter().filter(|(_, profile)| all_drain || !profile.is_draining);
    candidates.map(|(name, profile)| Node { name, profile }).collect()
}

/// Finds the current owner of each partition, or `None` if it is absent, drains, or is unfit while another node is fit.
///
/// Two members may say that they own a partition. The log decides: the owner of the greater term is right.
fn find_owners(
    members: &BTreeMap<String, Profile>,
    nodes: &[Node<'_>],
    partitions: u32,
) -> Vec<Option<usize>> {
    let mut best: BTreeMap<u32, (u64, Option<u64>, &str)> = BTreeMap::new();
    for (name, profile) in members {
        for (&partition, &term) in &profile.owned {
            let claim = (term, profile.copies.get(&partition).copied());
            // Members come in the order of their names, so that of equal ones the first stays.
            let is_better = best.get(&partition).is_none_or(|found| claim > (found.0, found.1));
            if is_better {
                best.insert(partition, (claim.0, claim.1, name));
            }
        }
    }
    let index = |name: &str| nodes.binary_search_by(|node| node.name.cmp(name)).ok();
    let owner = |partition| {
        let found = best.get(&partition).and_then(|found| index(found.2));
        found.filter(|&node| may_own(nodes, node, partition))
    };
    (0..partitions).map(owner).collect()
}
