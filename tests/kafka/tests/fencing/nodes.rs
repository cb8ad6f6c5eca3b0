//! The members of a cluster's group on live brokers: how fast they agree, and what each failure costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leftfold_cluster::group::assign::Policy;
use leftfold_cluster::group::{Member, MemberConfig, Membership, Profile, Routes, Standing};
use leftfold_cluster::kafka_coordinator::KafkaCoordinator;
use leftfold_fold::time::{Time, TokioTime};
use leftfold_kafka::Client;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, fresh, one_broker, three_brokers};

const SESSION: Duration = Duration::from_secs(6);
const SECOND: Duration = Duration::from_secs(1);

/// How long a request waits, so that heartbeats fail within a third of the session.
const REQUEST: Duration = Duration::from_secs(2);

struct Node {
    name: &'static str,
    membership: Membership,
    task: JoinHandle<Result<(), String>>,
}

/// Starts a node whose copies of 4 partitions are equal to all others. Call it in a runtime.
fn start(bootstrap: &str, group: &str, name: &'static str) -> Node {
    let client = Client::new(bootstrap, PATIENCE).unwrap();
    let client = Arc::new(client.with_patience(REQUEST));
    let coordinator = KafkaCoordinator::new(client, group, name);
    let config = MemberConfig::new(name, Policy::new(4));
    let copies = (0..4).map(|partition| (partition, 100)).collect();
    let profile = Profile { url: format!("http://{name}"), copies, ..Profile::default() };
    let (member, membership) = Member::new(coordinator, TokioTime, config, profile).unwrap();
    let run = async move { member.run().await.map_err(|error| error.to_string()) };
    Node { name, membership, task: tokio::spawn(run) }
}

impl Node {
    fn owners(&self) -> String {
        owners(&self.membership.watch().borrow())
    }

    /// Waits until the routes are as wanted, and returns the time it took.
    async fn wait_until(&self, is_wanted: impl FnMut(&Routes) -> bool) -> Duration {
        let start = Instant::now();
        let mut routes = self.membership.watch();
        let waited = tokio::time::timeout(PATIENCE, routes.wait_for(is_wanted)).await;
        let waited = waited.map(|found| found.map(|_| ()));
        assert!(matches!(waited, Ok(Ok(()))), "{}: {:?}", self.name, self.membership.watch());
        start.elapsed()
    }

    async fn poll(&self, is_wanted: impl Fn(&Membership) -> bool) {
        let wanted = async {
            while !is_wanted(&self.membership) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, wanted).await.is_ok(), "{}", self.name);
    }

    async fn wait_for_owners(&self, expected: &str) -> Duration {
        self.wait_until(|routes| owners(routes) == expected).await
    }
}

