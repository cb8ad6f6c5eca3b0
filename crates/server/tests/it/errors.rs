//! Every error that a request can meet, provoked over HTTP.

use leftfold_api::Coded;
use leftfold_client::Client as Remote;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Served, config, json, served, served_by};

const ID: &str = "6fa459ea-ee8a-3ca4-894e-db77e160355e";

/// Checks that an answer is a problem document with this code and status, and returns it.
async fn problem(response: Response, status: u16, code: &str) -> Value {
    let what = format!("{code} of {}", response.url());
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{what}");
    assert_eq!(response.status(), status, "{what}");
    assert!(response.headers().contains_key("x-request-id"), "{what}");
    let problem = json(response).await;
    assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{problem}");
    assert_eq!(problem["type"], format!("/errors#{code}"));
    assert!(!problem["detail"].as_str().unwrap().is_empty() && problem["title"].is_string());
    problem
}

async fn posts(served: &Served, body: Value, status: u16, code: &str) -> Value {
    problem(served.send(Method::POST, "/v1/events", body).await, status, code).await
}

async fn gets(served: &Served, path: &str, status: u16, code: &str) -> Value {
    problem(served.get(path).await, status, code).await
}

fn event() -> Value {
    json!({"stream": "a", "type": "T", "id": ID, "data": 1})
}

#[tokio::test]
async fn conditions_say_what_they_found() {
    let served = served().await;
    served.post("/v1/events", json!({"events": [event()]})).await;
    let to = served.json("/v1/head").await["cursor"].clone();

    let body = json!({"events": [{"stream": "a", "type": "T"}],
                      "expect": [{"stream": "a", "expected": 7}]});
    let found = posts(&served, body, 409, "wrong_version").await;
    assert_eq!(found["found"], json!({"stream": "a", "expected": 7, "actual": 0}));
    assert_eq!(found["can_retry"], json!(false));

    let body =
        json!({"events": [{"stream": "b", "type": "T"}], "none_after": [{"query": "type:T"}]});
    let found = posts(&served, body, 409, "query_matched").await;
    let expected = json!({"query": "type:T", "position": 1, "stream": "a", "event_type": "T"});
    assert_eq!(found["found"], expected);

    let path = "/v1/checkpoints/c";
    let moved = served.send(Method::PUT, path, json!({"to": to})).await;
    assert_eq!(moved.status(), 201);
    let again = served.send(Method::PUT, path, json!({"to": to})).await;
    let found = problem(again, 409, "checkpoint_moved").await;
    assert_eq!(found["found"], json!({"checkpoint": "c", "expected": null, "actual": to}));

    let mut other = event();
    other["data"] = json!(2);
    let found = posts(&served, json!({"events": [other]}), 409, "event_id_reused").await;
    assert_eq!(found["found"], json!({"stream": "a", "id": ID, "version": 0}));
    let partial = json!({"events": [event(), {"stream": "a", "type": "T"}]});
    posts(&served, partial, 409, "partial_repeat").await;

    let path = "/v1/streams/a?tombstone=true&expected=0";
    let gone = served.client.delete(served.url(path)).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let more = json!({"events": [{"stream": "a", "type": "T"}]});
    let found = posts(&served, more, 409, "stream_tombstoned").await;
    assert_eq!(found["found"], json!({"stream": "a"}));
}

