//! What is appended, read and delivered, as the JSON that people see.

use std::sync::Arc;
use std::time::Duration;

use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_server::Server;
use leftfold_store::{Embedded, Options};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Message, Messages, Served, client, config, json, served, served_by};

/// A stream with an event of each kind of content.
async fn filled() -> Served {
    let served = served().await;
    let events = json!({"expected": "no-stream", "events": [
        {"type": "OrderPlaced", "id": "6fa459ea-ee8a-3ca4-894e-db77e160355e", "data": {"total": 9.90},
         "tags": ["customer=42", ["note", "a=b"]], "event_time": "2026-03-01T10:00:00Z",
         "correlation": "c1", "metadata": {"by": "card"}, "schema_version": 2},
        {"type": "Scanned", "data_base64": "aGVsbG8=", "content_type": "image/png"},
        {"type": "Nothing"},
        {"type": "Null", "data": null},
    ]});
    let answer = served.post("/v1/streams/order-1/events", events).await;
    assert_eq!(answer["positions"], json!({"first": 1, "last": 4}));
    assert_eq!(answer["streams"], json!([{"stream": "order-1", "first": 0, "last": 3}]));
    served
}

#[tokio::test]
async fn shows_json_as_json_and_bytes_as_base64() {
    let served = filled().await;
    let page = served.json("/v1/streams/order-1/events").await;
    let mut first = page["events"][0].clone();
    let commit_time = first.as_object_mut().unwrap().remove("commit_time").unwrap();
    assert!(commit_time.as_str().unwrap().ends_with('Z'));
    let expected = json!({
        "position": 1, "stream": "order-1", "version": 0,
        "id": "6fa459ea-ee8a-3ca4-894e-db77e160355e", "type": "OrderPlaced",
        "event_time": "2026-03-01T10:00:00Z", "event_time_given": true, "correlation": "c1",
        "tags": ["customer=42", "note=a=b"], "content_type": "application/json",
        "schema_version": 2, "metadata": {"by": "card"}, "data": {"total": 9.90},
    });
    assert_eq!(first, expected);
    let [scanned, nothing, null] = [1, 2, 3].map(|n| page["events"][n].clone());
    assert_eq!((&scanned["data_base64"], scanned.get("data")), (&json!("aGVsbG8="), None));
    assert_eq!(scanned["content_type"], "image/png");
    assert_eq!((nothing.get("data"), nothing.get("data_base64")), (None, None));
    assert_eq!(null.get("data"), Some(&Value::Null));
    assert_eq!((&page["more"], page["events"].as_array().unwrap().len()), (&json!(false), 4));
}

/// Many writers end JSON with a line break.
#[tokio::test]
async fn shows_json_with_white_space_around_it_as_json() {
    let served = served().await;
    let (data, base64) = ("\n {\"a\":\r\n 1} \n", "CiB7ImEiOg0KIDF9IAo=");
    let event = json!({"type": "T", "data_base64": base64, "content_type": "application/json"});
    served.post("/v1/streams/a/events", json!({"events": [event]})).await;
    let page = served.json("/v1/streams/a/events").await;
    let shown = &page["events"][0];
    assert_eq!((&shown["data"], shown.get("data_base64")), (&json!({"a": 1}), None), "{data:?}");
}

#[tokio::test]
async fn gives_one_event_as_json_or_as_its_bare_bytes() {
    let served = filled().await;
    let event = served.json("/v1/streams/order-1/events/1").await;
    assert_eq!(event, served.json("/v1/events/2").await);
    let raw = async |path: &str, accept: &str| {
        served.client.get(served.url(path)).header("accept", accept).send().await.unwrap()
    };
    let bytes = raw("/v1/events/2", "application/octet-stream").await;
    assert_eq!(bytes.headers()["content-type"], "application/octet-stream");
    assert_eq!(bytes.headers()["leftfold-stream"], "order%2D1");
    assert_eq!(bytes.headers()["leftfold-content-type"], "image%2Fpng");
    assert_eq!(bytes.bytes().await.unwrap(), "hello");
    let bytes = raw("/v1/streams/order-1/events/0", "application/octet-stream;q=0.9").await;
    assert_eq!(bytes.bytes().await.unwrap(), r#"{"total":9.9}"#);
    let refused = raw("/v1/events/2", "image/png").await;
    assert_eq!(json(refused).await["code"], "not_acceptable");
}

#[tokio::test]
async fn pages_both_ways_without_gap_or_repetition() {
    let served = filled().await;
    for (direction, expected) in [("forward", [1, 2, 3, 4]), ("backward", [4, 3, 2, 1])] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let path =
                format!("/v1/events?query=category:order&limit=3&direction={direction}{after}");
            let page = served.json(&path).await;
            let events = page["events"].as_array().unwrap();
            found.extend(events.iter().map(|event| event["position"].as_u64().unwrap()));
            after = format!("&after={}", page["cursor"].as_str().unwrap());
            if page["more"] == json!(false) {
                break;
            }
        }
        assert_eq!(found, expected, "{direction}");
    }
    let page = served.json("/v1/events?from=version:3&query=stream:order-1").await;
    assert_eq!(page["events"][0]["type"], "Null");
}

