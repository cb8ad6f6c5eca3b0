//! SQL views over HTTP: each route, rights, limits, a restart.

use std::path::Path;
use std::sync::Arc;

use leftfold_api::{Append, Coded, EventStore, NewEvent};
use leftfold_io::SystemClock;
use leftfold_server::access::Secret;
use leftfold_server::{Config, Server, StartOptions};
use leftfold_store::{Embedded, Options};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Served, client, config, json as json_of, store};

pub(crate) const ORDERS: &str = "
-- @view orders
-- @query category:order
create table orders (id text primary key, state text);
-- @on OrderPlaced
insert into orders values (:stream_id, 'placed');
-- @on OrderPaid
update orders set state = 'paid' where id = :stream_id;
";
pub(crate) const ADMIN: &str = "the admin's password";
pub(crate) const ANN: &str = "the password of ann";

/// A server with views in a folder.
pub(crate) struct World {
    pub(crate) served: Served,
    store: Arc<Embedded>,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(change, StartOptions::default()).await
    }

    async fn with(change: impl FnOnce(&mut Config), options: StartOptions) -> Self {
        let (dir, store) = (tempfile::tempdir().unwrap(), store());
        let mut config = config();
        config.views = Some(dir.path().join("views"));
        change(&mut config);
        let running = Server::start_with(config, store.clone(), options).await.unwrap();
        World { served: Served { running, client: client() }, store, dir }
    }

    /// A server with accounts, and a user ann who may read orders.
    pub(crate) async fn with_ann() -> Self {
        let admin_password = Some(Secret::from(ADMIN.to_owned()));
        let options = StartOptions { admin_password, clock: Arc::new(SystemClock) };
        let world = World::with(|_| {}, options).await;
        world.by_admin(Method::POST, "/v1/users", json!({"user": "ann", "password": ANN})).await;
        let grant = json!({"user": "ann", "action": "read", "scope": "category:order"});
        world.by_admin(Method::POST, "/v1/grants", grant).await;
        world
    }

    /// Does what must succeed.
    pub(crate) async fn by_admin(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.served.client.request(method, self.served.url(path));
        let request = request.basic_auth("admin", Some(ADMIN));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{path}");
        json_of(response).await
    }

    pub(crate) async fn append(&self, stream: &str, event_type: &str) -> String {
        let event = NewEvent::json(event_type, "{}".to_owned());
        self.store.append(Append::new().event(stream, event)).await.unwrap().cursor.to_string()
    }

    pub(crate) async fn sql(&self, method: Method, path: &str, text: &str) -> (u16, Value) {
        sql(&self.served, None, method, path, text).await
    }

    pub(crate) async fn add(&self, text: &str) -> String {
        let (status, added) = self.sql(Method::POST, "/v1/views", text).await;
        assert_eq!(status, 201, "{added}");
        added["cursor"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, params: &[(&str, &str)], accept: &str) -> Response {
        let request = self.served.client.get(self.served.url("/v1/query")).query(params);
        request.header("accept", accept).send().await.unwrap()
    }
}

pub(crate) async fn sql(
    served: &Served,
    user: Option<(&str, &str)>,
    method: Method,
    path: &str,
    text: &str,
) -> (u16, Value) {
    text_of(served, user, method, path, "application/sql", text).await
}

/// Sends a text of a media type.
pub(crate) async fn text_of(
    served: &Served,
    user: Option<(&str, &str)>,
    method: Method,
    path: &str,
    media_type: &str,
    text: &str,
) -> (u16, Value) {
    let mut request = served.client.request(method, served.url(path));
    if let Some((user, password)) = user {
        request = request.basic_auth(user, Some(password));
    }
    let request = request.header("content-type", media_type).body(text.to_owned());
    let response = request.send().await.unwrap();
    (response.status().as_u16(), json_of(response).await)
}