#[tokio::test]
async fn bad_appends_are_refused_by_code() {
    let served = served().await;
    let before = served.json("/v1/head").await;
    let with = |name: &str, value: Value| {
        let mut event = event();
        event[name] = value;
        json!({ "events": [event] })
    };
    for (body, status, code) in [
        (with("stream", json!("")), 400, "name_invalid"),
        (with("stream", json!("$x")), 400, "name_reserved"),
        (with("tags", json!(["plain"])), 400, "tag_invalid"),
        (with("tags", json!([["a=b", "c"]])), 400, "tag_invalid"),
        (
            with("tags", json!((0..101).map(|n| format!("t={n}")).collect::<Vec<_>>())),
            400,
            "too_many_tags",
        ),
        (with("event_time", json!("noon")), 400, "time_invalid"),
        (with("event_time", json!("+010000-01-01T00:00:00Z")), 400, "time_invalid"),
        (with("data", (0..129).fold(json!(1), |inner, _| json!([inner]))), 400, "json_too_deep"),
        (
            with("metadata", (0..129).fold(json!(1), |inner, _| json!([inner]))),
            400,
            "json_too_deep",
        ),
        (json!({"events": [["a-1", "T"]]}), 400, "body_invalid"),
        (json!({"events": [event()], "expect": [["a-1", "any"]]}), 400, "body_invalid"),
        (with("data_base64", json!("aGk=")), 400, "body_invalid"),
        (with("metadata_base64", json!("!")), 400, "body_invalid"),
        (with("content_type", json!("text/plain")), 400, "body_invalid"),
        (with("id", json!("17")), 400, "body_invalid"),
        (with("colour", json!("red")), 400, "body_invalid"),
        (with("data", json!("x".repeat(17 << 20))), 413, "event_too_large"),
        (json!({}), 400, "append_empty"),
        (json!({"events": [event(), event()]}), 400, "append_contradictory"),
        (
            json!({"events": vec![json!({"stream": "a", "type": "T"}); 10_001]}),
            413,
            "too_many_events",
        ),
        (
            json!({"events": [event()], "expect": (0..10_001).map(|n| json!({"stream": n.to_string(), "expected": "any"})).collect::<Vec<_>>()}),
            413,
            "too_many_conditions",
        ),
        (
            json!({"events": [event()], "expect": [{"stream": "a", "expected": "often"}]}),
            400,
            "body_invalid",
        ),
        (json!({"events": [event()], "none_after": [{"query": "color:red"}]}), 400, "query_syntax"),
        (
            json!({"events": [event()], "none_after": [{"query": "*", "cursor": "1"}]}),
            400,
            "cursor_invalid",
        ),
        (
            json!({"events": [event()], "none_after": [{"query": "x ".repeat(40_000)}]}),
            413,
            "query_too_large",
        ),
        (json!({"events": [event()], "none_after": [{"query": "index:i"}]}), 404, "index_unknown"),
        (json!([1]), 400, "body_invalid"),
    ] {
        posts(&served, body, status, code).await;
    }
    assert_eq!(served.json("/v1/head").await, before, "nothing was written");
}

#[tokio::test]
async fn bad_reads_are_refused_by_code() {
    let served = served().await;
    served.post("/v1/events", json!({"events": [event()]})).await;
    let cursor = served.json("/v1/head").await["cursor"].as_str().unwrap().to_owned();
    let ahead = format!("{}ff", &cursor[..cursor.len() - 2]);
    let other = if &cursor[2..4] == "aa" { "bb" } else { "aa" };
    let foreign = format!("{}{other}{}", &cursor[..2], &cursor[4..]);
    for (path, status, code) in [
        ("/v1/events?limit=0", 400, "limit_invalid"),
        ("/v1/events?limit=x", 400, "parameter_invalid"),
        ("/v1/events?limits=3", 400, "parameter_invalid"),
        ("/v1/events?limit=1&limit=2", 400, "parameter_invalid"),
        ("/v1/events?direction=up", 400, "parameter_invalid"),
        ("/v1/events?from=position:1&after=position:1", 400, "parameter_invalid"),
        ("/v1/events?from=place:1", 400, "parameter_invalid"),
        ("/v1/events?from=position:x", 400, "parameter_invalid"),
        ("/v1/events?from=committed:noon", 400, "time_invalid"),
        ("/v1/events?from=committed:9999-01-01", 409, "start_ahead"),
        ("/v1/events?from=position:1000", 409, "start_ahead"),
        ("/v1/streams/a/events?from=version:9", 409, "start_ahead"),
        ("/v1/subscribe?query=stream:a&from=version:9", 409, "start_ahead"),
        ("/v1/streams//events", 400, "name_invalid"),
        ("/v1/events?from=version:0", 400, "version_needs_stream"),
        ("/v1/events?from=ordinal:0", 400, "ordinal_needs_index"),
        ("/v1/events?query=color:red", 400, "query_syntax"),
        ("/v1/events?query=index:none", 404, "index_unknown"),
        ("/v1/events?after=17", 400, "cursor_invalid"),
        (&format!("/v1/events?after={ahead}"), 409, "cursor_ahead"),
        (&format!("/v1/events?at_least={foreign}"), 400, "cursor_foreign"),
        (&format!("/v1/subscribe?after={ahead}"), 409, "cursor_ahead"),
        ("/v1/subscribe?query=(", 400, "query_syntax"),
        ("/v1/events/9", 404, "event_unknown"),
        ("/v1/events/x", 400, "parameter_invalid"),
        ("/v1/streams/a/events/9", 404, "event_unknown"),
        ("/v1/streams/none", 404, "stream_unknown"),
        ("/v1/streams/%FF", 400, "parameter_invalid"),
        ("/v1/streams/%00", 400, "name_invalid"),
        ("/v1/streams/", 400, "name_invalid"),
        ("/v1/streams?limit=0", 400, "limit_invalid"),
        ("/v1/checkpoints/none", 404, "checkpoint_unknown"),
        ("/v1/nothing", 404, "path_unknown"),
    ] {
        gets(&served, path, status, code).await;
    }
    let request = served.client.get(served.url("/v1/subscribe")).header("last-event-id", "x");
    problem(request.send().await.unwrap(), 400, "cursor_invalid").await;
    let wrong = served.client.patch(served.url("/v1/events")).send().await.unwrap();
    assert_eq!(wrong.headers()["allow"], "POST,GET,HEAD");
    problem(wrong, 405, "method_unknown").await;
}

