//! The engine gets the level of each read, over each protocol.

use std::sync::Arc;

use leftfold_api::ReadLevel::{self, Committed, Linearizable, Local};
use leftfold_api::{Append, EventStore, NewEvent, Query, Read};
use leftfold_client::Client;
use leftfold_server::Server;
use reqwest::Method;
use serde_json::json;

use crate::engine::HookedEngine;
use crate::support::{Served, client, config, json, store};

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
