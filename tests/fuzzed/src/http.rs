//! HTTP requests: a line with the method and the path, then the body. Each goes to a small store of
//! its own and must be answered, an error with a problem document.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Uri, header};
use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_io::fake::FakeDisk;
use leftfold_server::{Config, Server};
use leftfold_store::Embedded;
use tower::ServiceExt;

use crate::disk;
use crate::small_store::options;

/// The maximum length of an answer: it shows a few events of an input.
const ANSWER: usize = 4 << 20;

pub(crate) fn run(input: &[u8]) {
    let Some(request) = request(input) else { return };
    let is_endless = request.uri().path() == "/v1/subscribe";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let disk = Arc::new(FakeDisk::new());
        let store = Embedded::open_on(disk, disk::clock(), disk::random(), options()).unwrap();
        let event = NewEvent::json("Counted", "1").tag("a", "b");
        store.append(Append::new().event("a-1", event)).await.unwrap();
        let answer = Server::router(Config::default(), Arc::new(store)).oneshot(request).await;
        let answer = answer.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        assert_ne!(status, 500);
        if is_endless && status.is_success() {
            return;
        }
        let body = to_bytes(answer.into_body(), ANSWER).await.unwrap();
        let media_type =
            headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
        if media_type.ends_with("json") {
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let is_problem = media_type == "application/problem+json";
            assert_eq!(is_problem, status.as_u16() >= 400);
            assert_eq!(is_problem, value["code"].is_string() && value["status"] == status.as_u16());
        }
    });
}

fn request(input: &[u8]) -> Option<Request<Body>> {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = input.split_at(end);
    let (method, path) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let uri: Uri = path.parse().ok()?;
    let request = Request::builder().method(method.parse::<Method>().ok()?).uri(uri);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    let body = body.get(1..).unwrap_or_default().to_vec();
    request.body(Body::from(body)).ok()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let requests = [
        r#"POST /v1/events
{"events":[{"stream":"a","type":"T","id":"6fa459ea-ee8a-3ca4-894e-db77e160355e","data":{"x":[1]},
"metadata":{},"tags":["a=b",["c","d"]],"correlation":"c","causation":"d","schema_version":1,
"event_time":"2026-03-01T10:00:00Z"}],"expect":[{"stream":"a","expected":"no-stream"}],
"none_after":[{"query":"tag:a=b not stream:a-1","cursor":"01000000000000000000000000"}],
"checkpoints":[{"name":"c","expected":null,"to":"01000000000000000000000000"}]}"#,
        r#"POST /v1/streams/a-1/events
{"events":[{"type":"T","data_base64":"aGk=","content_type":"text/plain"}],"expected":0}"#,
        "GET /v1/events?query=category:a&direction=backward&limit=1&from=position:1",
        "GET /v1/events?query=stream:a-1&after=version:0&at_least=01000000000000000000000000",
        "GET /v1/events/1",
        "GET /v1/streams/a-1/events/0",
        "GET /v1/streams?category=a&limit=2",
        "GET /v1/streams/a-1",
        "GET /v1/subscribe?query=*&from=time:2026-03-01&name=n",
        "PUT /v1/streams/a-1/retention\n{\"max_count\":1,\"max_age_micros\":7,\"truncate_before\":1}",
        "DELETE /v1/streams/a-1?expected=0&tombstone=true",
        "PUT /v1/retention-rules/r\n{\"query\":\"category:a\",\"max_count\":1}",
        "PUT /v1/indexes/i\n{\"query\":\"type:T\"}",
        "PUT /v1/checkpoints/c\n{\"to\":\"01000000000000000000000000\"}",
        "POST /v1/scavenge?dry_run=true",
        "POST /v1/backups/x",
        "GET /metrics",
        "GET /openapi.json",
        "PATCH /v1/%FF//",
    ];
    requests.iter().map(|request| request.as_bytes().to_vec()).collect()
}
