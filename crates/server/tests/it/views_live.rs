//! Live queries of views over HTTP.

use std::time::Duration;

use leftfold_server::Config;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Message, Messages};
use crate::views::{ADMIN, ANN, ORDERS, World, code, sql};

const SQL: &str = "select id, state from orders";

/// Begins a live query.
async fn follow(
    world: &World,
    user: Option<(&str, &str)>,
    parameters: &[(&str, &str)],
) -> Response {
    let request = world.served.client.get(world.served.url("/v1/query/live")).query(parameters);
    let request = match user {
        Some((user, password)) => request.basic_auth(user, Some(password)),
        None => request,
    };
    request.send().await.unwrap()
}

/// Begins a live query, which must have these rows.
async fn begin(world: &World, user: Option<(&str, &str)>, rows: Value) -> Messages {
    let response = follow(world, user, &[("sql", SQL), ("key", "id")]).await;
    let mut messages = Messages::of(response);
    let first = next(&mut messages, "rows").await;
    assert_eq!(first["columns"], json!(["id", "state"]));
    assert_eq!(first["rows"], rows);
    assert!(first["cursors"].get("orders").is_some(), "{first}");
    messages
}

/// The next message must be of this kind.
async fn next(messages: &mut Messages, kind: &str) -> Value {
    let Message { kind: found, data, .. } = messages.next().await.unwrap();
    assert_eq!(found.as_deref(), Some(kind), "{data}");
    data
}