fn owners(routes: &Routes) -> String {
    let Some(table) = &routes.table else { return String::new() };
    let owners = (0..table.partitions()).filter_map(|partition| table.owner(partition));
    owners.map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// Starts three nodes that agree.
async fn three_nodes(bootstrap: &str, group: &str) -> [Node; 3] {
    let nodes = ["a", "b", "c"].map(|name| start(bootstrap, group, name));
    for node in &nodes {
        node.wait_until(|routes| {
            routes.standing == Standing::Member
                && routes.table.as_ref().is_some_and(|table| table.nodes().len() == 3)
        })
        .await;
    }
    nodes
}

#[test]
fn nodes_agree_and_replace_a_killed_node_within_the_session_timeout_and_a_second() {
    let bootstrap = one_broker().cluster.bootstrap();
    Runtime::new().unwrap().block_on(async {
        let group = fresh("nodes");
        let [a, b, c] = three_nodes(&bootstrap, &group).await;
        let start = Instant::now();
        a.task.abort();
        b.wait_until(|routes| !owners(routes).contains('a')).await;
        let failover = start.elapsed();
        assert!(failover < SESSION + SECOND, "{failover:?}");
        c.wait_for_owners(&b.owners()).await;

        let again = self::start(&bootstrap, &group, "a");
        let joined = again.wait_until(|routes| owners(routes).contains('a')).await;
        assert!(joined < SECOND * 2, "{joined:?}");

        b.membership.drain();
        let drained = c.wait_until(|routes| !owners(routes).contains('b')).await;
        assert!(drained < SECOND * 2, "{drained:?}");
        let start = Instant::now();
        c.membership.leave();
        assert_eq!(c.task.await.unwrap(), Ok(()));
        again.wait_for_owners("a a a a").await;
        let left = start.elapsed();
        assert!(left < SECOND * 2, "{left:?}");
        println!("failover {failover:?}, join {joined:?}, drain {drained:?}, leave {left:?}");
    });
}

#[test]
fn a_node_that_restarts_within_its_session_delays_no_one() {
    let bootstrap = one_broker().cluster.bootstrap();
    Runtime::new().unwrap().block_on(async {
        let group = fresh("nodes");
        let [a, b, c] = three_nodes(&bootstrap, &group).await;
        let before = b.owners();
        for node in [a, c] {
            // One of the two leads the group, or b does.
            node.task.abort();
            let again = start(&bootstrap, &group, node.name);
            let joined = again
                .wait_until(|routes| {
                    routes.standing == Standing::Member && owners(routes) == before
                })
                .await;
            assert!(joined < SECOND * 3, "{joined:?}");
            println!("restart {joined:?}");
        }
    });
}

#[test]
fn of_two_processes_with_one_name_one_gives_up() {
    let bootstrap = one_broker().cluster.bootstrap();
    Runtime::new().unwrap().block_on(async {
        let group = fresh("nodes");
        let first = start(&bootstrap, &group, "a");
        first.wait_for_owners("a a a a").await;
        let second = start(&bootstrap, &group, "a");
        let (ended, other) = tokio::select! {
            ended = first.task => (ended, second.membership),
            ended = second.task => (ended, first.membership),
        };
        let error = ended.unwrap().unwrap_err();
        assert!(error.starts_with("another process has joined the cluster as node a"), "{error}");
        let mut routes = other.watch();
        routes.wait_for(|routes| routes.standing == Standing::Member).await.unwrap();
    });
}

#[test]
fn a_coordinator_that_is_paused_or_killed_moves_no_partition() {
    let world = three_brokers();
    let bootstrap = world.cluster.bootstrap();
    Runtime::new().unwrap().block_on(async {
        let group = fresh("nodes");
        let [a, b, c] = three_nodes(&bootstrap, &group).await;
        let before = a.owners();
        let client = Client::new(&bootstrap, REQUEST).unwrap();
        let find = async || {
            let address = client.locate_group_coordinator(&group).await.unwrap();
            let brokers = world.cluster.brokers().iter();
            brokers
                .map(|broker| broker.id())
                .find(|id| world.cluster.broker(*id).unwrap().address().port() == address.port())
        };
        for kills in [true, false] {
            let broker = world.cluster.broker(find().await.unwrap()).unwrap();
            if kills {
                broker.kill().unwrap()
            } else {
                broker.pause().unwrap()
            }
            let start = Instant::now();
            let since = TokioTime.now();
            for node in [&a, &b, &c] {
                node.poll(|membership| membership.last_heartbeat() > Some(since)).await;
            }
            println!("kill {kills}: all heard again after {:?}", start.elapsed());
            world.cluster.heal().unwrap();
            for node in [&a, &b, &c] {
                node.wait_for_owners(&before).await;
            }
        }
    });
}

#[test]
fn a_member_that_stops_waiting_to_join_can_leave_at_once() {
    let bootstrap = one_broker().cluster.bootstrap();
    Runtime::new().unwrap().block_on(async {
        let group = fresh("nodes");
        let [a, b, c] = three_nodes(&bootstrap, &group).await;
        b.task.abort();
        c.task.abort();
        a.membership.rejoin();
        // It sends no heartbeats while it waits for the others.
        let is_silent = |membership: &Membership| {
            membership.last_heartbeat().is_some_and(|last| TokioTime.now() - last > SECOND)
        };
        a.poll(is_silent).await;
        let start = Instant::now();
        a.membership.leave();
        assert_eq!(a.task.await.unwrap(), Ok(()));
        assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    });
}
