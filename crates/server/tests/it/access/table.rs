//! Each row is a user, a request, and whether it is allowed; over HTTP and over gRPC.

use leftfold_api::{
    AppendError, CheckpointMove, Coded, Cursor, EventStore, Expected, NewEvent, Query, ReadError,
    Retention, RetentionRule, Streams,
};
use leftfold_client::Client as Remote;
use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{PASSWORD, Served, answer, served};

/// A request.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Read(&'static str),
    /// A read whose query is in a body.
    ReadByBody(&'static str),
    Subscribe(&'static str),
    Describe(&'static str),
    List(Option<&'static str>),
    /// To a stream, with a tag.
    Append(&'static str, Option<(&'static str, &'static str)>),
    /// To one stream, while another is expected.
    Expect(&'static str, &'static str),
    NoneAfter(&'static str, &'static str),
    Move(&'static str),
    SeeCheckpoint(&'static str),
    DeleteCheckpoint(&'static str),
    SetRetention(&'static str),
    Delete(&'static str),
    SetRule,
    DefineIndex,
    ListIndexes,
    Stat,
}
use Ask::{
    Append, DefineIndex, Delete, DeleteCheckpoint, Describe, Expect, List, ListIndexes, Move,
    NoneAfter, Read, ReadByBody, SeeCheckpoint, SetRetention, SetRule, Stat, Subscribe,
};

/// What each user is granted.
const USERS: [(&str, &[(&str, &str)]); 6] = [
    ("guest", &[]),
    ("clerk", &[("read", "category:order"), ("append", "category:order")]),
    ("all", &[("read", "*"), ("append", "*")]),
    ("tagged", &[("read", "tag:customer=1"), ("append", "tag:customer=1")]),
    ("prefix", &[("read", "stream:or*"), ("manage", "stream:order-*")]),
    ("root", &[("read", "*"), ("append", "*"), ("manage", "*")]),
];

/// Who, what, and whether it is allowed.
const TABLE: &[(&str, Ask, bool)] = &[
    ("guest", Read("*"), false),
    ("guest", Read("stream:order-1"), false),
    ("guest", Append("order-1", None), false),
    ("guest", Move("reader"), false),
    ("guest", Stat, false),
    ("guest", List(None), false),
    ("clerk", Read("category:order"), true),
    ("clerk", Read("category:order type:T"), true),
    ("clerk", Read("stream:order-1"), true),
    ("clerk", Read("type:T"), false),
    ("clerk", ReadByBody("category:order"), true),
    ("clerk", ReadByBody("type:T"), false),
    ("prefix", ReadByBody("stream:or*"), true),
    ("clerk", Read("*"), false),
    ("clerk", Read("category:order or type:T"), false),
    ("clerk", Read("not category:cart"), false),
    ("clerk", Read("index:orders"), true),
    ("clerk", Read("index:everything"), false),
    ("clerk", Read("category:order index:everything"), true),
    ("clerk", Subscribe("category:order"), true),
    ("clerk", Subscribe("category:cart"), false),
    ("clerk", Describe("order-1"), true),
    ("clerk", Describe("cart-1"), false),
    ("clerk", List(Some("order")), true),
    ("clerk", List(Some("cart")), false),
    ("clerk", List(None), false),
    ("clerk", Append("order-1", None), true),
    ("clerk", Append("cart-1", None), false),
    ("clerk", Append("cart-1", Some(("customer", "1"))), false),
    ("clerk", Expect("order-1", "order-2"), true),
    ("clerk", Expect("order-1", "cart-1"), false),
    ("clerk", NoneAfter("order-1", "category:order type:X"), true),
    ("clerk", NoneAfter("order-1", "type:X"), false),
    ("clerk", Move("order-reader"), true),
    ("clerk", Move("reader"), false),
    ("clerk", SeeCheckpoint("order-reader"), true),
    ("clerk", SeeCheckpoint("reader"), false),
    ("clerk", DeleteCheckpoint("order-reader"), true),
    ("clerk", DeleteCheckpoint("reader"), false),
    ("clerk", SetRetention("order-1"), false),
    ("clerk", Delete("order-1"), false),
    ("clerk", DefineIndex, false),
    ("clerk", SetRule, false),
    ("clerk", ListIndexes, false),
    ("clerk", Stat, false),
    ("all", Read("type:T"), true),
    ("all", Read("* not stream:$*"), true),
    ("all", Read("*"), true),
    ("all", Read("system:true"), false),
    ("all", Read("not type:T system:true"), false),
    ("all", Read("stream:$access"), false),
    ("all", Read("category:$audit"), false),
    ("all", Read("type:$UserAdded"), false),
    ("all", Subscribe("*"), true),
    ("all", Subscribe("system:true"), false),
    ("all", Subscribe("not stream:$*"), true),
    ("all", Describe("$access"), false),
    ("all", List(None), true),
    ("all", Append("cart-1", None), true),
    ("all", NoneAfter("order-1", "*"), true),
    ("all", NoneAfter("order-1", "system:true"), false),
    ("all", Move("reader"), true),
    ("all", Stat, false),
    ("all", SetRetention("order-1"), false),
    ("tagged", Read("tag:customer=1"), true),
    ("tagged", Read("tag:customer=2"), false),
    ("tagged", Read("tag:customer=1,customer=2"), false),
    ("tagged", Read("stream:order-1"), false),
    ("tagged", Append("order-1", Some(("customer", "1"))), true),
    ("tagged", Append("order-1", Some(("customer", "2"))), false),
    ("tagged", Append("order-1", None), false),
    ("tagged", Move("reader"), false),
    ("prefix", Read("stream:order-1*"), true),
    ("prefix", Read("category:order"), true),
    ("prefix", Read("stream:o*"), false),
    ("prefix", Append("order-1", None), false),
    ("prefix", SetRetention("order-1"), true),
    ("prefix", Delete("order-9"), true),
    ("prefix", SetRetention("orders-1"), false),
    ("prefix", DeleteCheckpoint("order-reader"), true),
    ("prefix", DeleteCheckpoint("reader"), false),
    ("prefix", SetRule, false),
    ("root", Read("*"), true),
    ("root", Read("stream:$access"), true),
    ("root", SetRule, true),
    ("root", DefineIndex, true),
    ("root", ListIndexes, true),
    ("root", Stat, true),
    ("root", Delete("cart-9"), true),
];

fn event(tag: Option<(&str, &str)>) -> Value {
    let tags: Vec<_> = tag.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({"type": "T", "data": 1, "tags": tags})
}

fn to(stream: &str, tag: Option<(&str, &str)>) -> Value {
    let mut event = event(tag);
    event["stream"] = stream.into();
    json!({"events": [event]})
}

async fn prepare() -> Served {
    let served = served().await;
    for (user, grants) in USERS {
        served.user(user, grants).await;
    }
    for (index, query) in [("orders", "category:order"), ("everything", "*")] {
        let path = format!("/v1/indexes/{index}");
        served.admin(Method::PUT, &path, json!({"query": query})).await;
    }
    for stream in ["order-1", "order-9", "cart-9", "cart-1", "reader"] {
        served.admin(Method::POST, "/v1/events", to(stream, None)).await;
    }
    served
}

async fn over_http(served: &Served, user: &str, does: Ask) -> bool {
    let by = (user, PASSWORD);
    let head = served.store.head().await.unwrap().to_string();
    let get = |path: String| (Method::GET, path, Value::Null);
    let post = |body: Value| (Method::POST, "/v1/events".to_owned(), body);
    let encoded = |query: &str| query.replace('*', "%2A").replace(' ', "%20");
    let (method, path, body) = match does {
        Read(query) => get(format!("/v1/events?query={}", encoded(query))),
        ReadByBody(query) => (Method::POST, "/v1/events/read".to_owned(), json!({"query": query})),
        Subscribe(query) => get(format!("/v1/subscribe?query={}", encoded(query))),
        Describe(stream) => get(format!("/v1/streams/{stream}")),
        List(None) => get("/v1/streams".to_owned()),
        List(Some(category)) => get(format!("/v1/streams?category={category}")),
        Append(stream, tag) => post(to(stream, tag)),
        Expect(stream, other) => {
            let mut body = to(stream, None);
            body["expect"] = json!([{"stream": other, "expected": "any"}]);
            post(body)
        }
        NoneAfter(stream, query) => {
            let mut body = to(stream, None);
            body["none_after"] = json!([{"query": query, "cursor": head}]);
            post(body)
        }
        Move(name) => (Method::PUT, format!("/v1/checkpoints/{name}"), json!({"to": head})),
        SeeCheckpoint(name) => get(format!("/v1/checkpoints/{name}")),
        DeleteCheckpoint(name) => (Method::DELETE, format!("/v1/checkpoints/{name}"), Value::Null),
        SetRetention(stream) => {
            let path = format!("/v1/streams/{stream}/retention");
            (Method::PUT, path, json!({"max_count": 100}))
        }
        Delete(stream) => (Method::DELETE, format!("/v1/streams/{stream}"), Value::Null),
        SetRule => {
            let body = json!({"query": "category:x", "max_count": 7});
            (Method::PUT, "/v1/retention-rules/x".to_owned(), body)
        }
        DefineIndex => (Method::PUT, "/v1/indexes/x".to_owned(), json!({"query": "type:X"})),
        ListIndexes => get("/v1/indexes".to_owned()),
        Stat => get("/v1/stat".to_owned()),
    };
    let response = served.ask(by, method, &path, body).await;
    if response.status() != 403 {
        assert_ne!(response.status(), 401, "{does:?}");
        return true;
    }
    assert_eq!(answer(response).await["code"], "forbidden");
    false
}

fn is_allowed(code: Option<&str>) -> bool {
    assert_ne!(code, Some("unauthenticated"));
    code != Some("forbidden")
}

fn reads<T>(outcome: Result<T, ReadError>) -> bool {
    is_allowed(outcome.err().map(|error| error.code()))
}

fn writes<T>(outcome: Result<T, AppendError>) -> bool {
    is_allowed(outcome.err().map(|error| error.code()))
}

async fn over_grpc(remote: &Remote, head: Cursor, does: Ask) -> bool {
    let query = |text: &str| text.parse::<Query>().unwrap();
    let append = |stream: &str, tag: Option<(&str, &str)>| {
        let mut event = NewEvent::json("T", "1");
        event.tags.extend(tag.map(|(key, value)| (key.to_owned(), value.to_owned())));
        leftfold_api::Append::new().event(stream, event)
    };
    match does {
        Read(text) | ReadByBody(text) => {
            reads(remote.read(leftfold_api::Read::forward(query(text))).await)
        }
        Subscribe(text) => {
            let from = leftfold_api::Start::Outermost;
            reads(
                remote
                    .subscribe(leftfold_api::Subscribe {
                        from,
                        ..leftfold_api::Subscribe::to(query(text))
                    })
                    .await,
            )
        }
        Describe(stream) => reads(remote.stream(stream).await),
        List(category) => {
            let category = category.map(str::to_owned);
            reads(remote.streams(Streams { category, limit: 10, ..Streams::default() }).await)
        }
        Append(stream, tag) => writes(remote.append(append(stream, tag)).await),
        Expect(stream, other) => {
            writes(remote.append(append(stream, None).expect(other, Expected::Any)).await)
        }
        NoneAfter(stream, text) => {
            writes(remote.append(append(stream, None).none_after(query(text), head)).await)
        }
        Move(name) => {
            let to = CheckpointMove { name: name.to_owned(), expected: None, to: head };
            writes(remote.append(leftfold_api::Append::new().checkpoint(to)).await)
        }
        SeeCheckpoint(name) => reads(remote.checkpoint(name).await),
        DeleteCheckpoint(name) => writes(remote.delete_checkpoint(name).await),
        SetRetention(stream) => {
            let retention = Retention::default().max_count(100);
            writes(remote.set_retention(stream, retention).await)
        }
        Delete(stream) => writes(remote.delete_stream(stream, Expected::Any).await),
        SetRule => {
            let retention = Retention::default().max_count(7);
            let rule =
                RetentionRule { name: "x".to_owned(), query: query("category:x"), retention };
            writes(remote.set_retention_rule(rule).await)
        }
        DefineIndex => writes(
            remote.define_index(leftfold_api::IndexDefinition::new("x", query("type:X"))).await,
        ),
        ListIndexes => reads(remote.indexes().await),
        Stat => reads(remote.stat(false).await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_holds_over_http() {
    let served = prepare().await;
    for (user, does, allowed) in TABLE {
        assert_eq!(over_http(&served, user, *does).await, *allowed, "{user} {does:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_holds_over_grpc() {
    let served = prepare().await;
    let head = served.store.head().await.unwrap();
    for (user, does, allowed) in TABLE {
        let remote = served.remote(user, PASSWORD).await;
        assert_eq!(over_grpc(&remote, head.clone(), *does).await, *allowed, "{user} {does:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_shown_by_position_only_to_callers_who_may_read_it() {
    let served = prepare().await;
    let body = to("cart-1", Some(("customer", "1")));
    let written = served.admin(Method::POST, "/v1/events", body).await;
    let path = format!("/v1/events/{}", written["positions"]["first"]);
    for (user, status) in [("tagged", 200), ("all", 200), ("clerk", 404), ("guest", 404)] {
        let response = served.ask((user, PASSWORD), Method::GET, &path, Value::Null).await;
        assert_eq!(response.status(), status, "{user}");
    }
    for (user, status) in [("root", 200), ("all", 404)] {
        let response = served.ask((user, PASSWORD), Method::GET, "/v1/events/1", Value::Null);
        assert_eq!(response.await.status(), status, "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_tells_how_to_narrow_the_query() {
    let served = prepare().await;
    for (user, query) in
        [("clerk", "type:T or stream:cart-1"), ("all", "system:true"), ("tagged", "*")]
    {
        let (status, problem) = served.read((user, PASSWORD), query).await;
        assert_eq!(status, 403);
        let detail = problem["detail"].as_str().unwrap();
        let (_, narrowed) = detail.split_once("narrow the query: ").unwrap();
        let (status, answer) = served.read((user, PASSWORD), narrowed).await;
        assert_eq!(status, 200, "{narrowed}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_not_decoded_for_a_user_who_may_append_nothing() {
    let served = served().await;
    served.user("guest", &[("read", "*")]).await;
    served.user("clerk", &[("append", "category:order")]).await;
    // A message of gRPC whose only byte is not a field's.
    let message = [0, 0, 0, 0, 1, 0xff];
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for (user, status, code) in [("guest", 403, "forbidden"), ("clerk", 400, "body_invalid")] {
        for path in ["/v1/events", "/v1/streams/order-1/events"] {
            let request = served.request(Method::POST, path).basic_auth(user, Some(PASSWORD));
            let request = request.header("content-type", "application/json").body("{");
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), status, "{user} {path}");
            assert_eq!(answer(response).await["code"], code, "{user} {path}");
        }
        let call = http2.post(served.url("/leftfold.v1.Store/Append"));
        let call = call.basic_auth(user, Some(PASSWORD)).header("te", "trailers");
        let call = call.header("content-type", "application/grpc").body(message.to_vec());
        let answer = call.send().await.unwrap();
        let code = if status == 403 { "forbidden" } else { "request_invalid" };
        assert_eq!(answer.headers()["leftfold-code"], code, "{user}");
    }
}