/// The next message must be the last, and a problem of this code.
async fn ends(mut messages: Messages, code: &str) {
    assert_eq!(next(&mut messages, "problem").await["code"], code);
    assert_eq!(messages.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_query_sends_rows_and_then_changes() {
    let world = World::new(|_| {}).await;
    world.add(ORDERS).await;
    let mut keyed = begin(&world, None, json!([])).await;
    let path = world.served.url("/v1/views/orders/query/live");
    let parameters = [("sql", "select count(*) from orders"), ("period_ms", "100")];
    let plain = world.served.client.get(path).query(&parameters).send().await.unwrap();
    let mut plain = Messages::of(plain);
    assert_eq!(next(&mut plain, "rows").await["rows"], json!([[0]]));

    world.append("order-1", "OrderPlaced").await;
    let changes = next(&mut keyed, "changes").await;
    assert_eq!(changes["added"], json!([["1", "placed"]]));
    assert_eq!((&changes["removed"], &changes["changed"]), (&json!([]), &json!([])));
    let changes = next(&mut plain, "changes").await;
    assert_eq!((&changes["removed"], &changes["added"]), (&json!([[0]]), &json!([[1]])));

    let paid = world.append("order-1", "OrderPaid").await;
    let changes = next(&mut keyed, "changes").await;
    assert_eq!(changes["changed"], json!([{"before": ["1", "placed"], "after": ["1", "paid"]}]));
    assert_eq!((&changes["removed"], &changes["added"]), (&json!([]), &json!([])));
    assert_eq!(changes["cursors"], json!({"orders": paid}));
    let metrics = world.served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("leftfold_subscriptions 2"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_a_view_that_is_replaced_and_ends_with_it() {
    let world = World::new(|_| {}).await;
    world.append("order-1", "OrderPlaced").await;
    let last = world.add(ORDERS).await;
    let asked = format!("/v1/query?at_least={last}");
    assert_eq!(world.sql(Method::POST, &asked, SQL).await.0, 200);
    let mut live = begin(&world, None, json!([["1", "placed"]])).await;
    let all = follow(&world, None, &[("sql", "select * from orders")]).await;
    let mut all = Messages::of(all);
    next(&mut all, "rows").await;
    let other = ORDERS.replace("'placed'", "'new'");
    assert_eq!(world.sql(Method::PUT, "/v1/views/orders", &other).await.0, 200);
    let changed = json!([{"before": ["1", "placed"], "after": ["1", "new"]}]);
    assert_eq!(next(&mut live, "changes").await["changed"], changed);
    assert_eq!(next(&mut all, "changes").await["added"], json!([["1", "new"]]));
    let more = other.replace("state text", "state text, more text").replace("'new'", "'new', 'x'");
    assert_eq!(world.sql(Method::PUT, "/v1/views/orders", &more).await.0, 200);
    assert_eq!(next(&mut all, "rows").await["rows"], json!([["1", "new", "x"]]));
    assert_eq!(world.sql(Method::DELETE, "/v1/views/orders", "").await.0, 200);
    ends(live, "view_removed").await;
    ends(all, "view_removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_its_view_fails() {
    let world = World::new(|_| {}).await;
    world.add(&ORDERS.replace("'paid'", "dec_add('x', '1')")).await;
    let mut live = begin(&world, None, json!([])).await;
    world.append("order-1", "OrderPlaced").await;
    next(&mut live, "changes").await;
    world.append("order-1", "OrderPaid").await;
    ends(live, "view_event_unusable").await;
}

/// What was authorized is what is read: the tables of a wider query are others.
#[tokio::test(flavor = "multi_thread")]
async fn a_wider_view_is_not_shown_to_who_may_not_ask_it() {
    let world = World::with_ann().await;
    let (admin, ann) = (Some(("admin", ADMIN)), Some(("ann", ANN)));
    assert_eq!(sql(&world.served, admin, Method::POST, "/v1/views", ORDERS).await.0, 201);
    let mut of_admin = begin(&world, admin, json!([])).await;
    let of_ann = begin(&world, ann, json!([])).await;
    world.append("cart-1", "OrderPlaced").await;
    let wider = ORDERS.replace("@query category:order", "@query category:order OR category:cart");
    let replaced = sql(&world.served, admin, Method::PUT, "/v1/views/orders", &wider).await;
    assert_eq!(replaced.0, 200, "{}", replaced.1);
    ends(of_ann, "forbidden").await;
    assert_eq!(next(&mut of_admin, "changes").await["added"], json!([["1", "placed"]]));
    let refused = follow(&world, ann, &[("sql", SQL)]).await;
    assert_eq!(refused.status(), 403);
    let refused = follow(&world, None, &[("sql", SQL)]).await;
    assert_eq!(refused.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_its_grant_or_its_user_is_removed() {
    let world = World::with_ann().await;
    let (admin, ann) = (Some(("admin", ADMIN)), Some(("ann", ANN)));
    assert_eq!(sql(&world.served, admin, Method::POST, "/v1/views", ORDERS).await.0, 201);
    let live = begin(&world, ann, json!([])).await;
    let grants = world.by_admin(Method::GET, "/v1/grants", Value::Null).await;
    let of_ann = grants["grants"].as_array().unwrap().iter().find(|grant| grant["user"] == "ann");
    let path = format!("/v1/grants/{}", of_ann.unwrap()["grant"]);
    world.by_admin(Method::DELETE, &path, Value::Null).await;
    ends(live, "forbidden").await;
    let grant = json!({"user": "ann", "action": "read", "scope": "category:order"});
    world.by_admin(Method::POST, "/v1/grants", grant).await;
    let live = begin(&world, ann, json!([])).await;
    world.by_admin(Method::DELETE, "/v1/users/ann", Value::Null).await;
    ends(live, "unauthenticated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_the_server_and_says_meanwhile_that_it_lives() {
    let world = World::new(|config| config.heartbeat = Duration::from_millis(1)).await;
    world.add(ORDERS).await;
    let response = follow(&world, None, &[("sql", SQL)]).await;
    let mut live = Messages::of(response);
    assert_eq!(live.next_raw().await.unwrap().0.as_deref(), Some("rows"));
    assert_eq!(live.next_raw().await.unwrap().0.as_deref(), Some("comment"));
    let ended = async {
        let mut last = live.next_raw().await;
        while let Some((kind, _, data)) = live.next_raw().await {
            last = Some((kind, String::new(), data));
        }
        last.unwrap()
    };
    let ((kind, _, data), ()) = tokio::join!(ended, world.served.running.shutdown());
    assert_eq!(kind.as_deref(), Some("problem"));
    assert!(data.contains("\"code\":\"server_closing\""), "{data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_followed_is_refused_before_it_begins() {
    let world = World::new(|config| config.live_bytes = leftfold_server::Bytes(256)).await;
    world.add(ORDERS).await;
    let large = "select printf('%300s', 'x') from orders union all select printf('%300s', 'x')";
    for (text, key, period, status, expected) in [
        ("delete from orders", "", "100", 400, "view_query_refused"),
        ("attach 'x' as orders", "", "100", 400, "view_query_refused"),
        ("select 1; drop table orders", "", "100", 400, "view_query_refused"),
        ("selec * from orders", "", "100", 400, "view_query_invalid"),
        (SQL, "number", "100", 400, "view_query_invalid"),
        ("select * from nothing", "", "100", 404, "view_unknown"),
        ("select * from events", "", "100", 400, "view_query_refused"),
        ("select * from orders, events", "", "100", 400, "view_query_refused"),
        (SQL, "", "99", 400, "parameter_invalid"),
        (SQL, "", "600001", 400, "parameter_invalid"),
        (large, "", "100", 413, "view_answer_too_large"),
    ] {
        let parameters = [("sql", text), ("key", key), ("period_ms", period)];
        let response = follow(&world, None, &parameters).await;
        let answer = (response.status().as_u16(), crate::support::json(response).await);
        assert_eq!(code(&answer), (status, expected), "{text}: {}", answer.1);
    }
    let slow = World::new(|config| config.ask_time = Duration::from_secs(3)).await;
    slow.add(ORDERS).await;
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) \
                   select count(*) from n where exists (select 1 from n union select 1 from orders)";
    let response = follow(&slow, None, &[("sql", endless)]).await;
    assert_eq!(crate::support::json(response).await["code"], "view_query_timed_out");
    let said = world.sql(Method::GET, "/v1/query/live?sql=select%201%20from%20events", "").await;
    assert!(said.1["detail"].as_str().unwrap().contains("subscribe to its events"), "{}", said.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_queries_have_a_limit_and_take_turns() {
    let limits = |config: &mut Config| {
        (config.live_queries, config.asks, config.share) = (2, 1, 100);
    };
    let world = World::new(limits).await;
    world.add(ORDERS).await;
    let mut first = begin(&world, None, json!([])).await;
    let mut second = begin(&world, None, json!([])).await;
    let refused = follow(&world, None, &[("sql", SQL)]).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let refused = crate::support::json(refused).await;
    assert_eq!(refused["code"], "server_overloaded");
    assert!(refused["detail"].as_str().unwrap().contains("limits.live_queries"));
    world.append("order-1", "OrderPlaced").await;
    for live in [&mut first, &mut second] {
        assert_eq!(next(live, "changes").await["added"], json!([["1", "placed"]]));
    }
    drop(first);
    // The server notices a moment later that the client is gone.
    let again = async {
        while follow(&world, None, &[("sql", SQL)]).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::DEADLINE, again).await.unwrap();
    let world = World::new(|config| config.subscriptions = 0).await;
    world.add(ORDERS).await;
    assert_eq!(follow(&world, None, &[("sql", SQL)]).await.status(), 503);
}
