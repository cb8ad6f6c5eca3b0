//! The state of a node, for those who administer it.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::select_all;
use leftfold_api::{BoxFuture, Cluster, ClusterMember, ClusterPartition, ClusterStatus};
use tokio::sync::watch;

use crate::group::{Membership, Node, RouteTable};
use crate::partition::{Status, ownership};

/// What a node shares with its stores.
pub(super) struct Shared {
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) membership: Membership,
    /// The status of each partition, by number.
    pub(super) statuses: Vec<watch::Receiver<Status>>,
    pub(super) is_draining: AtomicBool,
}

impl Shared {
    fn partition(&self, number: u32, table: Option<&RouteTable>) -> ClusterPartition {
        let mut partition = ClusterPartition::new(number);
        if let Some(table) = table {
            partition.owner = table.owner(number).map(|node| node.name.clone());
            partition.standbys = table.standbys(number).map(|node| node.name.clone()).collect();
        }
        let Some(own) = self.statuses.get(number as usize) else { return partition };
        let own = own.borrow().clone();
        partition.role = own.role.name();
        (partition.term, partition.applied, partition.end) = (own.term, own.applied, own.end);
        (partition.restoring_from, partition.failure) = (own.restoring_from, own.failure);
        partition
    }
}

impl Cluster for Shared {
    fn status(&self) -> ClusterStatus {
        let routes = self.membership.watch().borrow().clone();
        let mut status = ClusterStatus::new(&self.cluster, &self.name);
        status.standing = routes.standing.name();
        status.is_draining = self.is_draining.load(Ordering::Relaxed);
        status.problem = routes.problem.map(|problem| problem.to_string());
        let table = routes.table.as_deref();
        if let Some(table) = table {
            let member = |node: &Node| {
                let member = ClusterMember::new(&node.name, &node.url, node.is_draining);
                node.kafka.iter().fold(member, |member, address| member.kafka(address))
            };
            status.members = table.nodes().iter().map(member).collect();
        }
        let numbers = (0..).zip(&self.statuses);
        status.partitions = numbers.map(|(number, _)| self.partition(number, table)).collect();
        status
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.statuses.len()).unwrap_or(u32::MAX)
    }

    fn owns(&self, partition: u32) -> bool {
        self.statuses.get(partition as usize).is_some_and(ownership::owns)
    }

    fn owned_changed(&self) -> BoxFuture<'static, ()> {
        let all = select_all(self.statuses.iter().map(ownership::changed));
        Box::pin(async move { drop(all.await) })
    }

    fn advertise_kafka(&self, address: &str) {
        let mut is_new = false;
        self.membership.update(|profile| {
            is_new = profile.kafka.as_deref() != Some(address);
            profile.kafka = Some(address.to_owned());
        });
        // A report reaches the others with the next join only.
        if is_new {
            self.membership.rejoin();
        }
    }

    fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.membership.drain();
    }

    fn undrain(&self) {
        self.is_draining.store(false, Ordering::Relaxed);
        self.membership.update(|profile| profile.is_draining = false);
        self.membership.rejoin();
    }
}
