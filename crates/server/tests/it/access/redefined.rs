//! What is read is what was authorized, whatever happens to named indexes in between.

use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Coded, Conflict, Cursor, Delivery, EventStore, IndexDefinition, NewEvent,
    Query, Read, Subscribe, Subscription,
};
use leftfold_client::Client as Remote;
use leftfold_io::SystemClock;
use leftfold_io::fake::FakeDisk;
use leftfold_store::Embedded;
use serde_json::Value;

use crate::access::support::{PASSWORD, Served, serve_engine, store_on};
use crate::engine::HookedEngine;
use crate::support::Messages;

const ANN: (&str, &str) = ("ann", PASSWORD);

/// A server of one order and one cart, where Ann may read and append orders, and the index `mine`
/// lists the orders.
struct Scene {
    served: Served,
    engine: Arc<HookedEngine>,
    remote: Remote,
}

async fn define(store: &Embedded, query: &str) {
    let definition = IndexDefinition::new("mine", query.parse().unwrap());
    store.define_index(definition).await.unwrap();
}

async fn scene() -> Scene {
    let store = store_on(Arc::new(FakeDisk::new()));
    let engine = Arc::new(HookedEngine::new(store.clone()));
    let served = serve_engine(
        engine.clone(),
        store.clone(),
        Some("the admin's password"),
        Arc::new(SystemClock),
    )
    .await;
    served.user("ann", &[("read", "category:order"), ("append", "category:order")]).await;
    for stream in ["order-1", "cart-1"] {
        let append = Append::new().event(stream, NewEvent::json("T", "1"));
        store.append(append).await.unwrap();
    }
    define(&store, "category:order").await;
    let remote = served.remote(ANN.0, ANN.1).await;
    Scene { served, engine, remote }
}

impl Scene {
    /// Defines the index as this query after the next request is authorized, before it is done.
    fn redefine(&self, query: &'static str) {
        self.engine.before_next(move |store| async move {
            // It may not be there yet.
            _ = store.drop_index("mine").await;
            define(&store, query).await;
        });
    }
}

fn streams(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| event["stream"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_over_http_yields_nothing_of_an_index_that_was_redefined() {
    let scene = scene().await;
    let (status, page) = scene.served.read(ANN, "index:mine").await;
    assert_eq!((status, streams(&page)), (200, vec!["order-1"]));

    scene.redefine("*");
    let (status, problem) = scene.served.read(ANN, "index:mine").await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("index_changed")), "{problem}");
    assert_eq!(problem["can_retry"], true, "the next one is authorized by the new definition");

    define_again(&scene).await;
    scene.redefine("*");
    let (status, page) = scene.served.read(ANN, "index:mine type:T").await;
    assert_eq!((status, streams(&page)), (200, vec!["order-1"]));
}