pub(crate) fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_planned_added_asked_replaced_and_removed() {
    let world = World::new(|_| {}).await;
    world.append("order-1", "OrderPlaced").await;
    let (status, plan) = world.sql(Method::POST, "/v1/views/plan", ORDERS).await;
    let expected = json!({"view": "orders", "change": "add", "events": 1, "more": false});
    assert_eq!((status, plan), (200, expected));
    world.add(ORDERS).await;
    assert_eq!(code(&world.sql(Method::POST, "/v1/views", ORDERS).await), (409, "view_exists"));

    let paid = world.append("order-1", "OrderPaid").await;
    let params = [("sql", "select id, state from orders"), ("at_least", &paid)];
    let answer = json_of(world.ask(&params, "*/*").await).await;
    assert_eq!(answer["columns"], json!(["id", "state"]), "{answer}");
    assert_eq!(answer["rows"], json!([["1", "paid"]]));
    assert!(answer["cursors"]["orders"].is_string());
    let csv = world.ask(&params, "text/csv").await;
    assert_eq!(csv.text().await.unwrap(), "id,state\r\n1,paid\r\n");
    let lines = world.ask(&params, "application/x-ndjson").await;
    assert_eq!(lines.text().await.unwrap(), "{\"id\":\"1\",\"state\":\"paid\"}\n");
    assert_eq!(world.ask(&params, "image/png").await.status(), 406);
    let body = json!({"sql": "select count(*) from orders", "at_least": paid});
    let answer = world.served.post("/v1/query", body).await;
    assert_eq!(answer["rows"], json!([[1]]));
    let (_, answer) = world.sql(Method::POST, "/v1/views/orders/query", "select 7").await;
    assert_eq!(answer["rows"], json!([[7]]));
    let path = "/v1/views/orders/query?sql=select%208";
    assert_eq!(world.served.json(path).await["rows"], json!([[8]]));

    let found = world.served.json("/v1/views/orders").await;
    assert_eq!((&found["text"], &found["query"]), (&json!(ORDERS), &json!("category:order")));
    let path = format!("/v1/views/orders?at_least={paid}&timeout_ms=10000");
    assert_eq!(world.served.json(&path).await["name"], "orders");
    let path = "/v1/views/orders?at_least=x";
    assert_eq!(code(&world.sql(Method::GET, path, "").await), (400, "cursor_invalid"));
    let path = "/v1/views/orders?timeout_ms=0";
    assert_eq!(code(&world.sql(Method::GET, path, "").await), (400, "parameter_invalid"));
    let listed = world.served.json("/v1/views").await;
    assert_eq!(listed["views"][0]["name"], "orders");

    let other = ORDERS.replace("'paid'", "'done'");
    let wrong = world.sql(Method::PUT, "/v1/views/others", &other).await;
    assert_eq!(code(&wrong), (400, "view_invalid"));
    assert_eq!(world.sql(Method::PUT, "/v1/views/orders", &other).await.0, 200);
    let asked = ("sql", "select state from orders");
    let done = async {
        while json_of(world.ask(&[asked], "*/*").await).await["rows"] != json!([["done"]]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::DEADLINE, done).await.unwrap();
    for change in ["pause", "resume", "reset"] {
        let path = format!("/v1/views/orders/{change}");
        let (status, answer) = world.sql(Method::POST, &path, "").await;
        assert_eq!((status, &answer["view"]), (200, &json!("orders")), "{change}");
    }
    assert_eq!(world.sql(Method::DELETE, "/v1/views/orders", "").await.0, 200);
    let gone = world.sql(Method::DELETE, "/v1/views/orders", "").await;
    assert_eq!(code(&gone), (404, "view_unknown"));
    assert_eq!(world.ask(&[asked], "*/*").await.status(), 404);
}

/// Two orders of one id in two streams: the second can't be applied until the first is gone.
const PARKING: &str = "
-- @view parking
-- @query category:order
-- @on_error park
create table parking (type text unique);
-- @on OrderPlaced
insert into parking values (:type);
-- @on OrderPaid
delete from parking;
";

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_are_listed_retried_and_skipped() {
    let world = World::new(|_| {}).await;
    world.add(PARKING).await;
    for stream in ["order-1", "order-2", "order-2", "order-3"] {
        world.append(stream, "OrderPlaced").await;
    }
    let at_least = async |cursor: &str| {
        let sql = ("sql", "select count(*) from parking");
        assert_eq!(world.ask(&[sql, ("at_least", cursor)], "*/*").await.status(), 200);
    };
    let head = world.served.json("/v1/head").await;
    at_least(head["cursor"].as_str().unwrap()).await;
    let parked = world.served.json("/v1/views/parking/parked").await;
    assert_eq!(parked["events"].as_array().unwrap().len(), 2, "{parked}");
    let all = world.served.json("/v1/views/parking/parked?all=true").await;
    let first = &all["events"][0];
    assert_eq!((&first["stream"], &first["parked"]), (&json!("order-2"), &json!(true)));
    assert_eq!((&first["version"], &first["type"]), (&json!(0), &json!("OrderPlaced")));
    assert!(first["reason"].as_str().unwrap().contains("UNIQUE"), "{all}");
    let behind = json!(format!("waits behind position {}", first["position"]));
    assert_eq!(
        (&all["events"][1]["parked"], &all["events"][1]["reason"]),
        (&json!(false), &behind)
    );
    assert_eq!(world.served.json("/v1/views/parking").await["waiting"], 3);
    let metrics = world.served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("leftfold_view_events_waiting{view=\"parking\"} 3"), "{metrics}");

    let skip = format!("/v1/views/parking/skip?position={}&stream=order-2", first["position"]);
    let (status, skipped) = world.sql(Method::POST, &skip, "").await;
    assert_eq!((status, &skipped["view"]), (200, &json!("parking")), "{skipped}");
    at_least(skipped["cursor"].as_str().unwrap()).await;
    assert_eq!(code(&world.sql(Method::POST, &skip, "").await), (409, "event_not_parked"));
    world.append("order-1", "OrderPaid").await;
    let retry = "/v1/views/parking/retry";
    let none = world.sql(Method::POST, &format!("{retry}?stream=order-9"), "").await;
    assert_eq!(code(&none), (409, "event_not_parked"));
    for path in [&format!("{retry}?stream=order-3"), retry] {
        let (status, retried) = world.sql(Method::POST, path, "").await;
        assert_eq!(status, 200, "{retried}");
        at_least(retried["cursor"].as_str().unwrap()).await;
    }
    // The one of order-3 has taken the place.
    let all = world.served.json("/v1/views/parking/parked?all=true").await;
    let streams: Vec<_> =
        all["events"].as_array().unwrap().iter().map(|it| &it["stream"]).collect();
    assert_eq!(streams, ["order-2"], "{all}");
    let wrong = world.sql(Method::POST, "/v1/views/parking/skip", "").await;
    assert_eq!(code(&wrong), (400, "parameter_invalid"));
    let unknown = world.sql(Method::GET, "/v1/views/none/parked", "").await;
    assert_eq!(code(&unknown), (404, "view_unknown"));
}

