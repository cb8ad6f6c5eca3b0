//! Changes of accounts apply to open connections.

use leftfold_api::{Coded, Delivery, EventStore, Query, ReadError, Start, Subscribe, Subscription};
use leftfold_client::RemoteSubscription;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::access::support::{DEADLINE, PASSWORD, Served, served};

async fn with_ann() -> (Served, String) {
    let served = served().await;
    served.user("ann", &[("read", "category:order")]).await;
    let grants = served.admin(Method::GET, "/v1/grants", Value::Null).await;
    let of_ann = grants["grants"].as_array().unwrap().iter().find(|g| g["user"] == "ann");
    let path = format!("/v1/grants/{}", of_ann.unwrap()["grant"]);
    (served, path)
}

async fn over_http(served: &Served) -> Response {
    let request = served.request(Method::GET, "/v1/subscribe?query=category:order");
    let response = request.basic_auth("ann", Some(PASSWORD)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// Reads to the end, which must come.
async fn rest(mut response: Response) -> String {
    let mut text = Vec::new();
    let read = async {
        while let Some(chunk) = response.chunk().await.unwrap() {
            text.extend_from_slice(&chunk);
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn over_grpc(served: &Served) -> RemoteSubscription {
    let remote = served.remote("ann", PASSWORD).await;
    let (query, from) = (Query::category("order"), Start::Outermost);
    let mut subscription =
        remote.subscribe(Subscribe { from, ..Subscribe::to(query) }).await.unwrap();
    assert!(matches!(subscription.next().await, Ok(Delivery::CaughtUp(_))));
    subscription
}

async fn end(mut subscription: RemoteSubscription) -> ReadError {
    let ended = async {
        loop {
            if let Err(error) = subscription.next().await {
                return error;
            }
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_end_when_their_grant_is_removed() {
    let (served, grant) = with_ann().await;
    let (http, grpc) = (over_http(&served).await, over_grpc(&served).await);
    served.admin(Method::DELETE, &grant, Value::Null).await;
    assert!(rest(http).await.contains("\"code\":\"forbidden\""));
    assert_eq!(end(grpc).await.code(), "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_end_when_their_user_is_removed() {
    let (served, _) = with_ann().await;
    let (http, grpc) = (over_http(&served).await, over_grpc(&served).await);
    served.admin(Method::DELETE, "/v1/users/ann", Value::Null).await;
    assert!(rest(http).await.contains("\"code\":\"unauthenticated\""));
    assert_eq!(end(grpc).await.code(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_end_when_the_password_they_used_changes() {
    let (served, _) = with_ann().await;
    let http = over_http(&served).await;
    let new = json!({"password": "another password"});
    served.admin(Method::PUT, "/v1/users/ann/password", new).await;
    assert!(rest(http).await.contains("\"code\":\"unauthenticated\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_change_leaves_subscriptions_alone() {
    let (served, _) = with_ann().await;
    let mut grpc = over_grpc(&served).await;
    served.user("bob", &[("append", "category:order")]).await;
    let body = json!({"events": [{"stream": "order-1", "type": "T"}]});
    let done = served.ask(("bob", PASSWORD), Method::POST, "/v1/events", body).await;
    assert_eq!(done.status(), 201);
    let next = tokio::time::timeout(DEADLINE, grpc.next()).await.unwrap();
    assert!(matches!(next, Ok(Delivery::Event(..))), "{next:?}");
}
