//! Connectors over HTTP: each route, rights, a restart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use leftfold_api::{Append, ClusterPartition, ClusterStatus, Engine, EventStore, NewEvent};
use leftfold_server::Server;
use leftfold_store::Embedded;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::engine::HookedEngine;
use crate::support::{Served, client, config, store};
use crate::views::{ANN, World as Accounts, code, text_of};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server, and a receiver of web hooks that answers with a status.
struct World {
    served: Served,
    store: Arc<Embedded>,
    receiver: SocketAddr,
    status: Arc<Mutex<u16>>,
}

impl World {
    async fn new() -> Self {
        let store = store();
        let served = serve(store.clone()).await;
        let status = Arc::new(Mutex::new(204));
        let answer = status.clone();
        let answer = move || async move { StatusCode::from_u16(*answer.lock()).unwrap() };
        let routes = Router::new().route("/hook", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        World { served, store, receiver, status }
    }

    /// Returns the file of a connector to the receiver.
    fn hook(&self, name: &str, more: &str) -> String {
        format!(
            "name = \"{name}\"\nkind = \"http\"\nquery = \"category:order\"\n{more}\n[http]\n\
             url = \"http://{}/hook\"\nallow_private = true\n",
            self.receiver
        )
    }

    async fn toml(&self, method: Method, path: &str, text: &str) -> (u16, Value) {
        toml(&self.served, method, path, text).await
    }

    async fn append(&self, stream: &str) {
        let event = NewEvent::json("OrderPlaced", "{}".to_owned());
        self.store.append(Append::new().event(stream, event)).await.unwrap();
    }

    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let found = self.served.json(path).await;
                if wanted(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(found) => found,
            Err(_) => panic!("{}", self.served.json(path).await),
        }
    }
}

async fn serve(store: Arc<Embedded>) -> Served {
    let running = Server::start(config(), store as Arc<dyn Engine>).await.unwrap();
    Served { running, client: client() }
}

