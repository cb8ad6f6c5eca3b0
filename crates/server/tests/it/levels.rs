//! The engine gets the level of each read, over each protocol.

use std::sync::Arc;

use leftfold_api::ReadLevel::{self, Committed, Linearizable, Local};
use leftfold_api::{Append, ClusterStatus, EventStore, NewEvent, Query, Read};
use leftfold_client::Client;
use leftfold_server::Server;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::access::support::until;
use crate::engine::HookedEngine;
use crate::support::{Messages, Served, client, config, json, store};

const LEVELS: [(&str, ReadLevel); 3] =
    [("committed", Committed), ("local", Local), ("linearizable", Linearizable)];

/// A server of an engine with one event.
async fn served() -> (Served, Arc<HookedEngine>) {
    let engine = Arc::new(HookedEngine::new(store()));
    engine.append(Append::new().event("a-1", NewEvent::json("T", "1"))).await.unwrap();
    let running = Server::start(config(), engine.clone()).await.unwrap();
    engine.levels();
    (Served { running, client: client() }, engine)
}

#[tokio::test]
async fn each_read_over_http_has_its_level() {
    let (served, engine) = served().await;
    for path in ["/v1/events", "/v1/events/1", "/v1/streams/a-1/events", "/v1/streams/a-1/events/0"]
    {
        served.json(path).await;
        assert_eq!(engine.levels(), [Committed], "{path}");
        for (name, level) in LEVELS {
            served.json(&format!("{path}?level={name}")).await;
            assert_eq!(engine.levels(), [level], "{path} {name}");
        }
        let refused = served.get(&format!("{path}?level=newest")).await;
        assert_eq!(refused.status(), 400, "{path}");
        assert_eq!(json(refused).await["code"], "parameter_invalid", "{path}");
    }
    served.post("/v1/events/read", json!({})).await;
    assert_eq!(engine.levels(), [Committed]);
    for (name, level) in LEVELS {
        served.post("/v1/events/read", json!({"level": name})).await;
        assert_eq!(engine.levels(), [level], "{name}");
    }
    let body = json!({"level": "newest"});
    let refused = served.send(Method::POST, "/v1/events/read", body).await;
    assert_eq!(json(refused).await["code"], "body_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_read_over_grpc_has_its_level() {
    let (served, engine) = served().await;
    let client = Client::connect(served.url("")).await.unwrap();
    client.read(Read::forward(Query::All)).await.unwrap();
    assert_eq!(engine.levels(), [Committed]);
    for (name, level) in LEVELS {
        let read = Read::forward(Query::All).level(level);
        client.read(read.clone()).await.unwrap();
        assert_eq!(engine.levels(), [level], "{name}");
        let mut pages = client.pages(read).await.unwrap();
        while pages.next().await.unwrap().is_some() {}
        assert_eq!(engine.levels(), [level], "{name}");
    }
}

#[tokio::test]
async fn a_read_that_waits_for_a_cursor_keeps_its_level() {
    let (served, engine) = served().await;
    let cursor = engine.head().await.unwrap();
    served.json(&format!("/v1/events?at_least={cursor}&level=local")).await;
    let levels = engine.levels();
    assert!(!levels.is_empty() && levels.iter().all(|level| *level == Local), "{levels:?}");
}

/// Reads that wait for an owner take no turn from those that need none.
#[tokio::test(flavor = "multi_thread")]
async fn local_reads_and_subscriptions_are_served_while_others_wait_for_an_owner() {
    let status = ClusterStatus::new("shop", "n1");
    let engine = Arc::new(HookedEngine::of_cluster(store(), status));
    let mut config = config();
    config.read_threads = 1;
    // The least number of turns, half of which is for the node's own copy.
    let turns = 2;
    let running = Server::start(config, engine.clone()).await.unwrap();
    let served = Arc::new(Served { running, client: client() });
    engine.levels();
    engine.fake_cluster().has_owner.send_replace(false);
    let mut waiting = JoinSet::new();
    for _ in 0..4 * turns {
        let served = served.clone();
        waiting.spawn(async move { served.json("/v1/events").await });
    }
    let mut begun = 0;
    until("reads wait for the owner", || {
        begun += engine.levels().len();
        let has_begun = begun >= turns;
        async move { has_begun }
    })
    .await;

    served.json("/v1/events?level=local").await;
    let mut messages = Messages::of(served.get("/v1/subscribe").await);
    assert_eq!(messages.next().await.unwrap().kind.as_deref(), Some("caught_up"));
    assert_eq!(engine.levels(), [Local], "no more reads wait than there are turns");

    engine.fake_cluster().has_owner.send_replace(true);
    assert_eq!(waiting.join_all().await.len(), 4 * turns);
}
