//! Queries of views as of the past, over HTTP.

use leftfold_api::Cursor;
use leftfold_views::{AsOf, AskLimits, ask_as_of};
use reqwest::Method;
use serde_json::{Value, json};

use crate::views::{ADMIN, ANN, ORDERS, World, code, sql};

const SQL: &str = "select id, state from orders order by id";

fn with_history() -> String {
    ORDERS.replace("-- @query", "-- @history\n-- @query")
}

fn position(cursor: &str) -> u64 {
    cursor.parse::<Cursor>().unwrap().position().unwrap()
}

/// Asks in each way there is; all answers must be equal.
async fn past(world: &World, moment: &str) -> (u16, Value) {
    let served = &world.served;
    let url = |path: &str| format!("{}?as_of={moment}", served.url(path));
    let get = served.client.get(url("/v1/query")).query(&[("sql", SQL)]);
    let of_view = served.client.get(url("/v1/views/orders/query")).query(&[("sql", SQL)]);
    let body = json!({"sql": SQL, "as_of": moment}).to_string();
    let json = served.client.post(served.url("/v1/query"));
    let json = json.header("content-type", "application/json").body(body);
    let text = served.client.post(url("/v1/query"));
    let text = text.header("content-type", "application/sql").body(SQL);
    let mut answers = Vec::new();
    for request in [get, of_view, json, text] {
        let response = request.send().await.unwrap();
        answers.push((response.status().as_u16(), crate::support::json(response).await));
    }
    for answer in &answers {
        assert_eq!(code(answer), code(&answers[0]));
        assert_eq!(answer.1["rows"], answers[0].1["rows"]);
    }
    answers.swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_asked_as_of_a_position_or_time() {
    let world = World::new(|_| {}).await;
    world.add(&with_history()).await;
    let events = [("order-1", "OrderPlaced"), ("order-2", "OrderPlaced"), ("order-1", "OrderPaid")];
    let mut positions = Vec::new();
    for (stream, event_type) in events {
        positions.push(position(&world.append(stream, event_type).await));
    }
    let rows = [
        json!([["1", "placed"]]),
        json!([["1", "placed"], ["2", "placed"]]),
        json!([["1", "paid"], ["2", "placed"]]),
    ];
    let file = [("orders".to_owned(), world.dir.path().join("views/orders.0.sqlite"))];
    for (at, rows) in positions.into_iter().zip(rows) {
        let (status, answer) = past(&world, &at.to_string()).await;
        assert_eq!((status, &answer["rows"]), (200, &rows), "at {at}");
        let expected = ask_as_of(&file, SQL, AsOf::Position(at), AskLimits::default()).unwrap();
        assert_eq!(answer["rows"], json!(expected.rows), "as the library");
        let read = world.served.json("/v1/events").await;
        let event = read["events"].as_array().unwrap().iter().find(|e| e["position"] == at);
        let time = event.unwrap()["commit_time"].as_str().unwrap();
        assert_eq!(past(&world, time).await.1["rows"], rows, "at {time}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_asked_as_of_the_past_is_refused() {
    let world = World::new(|_| {}).await;
    world.add(ORDERS).await;
    let last = position(&world.append("order-1", "OrderPlaced").await);
    let refused = past(&world, &last.to_string()).await;
    assert_eq!(code(&refused), (400, "view_query_refused"));
    let said = refused.1["detail"].as_str().unwrap();
    assert!(said.contains("add the line -- @history to its file and replace it"), "{said}");
    for (moment, expected) in [
        (&*(last + 1).to_string(), (400, "view_query_invalid")),
        ("2999-01-01", (400, "view_query_invalid")),
        ("yesterday", (400, "time_invalid")),
        ("-1", (400, "time_invalid")),
    ] {
        assert_eq!(code(&past(&world, moment).await), expected, "{moment}");
    }
    for (path, expected) in [
        ("/v1/query?as_of=1&at_least=01", (400, "cursor_invalid")),
        ("/v1/query?as_of=1", (400, "view_query_refused")),
    ] {
        let answer = world.sql(Method::POST, path, "select count(*) from events").await;
        assert_eq!(code(&answer), expected, "{}", answer.1);
    }
    let body = json!({"sql": SQL}).to_string();
    let mixed = world.served.text(Method::POST, "/v1/query?as_of=1", body).await;
    assert_eq!(crate::support::json(mixed).await["code"], "parameter_invalid");
    let cursor = world.append("order-2", "OrderPlaced").await;
    let path = format!("/v1/query?as_of=1&at_least={cursor}");
    assert_eq!(code(&world.sql(Method::POST, &path, SQL).await), (400, "parameter_invalid"));
}

/// The past of a view shows its events, as its present does.
#[tokio::test(flavor = "multi_thread")]
async fn the_past_needs_the_rights_of_the_present() {
    let world = World::with_ann().await;
    let (admin, ann) = (Some(("admin", ADMIN)), Some(("ann", ANN)));
    let carts =
        with_history().replace("orders", "carts").replace("category:order", "category:cart");
    for text in [&with_history(), &carts] {
        assert_eq!(sql(&world.served, admin, Method::POST, "/v1/views", text).await.0, 201);
    }
    for (text, status) in [("select * from orders", 200), ("select * from carts", 403)] {
        let answer = sql(&world.served, ann, Method::POST, "/v1/query?as_of=1", text).await;
        assert_eq!(answer.0, status, "{text}: {}", answer.1);
    }
}
