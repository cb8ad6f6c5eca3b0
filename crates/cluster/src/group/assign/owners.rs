//! Chooses the owners: those that stay, then the rest within each node's quota.

use std::cmp::Reverse;

use super::{Node, Policy, may_own};

/// The owner of a partition.
pub(super) struct Ownership {
    /// The node that should own the partition.
    pub(super) now: usize,
    /// The node that should own it once its copy has caught up.
    pub(super) next: usize,
}

/// Returns the owners of all partitions. There must be a node.
pub(super) fn plan_owners(
    nodes: &[Node<'_>],
    current: &[Option<usize>],
    policy: &Policy,
) -> Vec<Ownership> {
    let balanced = Balance::new(nodes, current).run();
    let mut counts = vec![0; nodes.len()];
    let mut plan = Vec::with_capacity(current.len());
    for ((partition, &next), &owner) in (0..).zip(&balanced).zip(current) {
        let holder = owner.unwrap_or_else(|| find_furthest(nodes, partition, &counts));
        let reference = nodes[holder].copy(partition).unwrap_or(0);
        let offset = nodes[next].copy(partition).unwrap_or(0);
        let is_ready = offset.saturating_add(policy.ready_lag) >= reference;
        let now = if is_ready { next } else { holder };
        counts[now] += 1;
        plan.push(Ownership { now, next });
    }
    plan
}

/// Finds the fit node whose copy is furthest ahead; of equal ones that with the fewest partitions, then the first.
fn find_furthest(nodes: &[Node<'_>], partition: u32, counts: &[usize]) -> usize {
    let key = |&node: &usize| (nodes[node].copy(partition), Reverse(counts[node]), Reverse(node));
    let able = (0..nodes.len()).filter(|&node| may_own(nodes, node, partition));
    able.max_by_key(key).unwrap_or(0)
}

/// A balanced distribution that moves as few partitions as possible: each node gets `base` partitions, and as many
/// nodes as there are `extras` get one more.
struct Balance<'a> {
    nodes: &'a [Node<'a>],
    owners: Vec<Option<usize>>,
    counts: Vec<usize>,
    base: usize,
    extras: usize,
}

impl<'a> Balance<'a> {
    fn new(nodes: &'a [Node<'a>], current: &[Option<usize>]) -> Self {
        let mut counts = vec![0; nodes.len()];
        for &owner in current.iter().flatten() {
            counts[owner] += 1;
        }
        let (base, extras) = (current.len() / nodes.len(), current.len() % nodes.len());
        Balance { nodes, owners: current.to_vec(), counts, base, extras }
    }

    fn run(mut self) -> Vec<usize> {
        let mut homeless = self.find_unowned();
        homeless.extend(self.shed());
        for (partition, before) in homeless {
            // Fitness comes before balance.
            let node = self.find_room(partition).or(before);
            let node = node.unwrap_or_else(|| self.find_least_loaded(partition));
            if self.counts[node] >= self.base {
                self.extras = self.extras.saturating_sub(1);
            }
            self.counts[node] += 1;
            self.owners[partition as usize] = Some(node);
        }
        self.owners.into_iter().flatten().collect()
    }

    /// Returns the partitions without an owner.
    fn find_unowned(&self) -> Vec<(u32, Option<usize>)> {
        let owners = (0..).zip(&self.owners);
        let unowned = owners.filter(|(_, owner)| owner.is_none());
        unowned.map(|(partition, _)| (partition, None)).collect()
    }

    /// Takes from nodes with too many partitions those that others have the best copies of. Returns them with their
    /// owners.
    fn shed(&mut self) -> Vec<(u32, Option<usize>)> {
        let over: Vec<usize> =
            (0..self.nodes.len()).filter(|&node| self.counts[node] > self.base).collect();
        // Those that have more than `base` are the extras, which saves a move each.
        let keep_extra = self.extras.min(over.len());
        self.extras -= keep_extra;
        let mut shed = Vec::new();
        for (rank, node) in over.into_iter().enumerate() {
            let quota = self.base + usize::from(rank < keep_extra);
            let surplus = self.counts[node] - quota;
            for partition in self.choose_surplus(node, surplus) {
                self.counts[node] -= 1;
                self.owners[partition as usize] = None;
                shed.push((partition, Some(node)));
            }
        }
        shed
    }

    fn choose_surplus(&self, node: usize, surplus: usize) -> Vec<u32> {
        if surplus == 0 {
            return Vec::new();
        }
        let owners = (0..).zip(&self.owners);
        let mut owned: Vec<(u64, u32)> = owners
            .filter(|(partition, owner)| **owner == Some(node) && self.can_move(*partition))
            .map(|(partition, _): (u32, _)| (self.least_lag(node, partition), partition))
            .collect();
        owned.sort_unstable();
        owned.into_iter().take(surplus).map(|(_, partition)| partition).collect()
    }

    /// Returns the nodes that may need partitions.
    fn find_under(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|&node| self.counts[node] <= self.base)
    }

    /// Whether a node that may need partitions is fit for this one.
    fn can_move(&self, partition: u32) -> bool {
        self.find_under().any(|node| self.nodes[node].is_fit(partition))
    }

    /// Returns the lag of the best copy on a node that needs partitions.
    fn least_lag(&self, owner: usize, partition: u32) -> u64 {
        let fit = self.find_under().filter(|&node| self.nodes[node].is_fit(partition));
        let best = fit.filter_map(|node| self.nodes[node].copy(partition)).max().unwrap_or(0);
        self.nodes[owner].copy(partition).unwrap_or(0).saturating_sub(best)
    }

    /// Finds the node with the best copy among those that may own the partition and have less than their share.
    fn find_room(&self, partition: u32) -> Option<usize> {
        let has_room = |&node: &usize| {
            self.counts[node] < self.base || (self.counts[node] == self.base && self.extras > 0)
        };
        let may_own = |&node: &usize| may_own(self.nodes, node, partition);
        let key = |&node: &usize| {
            (self.nodes[node].copy(partition), Reverse(self.counts[node]), Reverse(node))
        };
        (0..self.nodes.len()).filter(has_room).filter(may_own).max_by_key(key)
    }

    /// Finds the node with the fewest partitions among those that may own this one.
    fn find_least_loaded(&self, partition: u32) -> usize {
        let key =
            |&node: &usize| (self.counts[node], Reverse(self.nodes[node].copy(partition)), node);
        let able = (0..self.nodes.len()).filter(|&node| may_own(self.nodes, node, partition));
        able.min_by_key(key).unwrap_or(0)
    }
}
