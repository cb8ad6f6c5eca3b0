//! A cluster on brokers of its own: each node reaches each broker by a link of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leftfold_kafka_broker::{Cluster, Options};
use serde_json::Value;
use tempfile::TempDir;

use crate::link::{Condition, Link, Ports};
use crate::nodes::{DEADLINE, Node};

/// A standby under load is always a little behind.
const SMALL_LAG: u64 = 100;
const AGAIN: Duration = Duration::from_millis(20);

/// Brokers and nodes. All end with this value.
pub(crate) struct Deployment {
    pub(crate) nodes: Vec<Node>,
    /// The links of each node, one to each broker.
    links: Vec<Vec<Link>>,
    pub(crate) brokers: Cluster,
    pub(crate) partitions: u32,
    _dir: TempDir,
}

impl Deployment {
    /// Starts brokers and nodes, and waits until all nodes are members, and each partition has an owner.
    pub(crate) fn start(brokers: u16, nodes: usize, partitions: u32) -> Self {
        Self::start_with(brokers, nodes, partitions, false)
    }

    /// As [`start`](Self::start); the nodes listen for Kafka's clients too.
    pub(crate) fn start_serving_kafka(brokers: u16, nodes: usize, partitions: u32) -> Self {
        Self::start_with(brokers, nodes, partitions, true)
    }

    fn start_with(brokers: u16, nodes: usize, partitions: u32, serves_kafka: bool) -> Self {
        let brokers = Cluster::start(&Options::brokers(brokers)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let links: Vec<_> = (0..nodes).map(|_| links(&brokers)).collect();
        let node = |(number, links): (usize, &Vec<Link>)| {
            let name = format!("n{number}");
            let addresses: Vec<_> = links.iter().map(|link| link.address().to_string()).collect();
            let node = Node::new(&name, dir.path().join(&name), addresses.join(","), partitions);
            node.serving_kafka(serves_kafka)
        };
        let nodes: Vec<_> = links.iter().enumerate().map(node).collect();
        let deployment = Deployment { nodes, links, brokers, partitions, _dir: dir };
        std::thread::scope(|threads| {
            deployment.nodes.iter().for_each(|node| _ = threads.spawn(|| node.start()));
        });
        if partitions == 1 {
            deployment.wait_until_settled();
        }
        deployment
    }

    /// Sets the condition of all links of a node.
    pub(crate) fn set_links(&self, node: usize, condition: Condition) {
        self.links[node].iter().for_each(|link| link.set(condition));
    }

    /// Waits until all nodes are members, and of each partition one is the owner and all others follow it.
    pub(crate) fn wait_until_settled(&self) {
        for node in &self.nodes {
            node.wait_until("expected all nodes as members, and little lag", |status| {
                let partitions = status["partitions"].as_array();
                status["standing"] == "member"
                    && status["members"].as_array().map(Vec::len) == Some(self.nodes.len())
                    && partitions.is_some_and(|all| {
                        all.len() == self.partitions as usize
                            && all.iter().all(|partition| self.is_settled(partition))
                    })
            });
        }
        self.owners();
    }

    /// Whether a node says of a partition that all nodes serve it, and its own copy is near the end.
    fn is_settled(&self, partition: &Value) -> bool {
        let names = partition["standbys"].as_array().map_or(0, Vec::len);
        names + 1 == self.nodes.len()
            && ["owner", "standby"].iter().any(|role| partition["role"] == **role)
            && lag(partition).is_some_and(|lag| lag < SMALL_LAG)
    }

    /// Waits until of each partition exactly one node says that it is the owner; returns the numbers of those nodes.
    pub(crate) fn owners(&self) -> Vec<usize> {
        let started = Instant::now();
        loop {
            let roles: Vec<_> = self.nodes.iter().map(Node::roles).collect();
            let owner = |partition| find_owner(&roles, partition);
            if let Some(owners) = (0..self.partitions).map(owner).collect() {
                return owners;
            }
            let late = started.elapsed() > DEADLINE;
            assert!(!late, "expected one owner of each partition, found {roles:?}");
            std::thread::sleep(AGAIN);
        }
    }
}

/// Returns the only node that says that it owns a partition.
fn find_owner(roles: &[Option<Vec<String>>], partition: u32) -> Option<usize> {
    let is_owner = |number: &usize| {
        roles[*number]
            .as_ref()
            .and_then(|roles| roles.get(partition as usize))
            .is_some_and(|r| r == "owner")
    };
    let mut owners = (0..roles.len()).filter(is_owner);
    owners.next().filter(|_| owners.next().is_none())
}

fn lag(partition: &Value) -> Option<u64> {
    Some(partition["end"].as_u64()?.saturating_sub(partition["applied"].as_u64()?))
}

/// Returns links of one node to all brokers.
fn links(brokers: &Cluster) -> Vec<Link> {
    let ports = Ports::default();
    let to = |broker: &leftfold_kafka_broker::Node| Link::to(broker.address(), Arc::clone(&ports));
    let links: Vec<_> = brokers.brokers().iter().map(|broker| to(broker).unwrap()).collect();
    let pairs = brokers.brokers().iter().zip(&links);
    let port = |(broker, link): (&leftfold_kafka_broker::Node, &Link)| {
        (i32::from(broker.address().port()), i32::from(link.address().port()))
    };
    ports.set(pairs.map(port).collect::<HashMap<_, _>>()).unwrap();
    links
}
