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
    _dir: TempDir,
}

impl Deployment {
    /// Starts brokers and nodes, and waits until all nodes are members, and one is the owner.
    pub(crate) fn start(brokers: u16, nodes: usize) -> Self {
        let brokers = Cluster::start(&Options::brokers(brokers)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let links: Vec<_> = (0..nodes).map(|_| links(&brokers)).collect();
        let node = |(number, links): (usize, &Vec<Link>)| {
            let name = format!("n{number}");
            let addresses: Vec<_> = links.iter().map(|link| link.address().to_string()).collect();
            Node::new(&name, dir.path().join(&name), addresses.join(","))
        };
        let nodes: Vec<_> = links.iter().enumerate().map(node).collect();
        let deployment = Deployment { nodes, links, brokers, _dir: dir };
        std::thread::scope(|threads| {
            deployment.nodes.iter().for_each(|node| _ = threads.spawn(|| node.start()));
        });
        deployment.wait_until_settled();
        deployment
    }

    /// Sets the condition of all links of a node.
    pub(crate) fn set_links(&self, node: usize, condition: Condition) {
        self.links[node].iter().for_each(|link| link.set(condition));
    }

    /// Waits until all nodes are members, one owns the partition and all others follow it.
    pub(crate) fn wait_until_settled(&self) {
        for node in &self.nodes {
            node.wait_until("expected all nodes as members, and little lag", |status| {
                let partition = &status["partitions"][0];
                let names = partition["standbys"].as_array().map_or(0, Vec::len);
                status["standing"] == "member"
                    && status["members"].as_array().map(Vec::len) == Some(self.nodes.len())
                    && names + 1 == self.nodes.len()
                    && ["owner", "standby"].iter().any(|role| partition["role"] == **role)
                    && lag(partition).is_some_and(|lag| lag < SMALL_LAG)
            });
        }
        self.owner();
    }

    /// Waits until exactly one node says that it is the owner; returns its number.
    pub(crate) fn owner(&self) -> usize {
        let started = Instant::now();
        loop {
            let roles: Vec<_> = self.nodes.iter().map(Node::role).collect();
            let is_owner = |role: &Option<(String, u64)>| {
                role.as_ref().is_some_and(|(role, _)| role == "owner")
            };
            let mut owners = (0..roles.len()).filter(|number| is_owner(&roles[*number]));
            if let (Some(owner), None) = (owners.next(), owners.next()) {
                return owner;
            }
            assert!(started.elapsed() < DEADLINE, "expected one owner, found {roles:?}");
            std::thread::sleep(AGAIN);
        }
    }
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
