//! What a web page may send to the server of the machine that it is shown on.

use leftfold_api::{EventStore, Query, Read};
use reqwest::Method;
use serde_json::json;

use crate::access::support::{ADMIN, open, served};
use crate::support::json as body_of;

/// The requests that change something, none of which needs a body that a browser would ask for first.
const CHANGES: [(Method, &str); 9] = [
    (Method::POST, "/v1/scavenge"),
    (Method::POST, "/v1/verify"),
    (Method::POST, "/v1/backups/daily"),
    (Method::POST, "/v1/views/v/pause"),
    (Method::POST, "/v1/views/v/reset"),
    (Method::POST, "/v1/events"),
    (Method::PUT, "/v1/users/admin/password"),
    (Method::DELETE, "/v1/streams/a-1"),
    (Method::DELETE, "/v1/checkpoints/c"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_changes_nothing() {
    let served = open().await;
    let with = [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:3000"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    for (method, path) in CHANGES {
        for (header, value) in with {
            let request = served.request(method.clone(), path).header(header, value);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 403, "{method} {path} {value}");
            assert_eq!(body_of(response).await["code"], "origin_refused", "{method} {path}");
        }
    }
    let page = served.store.read(Read::forward(Query::All)).await.unwrap();
    assert!(page.events.is_empty(), "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_server_itself_and_no_pages_are_served() {
    let served = open().await;
    let own = served.url("");
    for headers in [
        vec![],
        vec![("origin", own.as_str())],
        vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
        // A proxy in front of the server has another name.
        vec![("origin", "https://db.example"), ("sec-fetch-site", "same-origin")],
        vec![("sec-fetch-site", "none")],
    ] {
        let mut request = served.request(Method::POST, "/v1/scavenge");
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.unwrap().status(), 200, "{headers:?}");
    }
    let read = served.request(Method::GET, "/v1/head").header("origin", "https://evil.example");
    let read = read.send().await.unwrap();
    assert_eq!(read.status(), 200, "what only reads is for the browser to keep from the page");
    assert!(!read.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_users_and_over_grpc_it_is_the_same() {
    let served = served().await;
    let request = served.request(Method::POST, "/v1/scavenge").basic_auth("admin", Some(ADMIN));
    let response = request.header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(body_of(response).await["code"], "origin_refused");
    let user = json!({"user": "ann", "password": "a user's password"});
    let added = served.ask(("admin", ADMIN), Method::POST, "/v1/users", user).await;
    assert!(added.status().is_success());

    for kind in ["application/grpc", "application/grpc-web+proto", "application/grpc-web-text"] {
        let request = served.request(Method::POST, "/leftfold.v1.Admin/Scavenge");
        let request = request.header("content-type", kind).header("origin", "https://evil.example");
        let response = request.body(vec![0; 5]).send().await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "7", "{kind}: permission denied");
        let message = response.headers()["grpc-message"].to_str().unwrap();
        assert!(message.contains("another%20origin") || message.contains("another origin"));
    }
}