#[tokio::test]
async fn bad_definitions_are_refused_by_code() {
    let served = served().await;
    let put = async |path: &str, body: Value, status: u16, code: &str| {
        problem(served.send(Method::PUT, path, body).await, status, code).await
    };
    put("/v1/indexes/i", json!({"query": "("}), 400, "query_syntax").await;
    let made = served.send(Method::PUT, "/v1/indexes/i", json!({"query": "type:T"})).await;
    assert_eq!(made.status(), 204);
    put("/v1/indexes/i", json!({"query": "type:U"}), 409, "index_exists").await;
    put("/v1/indexes/j", json!({"query": "not index:i"}), 400, "index_of_index").await;
    put("/v1/streams/a/retention", json!({"max_count": 0}), 400, "retention_invalid").await;
    put("/v1/retention-rules/r", json!({"query": "*"}), 400, "retention_invalid").await;
    for n in 0..100 {
        let path = format!("/v1/retention-rules/r{n}");
        let body = json!({"query": "type:T", "max_age_micros": 1_000_000});
        assert_eq!(served.send(Method::PUT, &path, body).await.status(), 204);
    }
    let body = json!({"query": "type:T", "max_age_micros": 1});
    put("/v1/retention-rules/one-more", body, 409, "too_many_rules").await;
    let delete = async |path: &str, status: u16, code: &str| {
        let response = served.client.delete(served.url(path)).send().await.unwrap();
        problem(response, status, code).await
    };
    delete("/v1/retention-rules/none", 404, "rule_unknown").await;
    delete("/v1/indexes/none", 404, "index_unknown").await;
    delete("/v1/streams/a?expected=often", 400, "parameter_invalid").await;
    delete("/v1/streams/a?expected=3", 409, "wrong_version").await;
    for (path, status, code) in [("/v1/backups/nightly", 403, "backups_off")] {
        let response = served.send(Method::POST, path, Value::Null).await;
        problem(response, status, code).await;
    }
}

#[tokio::test]
async fn backups_stay_inside_their_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.backups = Some(dir.path().join("backups"));
    let served = served_by(config).await;
    let remote = Remote::connect(served.url("")).await.unwrap();
    let long = "a".repeat(101);
    for name in ["..", "../x", "a/b", "a/", "/a", ".hidden", "a\\b", "a\0", "", &long] {
        let error = remote.backup(name).await.unwrap_err();
        assert_eq!(error.code(), "name_invalid", "{name:?} over gRPC: {error}");
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let path = format!("/v1/backups/{encoded}");
        let response = served.send(Method::POST, &path, Value::Null).await;
        problem(response, 400, "name_invalid").await;
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    std::fs::create_dir_all(dir.path().join("backups/mine")).unwrap();
    std::fs::write(dir.path().join("backups/mine/file"), "precious").unwrap();
    let response = served.send(Method::POST, "/v1/backups/mine", Value::Null).await;
    problem(response, 409, "backup_foreign").await;
}

#[tokio::test]
async fn bodies_and_credentials_are_checked() {
    let mut config = config();
    config.body_bytes.0 = 1_000;
    let served = served_by(config).await;
    let url = served.url("/v1/events");
    let plain = served.client.post(&url).body("{}").send().await.unwrap();
    problem(plain, 415, "media_type_unsupported").await;
    posts(&served, json!({"x": "x".repeat(1_000)}), 413, "body_too_large").await;
    let cut = served.text(Method::POST, "/v1/events", "{\"events\": [".to_owned()).await;
    problem(cut, 400, "body_invalid").await;
    let unknown = served.client.get(&url).basic_auth("ann", Some("secret"));
    let unknown = unknown.send().await.unwrap();
    assert_eq!(unknown.headers()["www-authenticate"], "Basic realm=\"leftfold\", Bearer");
    problem(unknown, 401, "unauthenticated").await;
}