async fn define_again(scene: &Scene) {
    scene.redefine("category:order");
    // The hook runs before whatever is asked next.
    scene.engine.read(Read::forward(Query::All)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_defined_after_the_decision_is_not_read() {
    let scene = scene().await;
    scene.engine.drop_index("mine").await.unwrap();
    scene.redefine("*");
    let (status, problem) = scene.served.read(ANN, "index:mine").await;
    assert_eq!((status, problem["code"].as_str()), (403, Some("forbidden")), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_subscriptions_over_grpc_yield_nothing_of_an_index_that_was_redefined() {
    let scene = scene().await;
    let query: Query = "index:mine".parse().unwrap();
    scene.redefine("*");
    let error = scene.remote.read(Read::forward(query.clone())).await.unwrap_err();
    assert_eq!(error.code(), "forbidden");

    define_again(&scene).await;
    scene.redefine("*");
    let mut subscription = scene.remote.subscribe(Subscribe::to(query)).await.unwrap();
    let denied = loop {
        match subscription.next().await {
            Ok(Delivery::Event(event, _)) => assert_eq!(event.stream(), "order-1"),
            Ok(Delivery::CaughtUp(_)) => panic!("it went on with another index"),
            Err(error) => break error,
        }
    };
    assert_eq!(denied.code(), "forbidden");

    define_again(&scene).await;
    scene.redefine("*");
    let query: Query = "index:mine type:T".parse().unwrap();
    let mut subscription = scene.remote.subscribe(Subscribe::to(query)).await.unwrap();
    assert!(matches!(subscription.next().await.unwrap(), Delivery::Event(event, _)
        if event.stream() == "order-1"));
    assert!(matches!(subscription.next().await.unwrap(), Delivery::CaughtUp(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_asks_only_for_what_was_authorized() {
    let scene = scene().await;
    let condition = |query: &str, cursor| {
        let append = Append::new().event("order-2", NewEvent::json("T", "1"));
        append.none_after(query.parse().unwrap(), cursor)
    };
    let order = scene.engine.head().await.unwrap();
    let cart = Append::new().event("cart-2", NewEvent::json("T", "1"));
    scene.engine.append(cart).await.unwrap();

    scene.redefine("category:cart");
    scene.remote.append(condition("index:mine", order)).await.unwrap();

    // A conflict names the condition as it was written.
    define_again(&scene).await;
    match scene.remote.append(condition("index:mine", Cursor::START)).await.unwrap_err() {
        AppendError::Conflict(Conflict::Query { query, stream, .. }) => {
            assert_eq!((query.as_str(), stream.as_str()), ("index:mine", "order-1"));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinals_of_an_index_are_for_limited_callers_too() {
    let scene = scene().await;
    let path = "/v1/events?query=index:mine&from=ordinal:0";
    let response = scene.served.ask(ANN, reqwest::Method::GET, path, Value::Null).await;
    let page = crate::access::support::answer(response).await;
    assert_eq!(streams(&page), ["order-1"]);
}

/// What a caller with limited grants is told does not depend on whether there is such an index.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_index_is_unknown_only_to_callers_who_may_read_all() {
    let scene = scene().await;
    scene.served.user("all", &[("read", "*")]).await;
    scene.served.user("root", &[("read", "*"), ("manage", "*")]).await;
    for (user, query, code) in [
        ("ann", "index:none", "forbidden"),
        ("ann", "not index:none", "forbidden"),
        ("ann", "index:none or category:order", "forbidden"),
        ("ann", "category:order index:none", "index_unknown"),
        ("all", "index:none", "index_unknown"),
        ("all", "index:none type:T", "index_unknown"),
        ("root", "index:none", "index_unknown"),
    ] {
        let (_, problem) = scene.served.read((user, PASSWORD), query).await;
        assert_eq!(problem["code"], code, "{user} {query}");
        let remote = scene.served.remote(user, PASSWORD).await;
        let read = Read::forward(query.parse().unwrap());
        assert_eq!(remote.read(read).await.unwrap_err().code(), code, "{user} {query}");
    }
}

/// What is asked of an index tells nothing of another one of its name, which lists one event more.
#[tokio::test(flavor = "multi_thread")]
async fn counts_and_definitions_of_a_redefined_index_are_not_told() {
    let scene = scene().await;
    for path in [
        "/v1/ordinal?query=index:mine&after=position:99",
        "/v1/indexes/mine",
        "/v1/events?query=index:mine&ordinals=true",
    ] {
        define_again(&scene).await;
        scene.redefine("category:order or category:cart");
        let response = scene.served.ask(ANN, reqwest::Method::GET, path, Value::Null).await;
        let problem = crate::access::support::answer(response).await;
        assert_eq!(problem["code"], "index_changed", "{path}: {problem}");
    }
    define_again(&scene).await;
    scene.redefine("category:order or category:cart");
    let append = Append::new().event("order-2", NewEvent::json("T", "1")).ordinals_in("mine");
    let appended = scene.remote.append(append).await.unwrap();
    assert_eq!(appended.ordinals, [None], "it would be 2, of two orders");
}

/// The second definition lists a part of the first: no event alone shows that it is another index.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_subscription_ends_when_its_index_is_redefined() {
    let scene = scene().await;
    let request =
        scene.served.request(reqwest::Method::GET, "/v1/subscribe?query=index:mine&ordinals=true");
    let mut messages = Messages::of(request.basic_auth(ANN.0, Some(ANN.1)).send().await.unwrap());
    let first = messages.next().await.unwrap();
    assert_eq!(first.data["stream"], "order-1");
    assert_eq!(messages.next().await.unwrap().kind.as_deref(), Some("caught_up"));

    let query: Query = "index:mine".parse().unwrap();
    let mut remote = scene.remote.subscribe(Subscribe::to(query)).await.unwrap();
    assert!(matches!(remote.next().await.unwrap(), Delivery::Event(..)));
    assert!(matches!(remote.next().await.unwrap(), Delivery::CaughtUp(_)));

    scene.engine.drop_index("mine").await.unwrap();
    let wide = "category:order or category:cart".parse().unwrap();
    scene.engine.define_index(IndexDefinition::new("mine", wide)).await.unwrap();
    let append = Append::new().event("order-1", NewEvent::json("T", "2"));
    scene.engine.append(append).await.unwrap();
    let last = messages.next().await.unwrap();
    assert_eq!(
        (last.kind.as_deref(), &last.data["code"]),
        (Some("problem"), &"index_changed".into())
    );
    assert_eq!(messages.next().await, None);
    // The client subscribes again, and is authorized by the new definition.
    assert_eq!(remote.next().await.unwrap_err().code(), "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_subscription_ends_too_when_its_index_is_redefined() {
    let scene = scene().await;
    let request = scene.served.request(reqwest::Method::GET, "/v1/subscribe?query=index:mine");
    let mut messages = Messages::of(request.basic_auth(ANN.0, Some(ANN.1)).send().await.unwrap());
    assert!(messages.next().await.is_some());
    assert_eq!(messages.next().await.unwrap().kind.as_deref(), Some("caught_up"));
    scene.engine.drop_index("mine").await.unwrap();
    let narrow = "stream:order-1".parse().unwrap();
    scene.engine.define_index(IndexDefinition::new("mine", narrow)).await.unwrap();
    assert_eq!(messages.next().await.unwrap().data["code"], "index_changed");
}