/// A page that is larger than a chunk comes in chunks, and is the same JSON.
#[tokio::test]
async fn a_large_page_is_whole() {
    let served = served().await;
    let text = "x".repeat(1_000);
    let events: Vec<_> =
        (0..500).map(|n| json!({"stream": "a", "type": "T", "data": [n, text]})).collect();
    served.post("/v1/events", json!({ "events": events })).await;
    let response = served.get("/v1/events?limit=500").await;
    assert_eq!(response.headers().get("content-length"), None);
    let page = json(response).await;
    let numbers: Vec<_> =
        page["events"].as_array().unwrap().iter().map(|event| event["data"][0].as_u64()).collect();
    assert_eq!(numbers, (0..500).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_repeated_append_gets_the_first_answer() {
    let served = served().await;
    let body = json!({"events": [{"stream": "a", "type": "T", "data": 1,
                                  "id": "6fa459ea-ee8a-3ca4-894e-db77e160355e"}]});
    let first = served.send(Method::POST, "/v1/events", body.clone()).await;
    assert_eq!(first.status(), 201);
    let again = served.send(Method::POST, "/v1/events", body).await;
    assert_eq!(again.status(), 200);
    let (first, again) = (json(first).await, json(again).await);
    assert_eq!((&first["repeated"], &again["repeated"]), (&json!(false), &json!(true)));
    assert_eq!(first["positions"], again["positions"]);
}

/// Serializers write what is absent as null. Only `data` and `metadata` can be null themselves.
#[tokio::test]
async fn null_means_that_an_option_is_not_given() {
    let served = served().await;
    let event = json!({"type": "T", "id": null, "data": null, "data_base64": null,
                       "content_type": null, "correlation": null, "event_time": null});
    let append = json!({"events": [event], "expected": null});
    served.post("/v1/streams/a/events", append).await;
    let event = served.json("/v1/streams/a/events/0").await;
    assert_eq!(event.get("data"), Some(&Value::Null));
    assert_eq!(event.get("correlation"), None);
    let condition = json!({"query": "stream:a", "cursor": null});
    let append = json!({"events": [{"stream": "a", "type": "T"}], "none_after": [condition]});
    let refused = served.send(Method::POST, "/v1/events", append).await;
    assert_eq!(json(refused).await["code"], "query_matched");
    let document = served.json("/openapi.json").await;
    let retention = &document["components"]["schemas"]["StreamRetention"]["properties"];
    assert_eq!(retention["max_count"]["type"], json!(["integer", "null"]));
    assert_eq!(retention["max_count"]["format"], "uint64");
}

async fn subscribe(served: &Served, path: &str, last_event_id: &str) -> Messages {
    let request = served.client.get(served.url(path)).header("last-event-id", last_event_id);
    Messages::of(request.send().await.unwrap())
}

/// The next message that is no heartbeat.
async fn next(messages: &mut Messages) -> Message {
    loop {
        let message = messages.next().await.unwrap();
        if message.kind.as_deref() != Some("comment") {
            return message;
        }
    }
}

#[tokio::test]
async fn delivers_history_a_mark_and_what_comes_and_resumes_behind_the_last_id() {
    let served = filled().await;
    let mut messages = subscribe(&served, "/v1/subscribe?query=category:order", "").await;
    let mut cursors = Vec::new();
    for version in 0..4 {
        let message = next(&mut messages).await;
        assert_eq!((message.kind, &message.data["version"]), (None, &json!(version)));
        cursors.push(message.id.unwrap());
    }
    let mark = next(&mut messages).await;
    assert_eq!(mark.kind.as_deref(), Some("caught_up"));
    assert_eq!(mark.data["cursor"].as_str(), mark.id.as_deref());
    served.post("/v1/streams/order-2/events", json!({"events": [{"type": "T"}]})).await;
    assert_eq!(next(&mut messages).await.data["stream"], "order-2");

    let mut resumed = subscribe(&served, "/v1/subscribe", &cursors[1]).await;
    assert_eq!(next(&mut resumed).await.data["version"], 2);
    let metrics = served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("leftfold_subscriptions 2"), "{metrics}");
}

#[tokio::test]
async fn a_heartbeat_moves_the_cursor_to_resume_from() {
    let mut config = config();
    config.heartbeat = Duration::from_millis(20);
    let served = served_by(config).await;
    let mut messages = subscribe(&served, "/v1/subscribe?query=category:order", "").await;
    assert_eq!(next(&mut messages).await.kind.as_deref(), Some("caught_up"));
    served.post("/v1/streams/other-1/events", json!({"events": [{"type": "T"}]})).await;
    let head = served.json("/v1/head").await;
    loop {
        let message = messages.next().await.unwrap();
        assert_eq!(message.kind.as_deref(), Some("comment"));
        if message.id.as_deref() == head["cursor"].as_str() {
            return;
        }
    }
}

#[tokio::test]
async fn a_shutdown_ends_subscriptions_with_a_reason() {
    let served = served().await;
    let mut messages = subscribe(&served, "/v1/subscribe", "").await;
    assert_eq!(next(&mut messages).await.kind.as_deref(), Some("caught_up"));
    let Served { running, client: _client } = served;
    running.shutdown().await;
    let last = next(&mut messages).await;
    assert_eq!(
        (last.kind.as_deref(), &last.data["code"]),
        (Some("problem"), &json!("server_closing"))
    );
    assert_eq!(messages.next().await, None);
}

#[tokio::test]
async fn lines_inside_json_do_not_break_a_message() {
    let served = served().await;
    let body = "{\"events\":[{\"type\":\"T\",\"data\":{\n\"a\":\r\n[1,\r2]}}]}";
    let path = "/v1/streams/a/events";
    assert_eq!(served.text(Method::POST, path, body.to_owned()).await.status(), 201);
    let mut messages = subscribe(&served, "/v1/subscribe", "").await;
    assert_eq!(next(&mut messages).await.data["data"], json!({"a": [1, 2]}));
    let raw =
        served.client.get(served.url("/v1/events/1")).header("accept", "application/octet-stream");
    assert_eq!(raw.send().await.unwrap().text().await.unwrap(), "{\n\"a\":\r\n[1,\r2]}");
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let served = served().await;
    let made = served.get("/health/live").await.headers()["x-request-id"].clone();
    assert_eq!(made.len(), 32);
    let ask = async |id: &str| {
        let request = served.client.get(served.url("/v1/nowhere")).header("x-request-id", id);
        request.send().await.unwrap().headers()["x-request-id"].clone()
    };
    assert_eq!(ask("mine-17").await, "mine-17");
    assert_ne!(ask(&"x".repeat(200)).await, "x".repeat(200));
}

#[tokio::test]
async fn administers_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.backups = Some(dir.path().to_owned());
    let served = served_by(config).await;
    for _ in 0..3 {
        served.post("/v1/streams/a-1/events", json!({"events": [{"type": "T", "data": 1}]})).await;
    }
    let put = async |path: &str, body: Value| served.send(Method::PUT, path, body).await.status();
    assert_eq!(put("/v1/streams/a-1/retention", json!({"max_count": 1})).await, 204);
    assert_eq!(put("/v1/indexes/ts", json!({"query": "type:T"})).await, 204);
    let indexes = served.json("/v1/indexes").await;
    assert_eq!(indexes["indexes"][0]["events"], 3);
    assert_eq!(served.json("/v1/streams/a-1").await["retention"], json!({"max_count": 1}));
    let would = served.post("/v1/scavenge?dry_run=true", Value::Null).await;
    let done = served.post("/v1/scavenge", Value::Null).await;
    assert_eq!((&would["events"], &done["events"]), (&json!(2), &json!(2)));
    let backup = served.post("/v1/backups/nightly", Value::Null).await;
    assert_eq!(backup["number"], 1);
    assert!(dir.path().join("nightly/BACKUP").exists());
    assert_eq!(served.json("/v1/stat").await["indexes"], 1);
    assert_eq!(served.json("/health/ready").await["status"], "ready");
    let metrics = served.get("/metrics").await.text().await.unwrap();
    for name in [
        "leftfold_append_seconds_bucket",
        "leftfold_batch_appends_bucket",
        "leftfold_sync_seconds_count",
        "leftfold_cache_hits_total{cache=\"log\"}",
        "leftfold_segments{state=\"sealed\"}",
        "leftfold_bytes{part=\"log\"}",
        "leftfold_requests_total{status=\"201\"} 3",
        "leftfold_subscription_lag_most",
    ] {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
}

#[tokio::test]
async fn a_server_whose_store_writes_no_more_is_not_alive() {
    let disk = Arc::new(FakeDisk::new());
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let mut options = Options::default();
    options.log.preallocate = 4096;
    let store = Arc::new(Embedded::open_on(disk.clone(), clock, random, options).unwrap());
    let served =
        Served { running: Server::start(config(), store).await.unwrap(), client: client() };
    assert_eq!(served.json("/health/live").await, json!({"status": "live"}));
    let append = json!({"events": [{"type": "T", "data": 1}]});
    // On a full disk it lives: it goes on by itself.
    disk.set_capacity(Some(disk.used()));
    let large = json!({"events": [{"type": "T", "data": "x".repeat(20_000)}]});
    let full = served.send(Method::POST, "/v1/streams/a/events", large).await;
    assert_eq!(full.status(), 507);
    assert_eq!(served.get("/health/ready").await.status(), 503);
    let live = served.json("/health/live").await;
    assert!(live["warnings"][0].as_str().unwrap().contains("the disk is full"), "{live}");
    disk.set_capacity(None);
    disk.fail_syncs(u64::MAX);
    let failed = served.send(Method::POST, "/v1/streams/a/events", append).await;
    assert!(failed.status().is_server_error());
    for path in ["/health/live", "/health/ready"] {
        let answer = served.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(crate::support::json(answer).await["code"], "store_closed");
    }
}
