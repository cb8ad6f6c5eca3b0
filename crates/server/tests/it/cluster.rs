//! What a server says of the cluster that it is a node of, and who may ask it.

use std::sync::Arc;

use leftfold_api::{ClusterMember, ClusterPartition, ClusterStatus, Failure};
use leftfold_io::SystemClock;
use leftfold_server::Server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{ADMIN, PASSWORD, answer, serve_engine, until};
use crate::engine::HookedEngine;
use crate::support::{Served, client, config, served, store};

/// A member that owns one partition and follows another.
fn status() -> ClusterStatus {
    let mut status = ClusterStatus::new("shop", "n1");
    status.standing = "member";
    for (name, is_draining) in [("n1", false), ("n2", true)] {
        status.members.push(ClusterMember::new(name, format!("http://{name}:2114"), is_draining));
    }
    for (number, role, owner, standby) in [(0, "owner", "n1", "n2"), (1, "standby", "n2", "n1")] {
        let mut partition = ClusterPartition::new(number);
        (partition.role, partition.owner) = (role, Some(owner.to_owned()));
        partition.standbys = vec![standby.to_owned()];
        (partition.term, partition.applied, partition.end) = (7, 90, 100);
        status.partitions.push(partition);
    }
    status
}

async fn node(status: ClusterStatus) -> (Served, Arc<HookedEngine>) {
    let engine = Arc::new(HookedEngine::of_cluster(store(), status));
    let running = Server::start(config(), engine.clone()).await.unwrap();
    (Served { running, client: client() }, engine)
}

/// As a node has it while it opens its copy.
fn opening() -> Failure {
    let message = "this node's copy of the partition is not in use: it is being opened".to_owned();
    Failure::Remote { code: "not_owner", message, can_retry: true }
}

#[tokio::test]
async fn a_node_shows_its_cluster() {
    let (served, _) = node(status()).await;
    let partition = |number, role, owner, standby| {
        json!({"number": number, "role": role, "owner": owner, "standbys": [standby], "term": 7,
               "applied": 90, "end": 100, "lag": 10, "restoring_from": null,
               "failure": null})
    };
    let expected = json!({
        "cluster": "shop", "node": "n1", "standing": "member", "is_draining": false,
        "problem": null,
        "members": [{"name": "n1", "url": "http://n1:2114", "kafka": null, "is_draining": false},
                    {"name": "n2", "url": "http://n2:2114", "kafka": null, "is_draining": true}],
        "partitions": [partition(0, "owner", "n1", "n2"), partition(1, "standby", "n2", "n1")],
    });
    assert_eq!(served.json("/v1/cluster").await, expected);
}

#[tokio::test]
async fn a_node_is_drained_and_undrained() {
    let (served, engine) = node(status()).await;
    for (path, is_draining) in [("/v1/cluster/drain", true), ("/v1/cluster/undrain", false)] {
        assert_eq!(served.post(path, json!({})).await["is_draining"], is_draining);
        assert_eq!(engine.fake_cluster().status.lock().is_draining, is_draining);
    }
}

