//! Chooses the standbys: fit nodes that have copies stay, within each node's share.

use std::cmp::Reverse;

use super::Node;
use super::owners::Ownership;

/// Returns the standbys of each partition: fit ones before others, the furthest ahead first.
pub(super) fn plan_standbys(
    nodes: &[Node<'_>],
    plan: &[Ownership],
    wanted: usize,
) -> Vec<Vec<usize>> {
    let wanted = wanted.min(nodes.len() - 1);
    let mut duties = Duties { nodes, plan, wanted, counts: vec![0; nodes.len()] };
    let mut standbys = duties.keep_copies();
    duties.fill(&mut standbys);
    duties.add_next_owners(&mut standbys);
    for (partition, standbys) in (0..).zip(&mut standbys) {
        standbys.sort_by_key(|&node| {
            (!nodes[node].is_fit(partition), Reverse(nodes[node].copy(partition)), node)
        });
    }
    standbys
}

struct Duties<'a> {
    nodes: &'a [Node<'a>],
    plan: &'a [Ownership],
    wanted: usize,
    /// The number of partitions that each node follows.
    counts: Vec<usize>,
}

impl Duties<'_> {
    /// Chooses nodes that have a copy already, the furthest ahead first.
    fn keep_copies(&mut self) -> Vec<Vec<usize>> {
        let share = (self.plan.len() * self.wanted).div_ceil(self.nodes.len());
        let mut all = Vec::with_capacity(self.plan.len());
        for (partition, owner) in (0..).zip(self.plan) {
            let mut with_copy: Vec<usize> = (0..self.nodes.len())
                .filter(|&node| node != owner.now && self.counts[node] < share)
                .filter(|&node| self.nodes[node].copy(partition).is_some())
                .filter(|&node| self.nodes[node].is_fit(partition))
                .collect();
            with_copy.sort_by_key(|&node| {
                (Reverse(self.nodes[node].copy(partition)), self.counts[node], node)
            });
            with_copy.truncate(self.wanted);
            for &node in &with_copy {
                self.counts[node] += 1;
            }
            all.push(with_copy);
        }
        all
    }

    /// Adds nodes that follow the fewest partitions, where standbys are missing; such that are not fit only if there are
    /// no others.
    fn fill(&mut self, standbys: &mut [Vec<usize>]) {
        for ((partition, owner), standbys) in (0..).zip(self.plan).zip(standbys) {
            while standbys.len() < self.wanted {
                let free = (0..self.nodes.len())
                    .filter(|node| *node != owner.now && !standbys.contains(node));
                let key =
                    |&node: &usize| (!self.nodes[node].is_fit(partition), self.counts[node], node);
                let Some(node) = free.min_by_key(key) else { break };
                self.counts[node] += 1;
                standbys.push(node);
            }
        }
    }

    fn add_next_owners(&self, standbys: &mut [Vec<usize>]) {
        for (owner, standbys) in self.plan.iter().zip(standbys) {
            if owner.next != owner.now && !standbys.contains(&owner.next) {
                standbys.push(owner.next);
            }
        }
    }
}