async fn toml(served: &Served, method: Method, path: &str, text: &str) -> (u16, Value) {
    text_of(served, None, method, path, "application/toml", text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_tested_added_replaced_paused_reset_and_removed() {
    let world = World::new().await;
    assert_eq!(world.served.json("/v1/connectors").await, json!({"connectors": []}));
    let hook = world.hook("hook", "");
    let (status, found) = world.toml(Method::POST, "/v1/connectors/test", &hook).await;
    assert_eq!((status, &found["ok"]), (200, &json!(true)), "{found}");
    let missing = format!("{hook}secret = \"env:LEFTFOLD_NO_SUCH_SECRET\"\n");
    let (status, found) = world.toml(Method::POST, "/v1/connectors/test", &missing).await;
    assert_eq!((status, &found["ok"]), (200, &json!(false)));
    assert!(found["findings"][0]["detail"].as_str().unwrap().contains("is not set"), "{found}");

    world.append("order-1").await;
    let (status, added) = world.toml(Method::POST, "/v1/connectors", &hook).await;
    assert_eq!((status, &added["connector"]), (201, &json!("hook")), "{added}");
    assert!(added["cursor"].is_string());
    let found = world.until("/v1/connectors/hook", |it| it["events"] == 1).await;
    assert_eq!((&found["phase"], &found["kind"]), (&json!("running"), &json!("http")));
    assert_eq!((&found["query"], &found["text"]), (&json!("category:order"), &json!(hook)));
    let list = world.served.json("/v1/connectors").await;
    assert_eq!(list["connectors"][0]["name"], "hook");
    let (_, again) = world.toml(Method::POST, "/v1/connectors", &hook).await;
    assert_eq!(again["code"], "connector_exists");

    let (status, paused) = world.toml(Method::POST, "/v1/connectors/hook/pause", "").await;
    assert_eq!(status, 200, "{paused}");
    assert_eq!(world.served.json("/v1/connectors/hook").await["phase"], "paused");
    assert_eq!(world.toml(Method::POST, "/v1/connectors/hook/resume", "").await.0, 200);
    let other = world.hook("hook", "in_flight = 2");
    assert_eq!(world.toml(Method::PUT, "/v1/connectors/hook", &other).await.0, 200);
    assert_eq!(world.served.json("/v1/connectors/hook").await["text"], json!(other));
    let (_, wrong) = world.toml(Method::PUT, "/v1/connectors/none", &other).await;
    assert_eq!(wrong["code"], "connector_invalid");
    assert_eq!(world.toml(Method::POST, "/v1/connectors/hook/reset", "").await.0, 200);
    world.until("/v1/connectors/hook", |it| it["events"] == 1).await;
    assert_eq!(world.toml(Method::DELETE, "/v1/connectors/hook", "").await.0, 200);
    for (method, path) in [
        (Method::GET, "/v1/connectors/hook"),
        (Method::POST, "/v1/connectors/hook/pause"),
        (Method::GET, "/v1/connectors/hook/parked"),
    ] {
        let (status, unknown) = world.toml(method, path, "").await;
        assert_eq!((status, &unknown["code"]), (404, &json!("connector_unknown")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_has_a_code() {
    let world = World::new().await;
    for (text, part) in [
        ("name = 1", "invalid type"),
        (
            "name = \"test\"\nkind = \"http\"\nquery = \"*\"\n[http]\nurl = \"https://example.com\"",
            "test",
        ),
        ("not toml", "expected"),
    ] {
        let (status, refused) = world.toml(Method::POST, "/v1/connectors", text).await;
        assert_eq!((status, &refused["code"]), (400, &json!("connector_invalid")), "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains(part), "{refused}");
    }
    let (_, refused) =
        world.toml(Method::POST, "/v1/connectors?from=soon", &world.hook("hook", "")).await;
    assert_eq!(refused["code"], "cursor_invalid");
    let json = world.served.client.post(world.served.url("/v1/connectors"));
    let json = json.header("content-type", "application/json").body("{}").send().await.unwrap();
    assert_eq!(json.status(), 415);

    // The secret may come later: it is tried again.
    let secret = format!("{}secret = \"file:/no/such/secret\"\n", world.hook("later", ""));
    assert_eq!(world.toml(Method::POST, "/v1/connectors", &secret).await.0, 201);
    let later = world.until("/v1/connectors/later", |it| it["phase"] == "retrying").await;
    assert_eq!(later["code"], "connector_secret_missing");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "whsec_bGVmdGZvbGQgY29ubmVjdG9ycyB0ZXN0IGtleQ==\n").unwrap();
    let there = secret.replace("/no/such/secret", file.path().to_str().unwrap());
    assert_eq!(world.toml(Method::PUT, "/v1/connectors/later", &there).await.0, 200);
    let well = |it: &Value| it["phase"] == "running" && it["failure"].is_null();
    world.until("/v1/connectors/later", well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_are_listed_retried_and_skipped() {
    let world = World::new().await;
    *world.status.lock() = 500;
    let hook = world.hook("hook", "[retry]\nschedule = []\n");
    assert_eq!(world.toml(Method::POST, "/v1/connectors", &hook).await.0, 201);
    for stream in ["order-1", "order-1", "order-2"] {
        world.append(stream).await;
    }
    let both = |it: &Value| it["events"].as_array().unwrap().len() == 2;
    let parked = world.until("/v1/connectors/hook/parked", both).await;
    let first = &parked["events"][0];
    assert_eq!((&first["stream"], &first["version"]), (&json!("order-1"), &json!(0)));
    assert_eq!((&first["type"], &first["parked"]), (&json!("OrderPlaced"), &json!(true)));
    assert!(first["reason"].as_str().unwrap().contains("500"), "{first}");
    assert_eq!(world.served.json("/v1/connectors/hook").await["held"], 2);
    let metrics = world.served.get("/metrics").await.text().await.unwrap();
    for line in [
        "leftfold_connectors{phase=\"running\"} 1",
        "leftfold_connectors{phase=\"failed\"} 0",
        "leftfold_connector_held{connector=\"hook\"} 2",
        "leftfold_connector_events{connector=\"hook\"} 0",
        "leftfold_connector_lag_seconds{connector=\"hook\"}",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    let skip = "/v1/connectors/hook/skip?stream=order-2&version=0";
    assert_eq!(world.toml(Method::POST, skip, "").await.0, 200);
    let one = |it: &Value| it["events"].as_array().unwrap().len() == 1;
    world.until("/v1/connectors/hook/parked", one).await;
    let (status, missing) = world.toml(Method::POST, skip, "").await;
    assert_eq!((status, &missing["code"]), (409, &json!("event_not_parked")));

    *world.status.lock() = 204;
    let (_, retried) = world.toml(Method::POST, "/v1/connectors/hook/retry", "").await;
    assert_eq!(retried, json!({"connector": "hook", "events": 1}));
    let none = |it: &Value| it["events"].as_array().unwrap().is_empty();
    world.until("/v1/connectors/hook/parked?all=true", none).await;
    world.until("/v1/connectors/hook", |it| it["lag_micros"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_wants_no_more_and_an_event_that_is_refused_stop_a_connector() {
    let world = World::new().await;
    *world.status.lock() = 410;
    assert_eq!(world.toml(Method::POST, "/v1/connectors", &world.hook("gone", "")).await.0, 201);
    let stop = world.hook("stop", "on_error = \"stop\"\n[retry]\nschedule = []\n");
    world.append("order-1").await;
    let gone = world.until("/v1/connectors/gone", |it| it["phase"] == "failed").await;
    assert_eq!(gone["code"], "connector_unusable");
    *world.status.lock() = 500;
    assert_eq!(world.toml(Method::POST, "/v1/connectors", &stop).await.0, 201);
    let stopped = world.until("/v1/connectors/stop", |it| it["phase"] == "failed").await;
    assert_eq!(stopped["code"], "connector_event_refused");
    *world.status.lock() = 204;
    for name in ["gone", "stop"] {
        let resume = format!("/v1/connectors/{name}/resume");
        assert_eq!(world.toml(Method::POST, &resume, "").await.0, 200);
        world.until(&format!("/v1/connectors/{name}"), |it| it["events"] == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_survive_a_restart_of_the_server() {
    let world = World::new().await;
    assert_eq!(world.toml(Method::POST, "/v1/connectors", &world.hook("hook", "")).await.0, 201);
    world.append("order-1").await;
    world.until("/v1/connectors/hook", |it| it["events"] == 1).await;
    let World { served, store, receiver, status } = world;
    served.running.shutdown().await;
    let world = World { served: serve(store.clone()).await, store, receiver, status };
    world.append("order-2").await;
    // The first one does not come again.
    let found = world.until("/v1/connectors/hook", |it| it["events"] == 1).await;
    assert_eq!(found["phase"], "running");
}

/// A restored copy would deliver beside the original.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_so_runs_no_connectors() {
    let mut config = config();
    config.connectors = false;
    let running = Server::start(config, store() as Arc<dyn Engine>).await.unwrap();
    let served = Served { running, client: client() };
    let answer = toml(&served, Method::GET, "/v1/connectors", "").await;
    assert_eq!(code(&answer), (503, "connectors_stopped"));
}

/// A node that does not own the definition takes it, and says that another one runs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_a_connector_and_does_not_run_it() {
    let mut status = ClusterStatus::new("shop", "n1");
    let mut partition = ClusterPartition::new(0);
    partition.role = "standby";
    status.partitions.push(partition);
    let engine = Arc::new(HookedEngine::of_cluster(store(), status));
    let running = Server::start(config(), engine as Arc<dyn Engine>).await.unwrap();
    let served = Served { running, client: client() };
    let hook = "name = \"a\"\nkind = \"http\"\nquery = \"category:order\"\n[http]\nurl = \"https://example.com\"\n";
    let adding = async {
        while toml(&served, Method::POST, "/v1/connectors", hook).await.0 != 201 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while toml(&served, Method::GET, "/v1/connectors/a", "").await.1["phase"] != "elsewhere" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, adding).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_manager_of_the_store_may_see_and_change_connectors() {
    let accounts = Accounts::with_ann().await;
    let by_ann = async |method: Method, path: &str, body: &str| {
        text_of(&accounts.served, Some(("ann", ANN)), method, path, "application/toml", body).await
    };
    let hook = "name = \"a\"\nkind = \"http\"\nquery = \"category:order\"\n[http]\nurl = \"https://example.com\"\n";
    for (method, path) in [
        (Method::GET, "/v1/connectors"),
        (Method::POST, "/v1/connectors"),
        (Method::POST, "/v1/connectors/test"),
        (Method::GET, "/v1/connectors/a"),
        (Method::PUT, "/v1/connectors/a"),
        (Method::DELETE, "/v1/connectors/a"),
        (Method::POST, "/v1/connectors/a/pause"),
        (Method::POST, "/v1/connectors/a/resume"),
        (Method::POST, "/v1/connectors/a/reset"),
        (Method::GET, "/v1/connectors/a/parked"),
        (Method::POST, "/v1/connectors/a/retry"),
        (Method::POST, "/v1/connectors/a/skip?stream=order-1&version=0"),
    ] {
        assert_eq!(
            code(&by_ann(method.clone(), path, hook).await),
            (403, "forbidden"),
            "{method} {path}"
        );
    }
    // Neither by the back door: who may append to all streams defines no connector by that.
    let grant = json!({"user": "ann", "action": "append", "scope": "*"});
    accounts.by_admin(Method::POST, "/v1/grants", grant).await;
    let event =
        json!({"events": [{"type": "leftfold.ConnectorDefined", "data": {"what": "removed"}}]});
    let path = "/v1/streams/leftfold.connector-a/events";
    let user = Some(("ann", ANN));
    let event = event.to_string();
    let appended =
        text_of(&accounts.served, user, Method::POST, path, "application/json", &event).await;
    assert_eq!(code(&appended), (403, "forbidden"));
}