#[tokio::test]
async fn a_server_of_the_embedded_store_is_no_node_of_a_cluster() {
    let served = served().await;
    for (method, path) in [
        (Method::GET, "/v1/cluster"),
        (Method::POST, "/v1/cluster/drain"),
        (Method::POST, "/v1/cluster/undrain"),
    ] {
        let refused = served.text(method, path, String::new()).await;
        assert_eq!(refused.status(), 404, "{path}");
        assert_eq!(answer(refused).await["code"], "cluster_none", "{path}");
    }
    assert!(!served.get("/metrics").await.text().await.unwrap().contains("leftfold_partition"));
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_see_the_cluster_and_managers_drain_a_node() {
    let store = store();
    let engine = Arc::new(HookedEngine::of_cluster(store.clone(), status()));
    let served = serve_engine(engine, store, Some(ADMIN), Arc::new(SystemClock)).await;
    served.user("clerk", &[("read", "*"), ("append", "*"), ("manage", "category:order")]).await;
    served.user("scraper", &[("observe", "*")]).await;
    served.user("root", &[("manage", "*")]).await;
    for (user, sees, drains) in
        [("clerk", 403, 403), ("scraper", 200, 403), ("root", 200, 200), ("admin", 200, 200)]
    {
        let by = (user, if user == "admin" { ADMIN } else { PASSWORD });
        for (method, path, status) in [
            (Method::GET, "/v1/cluster", sees),
            (Method::POST, "/v1/cluster/drain", drains),
            (Method::POST, "/v1/cluster/undrain", drains),
        ] {
            let answered = served.ask(by, method, path, Value::Null).await;
            assert_eq!(answered.status(), status, "{user} {path}");
        }
    }
    for action in ["drain", "undrain"] {
        let done = json!({"who": "user root", "action": action, "outcome": "done"});
        until(action, || crate::access::audit::has(&served, "$Managed", done.clone())).await;
    }
}

#[tokio::test]
async fn a_node_that_opens_its_copy_is_alive_and_says_why_it_is_not_ready() {
    let (served, engine) = node(status()).await;
    *engine.fake_cluster().failure.lock() = Some(opening());
    let live = served.json("/health/live").await;
    assert_eq!(live["status"], "live");
    assert!(live["warnings"][0].as_str().unwrap().ends_with("it is being opened"), "{live}");
    let ready = served.get("/health/ready").await;
    assert_eq!(ready.status(), 503);
    let problem = answer(ready).await;
    assert_eq!((&problem["code"], &problem["can_retry"]), (&json!("not_owner"), &json!(true)));
    assert!(problem["detail"].as_str().unwrap().ends_with("it is being opened"), "{problem}");

    *engine.fake_cluster().failure.lock() = None;
    assert_eq!(served.json("/health/ready").await, json!({"status": "ready"}));
}

#[tokio::test]
async fn a_node_whose_store_was_closed_is_not_alive() {
    let (served, engine) = node(status()).await;
    *engine.fake_cluster().failure.lock() = Some(Failure::Closed);
    for path in ["/health/live", "/health/ready"] {
        let failed = served.get(path).await;
        assert_eq!(failed.status(), 503, "{path}");
        assert_eq!(answer(failed).await["code"], "store_closed", "{path}");
    }
}

#[tokio::test]
async fn a_node_is_ready_and_warns_of_its_membership_and_its_partitions() {
    let (served, engine) = node(status()).await;
    {
        let mut status = engine.fake_cluster().status.lock();
        (status.standing, status.problem) = ("away", Some("no broker answers".to_owned()));
        status.partitions[1].failure = Some("the topic has no leader".to_owned());
    }
    let warnings = [
        "node n1 is no member of shop, but away: no broker answers",
        "partition 1: the topic has no leader",
    ];
    let expected = json!({"status": "ready", "warnings": warnings});
    assert_eq!(served.json("/health/ready").await, expected);
}

/// Else a load balancer would lose all nodes with the owner, and local reads with them.
#[tokio::test]
async fn a_node_that_reaches_no_owner_is_ready_at_once_and_says_so() {
    let (served, engine) = node(status()).await;
    engine.fake_cluster().has_owner.send_replace(false);
    engine.fake_cluster().status.lock().partitions[1].owner = None;
    let warnings = ["partition 1: no node is chosen to own it"];
    let expected = json!({"status": "ready", "warnings": warnings});
    assert_eq!(served.json("/health/ready").await, expected);
}

#[tokio::test]
async fn the_metrics_have_each_partition_of_a_node() {
    let (served, engine) = node(status()).await;
    engine.fake_cluster().status.lock().partitions[1].failure = Some("no leader".to_owned());
    let text = served.get("/metrics").await.text().await.unwrap();
    for line in [
        "leftfold_cluster_member 1",
        "leftfold_cluster_members 2",
        "leftfold_cluster_draining 0",
        "leftfold_partition_role{partition=\"0\",role=\"owner\"} 1",
        "leftfold_partition_role{partition=\"0\",role=\"standby\"} 0",
        "leftfold_partition_role{partition=\"1\",role=\"standby\"} 1",
        "leftfold_partition_term{partition=\"1\"} 7",
        "leftfold_partition_applied{partition=\"0\"} 90",
        "leftfold_partition_end{partition=\"0\"} 100",
        "leftfold_partition_lag{partition=\"0\"} 10",
        "leftfold_partition_failing{partition=\"0\"} 0",
        "leftfold_partition_failing{partition=\"1\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
}
