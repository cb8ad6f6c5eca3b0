//! Users, groups, tokens and grants themselves.

use std::sync::Arc;

use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, ManualClock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{ADMIN, PASSWORD, answer, open, serve, served, served_at, store_on};

#[tokio::test(flavor = "multi_thread")]
async fn without_users_every_local_client_may_do_everything() {
    let served = open().await;
    let response = served.request(Method::GET, "/v1/stat").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let first = json!({"user": "ann", "password": PASSWORD});
    let response = served
        .request(Method::POST, "/v1/users")
        .header("content-type", "application/json")
        .body(first.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    for path in ["/v1/stat", "/v1/events", "/v1/head", "/metrics"] {
        let response = served.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
        assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"leftfold\", Bearer");
        let response = served.ask(("ann", PASSWORD), Method::GET, path, Value::Null).await;
        assert_eq!(response.status(), 200, "{path}");
    }
    for path in ["/health/live", "/health/ready", "/health", "/", "/openapi.json", "/errors"] {
        let response = served.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scraper_has_a_grant_of_its_own() {
    let served = served().await;
    served.user("scraper", &[("observe", "*")]).await;
    served.user("reader", &[("read", "*")]).await;
    for (user, path, status) in [
        ("scraper", "/metrics", 200),
        ("scraper", "/v1/stat", 200),
        ("scraper", "/v1/events?query=type:T", 403),
        ("scraper", "/v1/users", 403),
        ("reader", "/metrics", 403),
        ("reader", "/v1/stat", 403),
    ] {
        let answer = served.ask((user, PASSWORD), Method::GET, path, Value::Null).await;
        assert_eq!(answer.status(), status, "{user} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_survive_a_restart() {
    let disk = Arc::new(FakeDisk::new());
    let served = serve(store_on(disk.clone()), Some(ADMIN), Arc::new(SystemClock)).await;
    served.user("ann", &[("read", "category:order")]).await;
    let made = json!({"token": "t", "user": "ann"});
    let token = served.admin(Method::POST, "/v1/tokens", made).await["secret"].clone();
    let (running, store) = (served.running, served.store);
    running.shutdown().await;
    drop(served.client);
    crate::access::support::until("the server lets go of its store", || {
        let held = Arc::strong_count(&store) > 1;
        async move { !held }
    })
    .await;
    drop(store);

    // Another password for the first user is not taken once there are users.
    let served = serve(store_on(disk), Some("some other password"), Arc::new(SystemClock)).await;
    assert_eq!(served.read(("admin", "some other password"), "*").await.0, 401);
    assert_eq!(served.read(("admin", ADMIN), "*").await.0, 200);
    assert_eq!(served.read(("ann", PASSWORD), "category:order").await.0, 200);
    let asked = served.request(Method::GET, "/v1/events?query=category:order");
    let asked = asked.bearer_auth(token.as_str().unwrap()).send().await.unwrap();
    assert_eq!(asked.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_authenticates_its_user_until_it_expires_or_is_revoked() {
    let clock = Arc::new(ManualClock::at(1_000_000_000_000_000));
    let served = served_at(clock.clone()).await;
    served.user("billing", &[("read", "category:order")]).await;
    let asks = async |secret: &str, query: &str| {
        let request = served.request(Method::GET, "/v1/events").query(&[("query", query)]);
        request.bearer_auth(secret).send().await.unwrap().status().as_u16()
    };
    let make = async |name: &str, until: Value| {
        let mut body = json!({"token": name, "user": "billing"});
        if !until.is_null() {
            body["until"] = until;
        }
        let made = served.admin(Method::POST, "/v1/tokens", body).await;
        made["secret"].as_str().unwrap().to_owned()
    };
    let ends = make("ends", json!("2001-09-09T01:46:50Z")).await;
    let stays = make("stays", Value::Null).await;
    for secret in [&ends, &stays] {
        assert_eq!(asks(secret, "category:order").await, 200);
        assert_eq!(asks(secret, "category:cart").await, 403);
    }
    assert_eq!(asks(&format!("{ends}x"), "category:order").await, 401);

    clock.advance(10_000_000);
    assert_eq!(asks(&ends, "category:order").await, 401);
    assert_eq!(asks(&stays, "category:order").await, 200);
    let listed = served.admin(Method::GET, "/v1/tokens", Value::Null).await;
    assert_eq!(listed["tokens"][0]["expired"], json!(true));
    assert_eq!(listed["tokens"][1]["last"], stays[stays.len() - 4..]);
    assert!(!listed.to_string().contains(&stays));

    served.admin(Method::DELETE, "/v1/tokens/stays", Value::Null).await;
    assert_eq!(asks(&stays, "category:order").await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_have_the_grants_of_their_group() {
    let served = served().await;
    served.user("ann", &[]).await;
    let query = "category:order";
    served.admin(Method::POST, "/v1/groups", json!({"group": "clerks"})).await;
    let grant = json!({"group": "clerks", "action": "read", "scope": query});
    let made = served.admin(Method::POST, "/v1/grants", grant.clone()).await;
    assert_eq!(served.admin(Method::POST, "/v1/grants", grant).await, made);
    assert_eq!(served.read(("ann", PASSWORD), query).await.0, 403);
    let member = "/v1/groups/clerks/members/ann";
    served.admin(Method::PUT, member, Value::Null).await;
    assert_eq!(served.read(("ann", PASSWORD), query).await.0, 200);
    let groups = served.admin(Method::GET, "/v1/groups", Value::Null).await;
    assert_eq!(groups["groups"][0], json!({"group": "clerks", "members": ["ann"]}));
    served.admin(Method::DELETE, member, Value::Null).await;
    assert_eq!(served.read(("ann", PASSWORD), query).await.0, 403);
    served.admin(Method::PUT, member, Value::Null).await;
    let path = format!("/v1/grants/{}", made["grant"]);
    served.admin(Method::DELETE, &path, Value::Null).await;
    assert_eq!(served.read(("ann", PASSWORD), query).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_user_of_the_same_name_has_no_grants() {
    let served = served().await;
    served.user("ann", &[("read", "category:order")]).await;
    served.admin(Method::POST, "/v1/tokens", json!({"token": "t", "user": "ann"})).await;
    served.admin(Method::DELETE, "/v1/users/ann", Value::Null).await;
    assert_eq!(served.read(("ann", PASSWORD), "category:order").await.0, 401);
    served.user("ann", &[]).await;
    assert_eq!(served.read(("ann", PASSWORD), "category:order").await.0, 403);
    let tokens = served.admin(Method::GET, "/v1/tokens", Value::Null).await;
    assert_eq!(tokens["tokens"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_change_their_own_password_and_no_other() {
    let served = served().await;
    served.user("ann", &[("read", "category:order")]).await;
    let (ann, new) = (("ann", PASSWORD), json!({"password": "another password"}));
    let other = served.ask(ann, Method::PUT, "/v1/users/admin/password", new.clone()).await;
    assert_eq!(other.status(), 403);
    let own = served.ask(ann, Method::PUT, "/v1/users/ann/password", new).await;
    assert_eq!(own.status(), 204);
    assert_eq!(served.read(ann, "category:order").await.0, 401);
    assert_eq!(served.read(("ann", "another password"), "category:order").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_changes_of_accounts_have_codes() {
    let served = served().await;
    served.user("ann", &[]).await;
    served.admin(Method::POST, "/v1/groups", json!({"group": "g"})).await;
    served.admin(Method::POST, "/v1/tokens", json!({"token": "t", "user": "ann"})).await;
    let user = |user: &str| json!({"user": user, "password": PASSWORD});
    let grant = |scope: &str| json!({"user": "ann", "action": "read", "scope": scope});
    let long = "x".repeat(1_025);
    for (method, path, body, status, code) in [
        (Method::POST, "/v1/users", user("ann"), 409, "user_exists"),
        (Method::POST, "/v1/users", user("a:b"), 400, "name_invalid"),
        (Method::POST, "/v1/users", user("$a"), 400, "name_invalid"),
        (
            Method::POST,
            "/v1/users",
            json!({"user": "b", "password": "short"}),
            400,
            "password_invalid",
        ),
        (
            Method::POST,
            "/v1/users",
            json!({"user": "b", "password": long}),
            400,
            "password_invalid",
        ),
        (
            Method::POST,
            "/v1/users",
            json!({"user": "b", "password": 12345678}),
            400,
            "body_invalid",
        ),
        (Method::DELETE, "/v1/users/nobody", Value::Null, 404, "user_unknown"),
        (Method::DELETE, "/v1/users/admin", Value::Null, 409, "last_manager"),
        (Method::DELETE, "/v1/groups/managers", Value::Null, 409, "last_manager"),
        (Method::POST, "/v1/groups", json!({"group": "g"}), 409, "group_exists"),
        (Method::DELETE, "/v1/groups/h", Value::Null, 404, "group_unknown"),
        (Method::POST, "/v1/tokens", json!({"token": "t", "user": "ann"}), 409, "token_exists"),
        (Method::DELETE, "/v1/tokens/u", Value::Null, 404, "token_unknown"),
        (
            Method::POST,
            "/v1/tokens",
            json!({"token": "u", "user": "ann", "until": "2001-01-01T00:00:00Z"}),
            400,
            "time_invalid",
        ),
        (Method::POST, "/v1/grants", grant("type:A"), 400, "grant_invalid"),
        (Method::POST, "/v1/grants", grant("stream:$access"), 400, "grant_invalid"),
        (Method::POST, "/v1/grants", grant("not ("), 400, "query_syntax"),
        (Method::DELETE, "/v1/grants/999", Value::Null, 404, "grant_unknown"),
    ] {
        let response = served.ask(("admin", ADMIN), method, path, body).await;
        let (found, problem) = (response.status(), answer(response).await);
        assert_eq!((found.as_u16(), &problem["code"]), (status, &json!(code)), "{path} {problem}");
        assert!(!problem.to_string().contains("12345678"));
    }
    for path in ["/v1/users", "/v1/groups", "/v1/tokens", "/v1/grants"] {
        let response = served.ask(("ann", PASSWORD), Method::GET, path, Value::Null).await;
        assert_eq!(response.status(), 403, "{path}");
    }
}