#[tokio::test]
async fn requests_beyond_a_limit_are_refused_with_retry_after() {
    let mut limited = config();
    limited.subscriptions = 0;
    let response = served_by(limited).await.get("/v1/subscribe").await;
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, 503, "server_overloaded").await;

    let mut limited = config();
    limited.bodies_bytes.0 = 0;
    let served = served_by(limited).await;
    posts(&served, json!({"events": [event()]}), 503, "server_overloaded").await;

    let mut limited = config();
    limited.connection_rate = 2;
    let served = served_by(limited).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let response = served.get("/health/live").await;
        statuses.push(response.status().as_u16());
        if statuses.last() == Some(&429) {
            problem(response, 429, "rate_limited").await;
        }
    }
    assert!(statuses.contains(&429) && statuses[..2] == [200, 200], "{statuses:?}");
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_description() {
    let served = served().await;
    let path = served.json("/v1/head").await;
    assert!(path["cursor"].is_string());
    // The type of a problem leads to its description.
    let page = served.get("/errors").await.text().await.unwrap();
    assert!(page.contains("<dt id=\"wrong_version\">"));
}

/// A page in a browser whose name leads here asks by that name.
#[tokio::test]
async fn without_users_it_refuses_foreign_host_names() {
    let served = served().await;
    let asked = |host: &'static str| {
        let request = served.client.get(served.url("/v1/head")).header("host", host);
        async move { request.send().await.unwrap() }
    };
    assert_eq!(asked("localhost:2113").await.status(), 200);
    problem(asked("evil.example:2113").await, 421, "host_refused").await;
    let body = json!({"user": "ann", "password": "ann's own password"});
    assert!(served.send(Method::POST, "/v1/users", body).await.status().is_success());
    // Now there are users, so callers are authenticated.
    assert_eq!(asked("store.example:2113").await.status(), 401);
}

async fn detail_of(response: Response, code: &str) -> String {
    problem(response, 400, code).await["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn errors_speak_of_the_request_and_not_of_the_parsers() {
    let served = served().await;
    let array = served.text(Method::POST, "/v1/events", "[]".to_owned()).await;
    let detail = detail_of(array, "body_invalid").await;
    assert!(detail.contains("found an array, [...], expected an object, {...}"), "{detail}");
    let inner = r#"{"events":[["a"]]}"#.to_owned();
    let inner = served.text(Method::POST, "/v1/events", inner).await;
    let detail = detail_of(inner, "body_invalid").await;
    assert!(detail.contains("found an array, [...], expected an object, {...}"), "{detail}");
    for (path, code, expected) in [
        ("/v1/events?limit=x", "parameter_invalid", "limit: expected a whole number"),
        ("/v1/events?limit=", "parameter_invalid", "limit: expected a whole number"),
        ("/v1/events?limit=99999999999999999999", "parameter_invalid", "the number is too large"),
        ("/v1/events?ordinals=yes", "parameter_invalid", "expected true or false"),
        ("/v1/events/x", "parameter_invalid", "`x` as a whole number"),
        ("/v1/events?from=version:x", "parameter_invalid", "version:3"),
        ("/v1/events?from=3", "cursor_invalid", "cursor:..., position:17, version:3, ordinal:3 or"),
    ] {
        let detail = detail_of(served.get(path).await, code).await;
        assert!(detail.contains(expected), "{path}: {detail}");
        for foreign in ["digit found", "parse integer", "u64", "usize", "deserialize", "URL"] {
            assert!(!detail.contains(foreign), "{path}: {detail}");
        }
    }
    let wrong = json!({"limit": "x"});
    let response = served.send(Method::POST, "/v1/events/read", wrong).await;
    let detail = detail_of(response, "body_invalid").await;
    assert!(detail.contains("expected a whole number"), "{detail}");
}

#[tokio::test]
async fn a_query_that_is_too_long_for_a_url_goes_into_a_body() {
    let served = served().await;
    served.post("/v1/streams/s-7/events", json!({"events": [{"type": "T"}, {"type": "T"}]})).await;
    let streams: Vec<_> = (0..3_500).map(|n| format!("stream:s-{n}")).collect();
    let query = streams.join(" or ");
    assert!(query.len() > 48 << 10);
    let body = json!({"query": query, "direction": "backward", "limit": 1, "ordinals": false});
    let page = served.post("/v1/events/read", body).await;
    assert_eq!((&page["events"][0]["version"], &page["more"]), (&json!(1), &json!(true)));
    let same = served.post("/v1/events/read", json!({"query": "type:T", "limit": 1})).await;
    assert_eq!(same, served.json("/v1/events?query=type:T&limit=1").await);
    let unknown = served.send(Method::POST, "/v1/events/read", json!({"querry": "*"})).await;
    problem(unknown, 400, "body_invalid").await;
}