/// The answer comes although the view has not caught up, and `at_least` says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_stands_still_answers_and_is_late() {
    let world = World::new(|_| {}).await;
    world.add(ORDERS).await;
    assert_eq!(world.sql(Method::POST, "/v1/views/orders/pause", "").await.0, 200);
    let last = world.append("order-1", "OrderPlaced").await;
    let sql = ("sql", "select id from orders");
    assert_eq!(json_of(world.ask(&[sql], "*/*").await).await["rows"], json!([]));
    let late = world.ask(&[sql, ("at_least", &last), ("timeout_ms", "50")], "*/*").await;
    assert_eq!(late.status(), 503);
    assert!(late.headers().contains_key("retry-after"));
    assert_eq!(json_of(late).await["code"], "view_late");
    let metrics = world.served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("leftfold_views{phase=\"paused\"} 1"), "{metrics}");
    assert!(metrics.contains("leftfold_view_asks_total{outcome=\"view_late\"} 1"));
    assert!(metrics.contains("leftfold_view_lag_seconds{view=\"orders\"}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_begins_now_or_behind_a_cursor() {
    let world = World::new(|_| {}).await;
    let first = world.append("order-1", "OrderPlaced").await;
    for (from, stream, rows) in [("now", "order-2", 1), (&first, "order-3", 2)] {
        let path = format!("/v1/views?from={from}");
        assert_eq!(world.sql(Method::POST, &path, ORDERS).await.0, 201, "{from}");
        let last = world.append(stream, "OrderPlaced").await;
        let params = [("sql", "select count(*) from orders"), ("at_least", &last)];
        let answer = json_of(world.ask(&params, "*/*").await).await;
        assert_eq!(answer["rows"], json!([[rows]]), "{answer}");
        assert_eq!(world.sql(Method::DELETE, "/v1/views/orders", "").await.0, 200);
    }
    let wrong = world.sql(Method::POST, "/v1/views?from=soon", ORDERS).await;
    assert_eq!(code(&wrong), (400, "cursor_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_beyond_a_limit_is_refused() {
    let world = World::new(|config| config.ask_rows = 2).await;
    world.add(ORDERS).await;
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) ";
    let refused = [
        (format!("{endless} select i from n"), 10_000, 413, "view_answer_too_large"),
        (format!("{endless} select count(*) from n"), 200, 504, "view_query_timed_out"),
        ("delete from orders".to_owned(), 10_000, 400, "view_query_refused"),
        ("selec".to_owned(), 10_000, 400, "view_query_invalid"),
        ("x".repeat((1 << 20) + 1), 10_000, 413, "body_too_large"),
    ];
    for (text, millis, status, expected) in refused {
        let path = format!("/v1/views/orders/query?timeout_ms={millis}");
        let answer = world.sql(Method::POST, &path, &text).await;
        assert_eq!(code(&answer), (status, expected), "{}", &text[..text.len().min(60)]);
    }
    let wrong = world.sql(Method::POST, "/v1/views", &ORDERS.replace("set state", "set x")).await;
    assert_eq!(code(&wrong), (400, "view_sql_invalid"));
    let request = world.served.client.post(world.served.url("/v1/views")).body(ORDERS);
    let request = request.header("content-type", "text/plain").header("origin", "http://a.example");
    assert_eq!(request.send().await.unwrap().status(), 403, "a web page of another site");
    let world = World::new(|config| config.asks = 0).await;
    world.add(ORDERS).await;
    let full = world.sql(Method::POST, "/v1/views/orders/query", "select 1").await;
    assert_eq!(code(&full), (503, "server_overloaded"));
}

/// Until the new tables answer, the grant for the old query is enough for the rows, and for nothing of the new file.
#[tokio::test(flavor = "multi_thread")]
async fn a_wider_replacement_is_hidden_from_users_of_the_old_query() {
    let admin_password = Some(Secret::from(ADMIN.to_owned()));
    let options = StartOptions { admin_password, clock: Arc::new(SystemClock) };
    let world = World::with(|_| {}, options).await;
    let (served, admin, ann) = (&world.served, Some(("admin", ADMIN)), Some(("ann", ANN)));
    let user = json!({"user": "ann", "password": ANN});
    let grant = json!({"user": "ann", "action": "read", "scope": "category:order"});
    for (path, body) in [("/v1/users", user), ("/v1/grants", grant)] {
        let request = served.client.post(served.url(path)).basic_auth("admin", Some(ADMIN));
        let request = request.header("content-type", "application/json").body(body.to_string());
        assert_eq!(request.send().await.unwrap().status(), 201, "{path}");
    }
    assert_eq!(sql(served, admin, Method::POST, "/v1/views", ORDERS).await.0, 201);
    assert_eq!(sql(served, ann, Method::GET, "/v1/views/orders", "").await.0, 200);
    world.append("salary-7", "OrderPlaced").await;
    let wider = ORDERS
        .replace("category:order", "category:order or category:salary")
        .replace("'placed'", "dec(:stream)");
    let until = async |phase: &str| {
        let found = async {
            loop {
                let (_, view) = sql(served, admin, Method::GET, "/v1/views/orders", "").await;
                if view["phase"] == phase {
                    return view;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::support::DEADLINE, found).await.unwrap()
    };
    until("following").await;
    assert_eq!(sql(served, admin, Method::PUT, "/v1/views/orders", &wider).await.0, 200);
    let failed = until("failed").await;
    assert!(failed["failure"].as_str().unwrap().contains("salary-7"), "{failed}");
    let (status, rows) = sql(served, ann, Method::POST, "/v1/query", "select id from orders").await;
    assert_eq!((status, &rows["rows"]), (200, &json!([])), "{rows}");
    for path in ["/v1/views", "/v1/views/orders"] {
        let (_, answer) = sql(served, ann, Method::GET, path, "").await;
        assert!(!answer.to_string().contains("salary"), "{answer}");
    }
    let hidden = sql(served, ann, Method::GET, "/v1/views/orders", "").await;
    assert_eq!(code(&hidden), (403, "forbidden"));
    // What waits for a view that has failed is told that alone.
    let wait = world.append("order-1", "OrderPlaced").await;
    let body = json!({"sql": "select id from orders", "at_least": wait}).to_string();
    let request = served.client.post(served.url("/v1/query")).basic_auth("ann", Some(ANN));
    let request = request.header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(json_of(answer).await["rows"], json!([["1"]]), "the old tables go on");
}

/// Views are changed by managers, and asked by users whose grants cover them.
#[tokio::test(flavor = "multi_thread")]
async fn rights_decide_who_changes_and_who_asks() {
    let world = World::with_ann().await;
    let (served, admin, ann) = (&world.served, Some(("admin", ADMIN)), Some(("ann", ANN)));
    world
        .by_admin(
            Method::POST,
            "/v1/grants",
            json!({"user": "ann", "action": "append", "scope": "*"}),
        )
        .await;
    let carts = ORDERS.replace("orders", "carts").replace("category:order", "category:cart");
    for text in [ORDERS, &carts] {
        let refused = sql(served, ann, Method::POST, "/v1/views", text).await;
        assert_eq!(code(&refused), (403, "forbidden"));
        assert_eq!(sql(served, admin, Method::POST, "/v1/views", text).await.0, 201);
    }
    for (text, status) in [
        ("select * from orders", 200),
        ("select * from carts", 403),
        ("select * from orders, carts", 403),
        ("select * from nothing", 403),
    ] {
        let answer = sql(served, ann, Method::POST, "/v1/query", text).await;
        assert_eq!(answer.0, status, "{text}: {}", answer.1);
    }
    let (_, listed) = sql(served, ann, Method::GET, "/v1/views", "").await;
    assert_eq!(listed["views"].as_array().unwrap().len(), 1, "{listed}");
    for (path, status) in
        [("/v1/views/orders", 200), ("/v1/views/carts", 403), ("/v1/views/x", 403)]
    {
        let parked = format!("{path}/parked");
        assert_eq!(sql(served, ann, Method::GET, &parked, "").await.0, status, "{parked}");
        assert_eq!(sql(served, ann, Method::GET, path, "").await.0, status, "{path}");
    }
    for (method, path) in [
        (Method::PUT, "/v1/views/orders"),
        (Method::DELETE, "/v1/views/orders"),
        (Method::POST, "/v1/views/orders/pause"),
        (Method::POST, "/v1/views/orders/retry"),
        (Method::POST, "/v1/views/orders/skip?position=1"),
        (Method::POST, "/v1/views/plan"),
    ] {
        let refused = sql(served, ann, method, path, ORDERS).await;
        assert_eq!(code(&refused), (403, "forbidden"), "{path}");
    }
    let body = json!({"events": [{"stream": "leftfold.view-x", "type": "T"}]}).to_string();
    let request = served.client.post(served.url("/v1/events")).basic_auth("ann", Some(ANN));
    let request = request.header("content-type", "application/json").body(body);
    assert_eq!(request.send().await.unwrap().status(), 403, "no definition by an append");
}

async fn serve(dir: &Path) -> Served {
    let mut config = config();
    config.data = dir.to_owned();
    // A server that has ended lets its store go when its last thread has.
    let open = async {
        loop {
            match Embedded::open(&config.data, Options::default()) {
                Err(error) if error.code() == "store_locked" => tokio::task::yield_now().await,
                store => return Arc::new(store.unwrap()),
            }
        }
    };
    let store = tokio::time::timeout(crate::support::DEADLINE, open).await.unwrap();
    Served { running: Server::start(config, store).await.unwrap(), client: client() }
}

/// The folder of the views is inside the data directory, which the store opens again.
#[tokio::test(flavor = "multi_thread")]
async fn views_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let served = serve(dir.path()).await;
    assert!(!dir.path().join("views").exists(), "made with the first view");
    assert_eq!(sql(&served, None, Method::POST, "/v1/views", ORDERS).await.0, 201);
    let body = json!({"events": [{"type": "OrderPlaced"}]});
    let appended = served.post("/v1/streams/order-1/events", body).await;
    let ask = json!({"sql": "select id from orders", "at_least": appended["cursor"]});
    assert_eq!(served.post("/v1/query", ask.clone()).await["rows"], json!([["1"]]));
    served.running.shutdown().await;
    let served = serve(dir.path()).await;
    // At once: the server knows its views when it listens.
    assert_eq!(served.post("/v1/query", ask).await["rows"], json!([["1"]]));
    assert!(dir.path().join("views/orders.0.sqlite").exists());
}
