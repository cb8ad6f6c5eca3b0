//! What events do in Redis, and what happens with those that can't.

use futures_util::StreamExt;
use leftfold_api::{EventStore, Query, Read};
use leftfold_connect::connectors::ConnectorDefinition;
use redis::Client;

use super::cache::{Cache, ORDERS, definition, delivered, failed};
use crate::support::{KEY, World};

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_set_and_deleted_and_messages_are_published() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    let client = Client::open(cache.server.url()).unwrap();
    let mut subscribed = client.get_async_pubsub().await.unwrap();
    subscribed.subscribe("orders").await.unwrap();
    let more = "
        [[redis.rule]]
        set = \"last:{category}\"
        value = \"{key} {data.total?}\"
        expire = \"1h\"
        [[redis.rule]]
        publish = \"orders\"
        message = \"{type} of {key}\"
    ";
    world.add(&cache.definition("", &format!("{ORDERS}{more}"))).await;
    world.append("order-7", "OrderChanged", r#"{"total":"9.90 ä"}"#).await;
    cache.wait_for("order:7", Some(r#"{"total":"9.90 ä"}"#)).await;
    cache.wait_for("last:order", Some("7 9.90 ä")).await;
    let left: i64 = cache.run("PTTL last:order").await;
    assert!((3_590_000..=3_600_000).contains(&left), "{left}");
    assert_eq!(cache.run::<i64>("PTTL order:7").await, -1);
    world.append("order-7", "OrderRemoved", "{}").await;
    cache.wait_for("order:7", None).await;
    let mut messages = subscribed.into_on_message();
    for expected in ["OrderChanged of 7", "OrderRemoved of 7"] {
        let message = messages.next().await.unwrap();
        assert_eq!(message.get_payload::<String>().unwrap(), expected);
    }
    // An event of another type is delivered by doing nothing.
    world.append("order-7", "OrderSeen", "{}").await;
    delivered(&world, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_good_is_parked_listed_retried_and_skipped() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    cache.run::<()>("HSET order:1 of another").await;
    world.add(&cache.definition("", ORDERS)).await;
    world.append("order-1", "OrderChanged", r#"{"n":0}"#).await;
    world.append("order-1", "OrderChanged", r#"{"n":1}"#).await;
    world.append("order-2", "OrderChanged", r#"{"n":0}"#).await;
    cache.wait_for("order:2", Some(r#"{"n":0}"#)).await;
    let parked = world.parked("cache", 1).await;
    assert_eq!((parked[0].stream.as_str(), parked[0].version), ("order-1", 0));
    let reason = &parked[0].reason;
    assert!(reason.contains("WRONGTYPE") && reason.contains("hash"), "{reason}");
    // What belongs to someone else is as it was.
    assert_eq!(cache.run::<String>("HGET order:1 of").await, "another");
    cache.run::<()>("DEL order:1").await;
    assert_eq!(world.connectors.retry("cache", Some("order-1")).await.unwrap(), 1);
    cache.wait_for("order:1", Some(r#"{"n":1}"#)).await;

    cache.run::<()>("DEL order:2").await;
    cache.run::<()>("HSET order:2 of another").await;
    world.append("order-2", "OrderRemoved", "{}").await;
    let parked = world.parked("cache", 1).await;
    world.connectors.skip("cache", "order-2", parked[0].version).await.unwrap();
    cache.run::<()>("DEL order:2").await;
    world.append("order-2", "OrderChanged", r#"{"n":2}"#).await;
    cache.wait_for("order:2", Some(r#"{"n":2}"#)).await;
}

/// Neither a field that an event has not, nor an empty key, nor data that is no text is sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_makes_no_command_is_parked() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    let rules = "
        [[redis.rule]]
        set = \"{data.key}\"
    ";
    world.add(&cache.definition("", rules)).await;
    for (stream, data, part) in
        [("order-1", "{}", "no data.key"), ("order-2", r#"{"key":""}"#, "key would be empty")]
    {
        world.append(stream, "OrderChanged", data).await;
        let parked = world.parked("cache", 1).await;
        assert!(parked[0].reason.contains(part), "{:?}", parked[0]);
        world.connectors.skip("cache", stream, 0).await.unwrap();
        world.parked("cache", 0).await;
    }
    assert_eq!(cache.run::<i64>("DBSIZE").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_stops_the_connector_and_is_never_shown() {
    let (world, cache) = (World::new().await, Cache::start(&["--requirepass", "another"]));
    let rules = format!("password = \"env:KEY\"\n{ORDERS}");
    world.append("order-1", "OrderChanged", "{}").await;
    world.add(&cache.definition("", &rules)).await;
    let (code, failure) = failed(&world).await;
    assert_eq!(code, "connector_unusable");
    assert!(failure.contains("password") && !failure.contains(KEY), "{failure}");
    assert!(world.connectors.parked("cache", true).await.unwrap().is_empty());

    // Without one it is the first command that is refused.
    world.connectors.remove("cache").await.unwrap();
    world.add(&cache.definition("", ORDERS)).await;
    let (code, failure) = failed(&world).await;
    assert_eq!(code, "connector_unusable");
    assert!(failure.contains("NOAUTH") && failure.contains("password"), "{failure}");
    assert!(world.connectors.parked("cache", false).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_in_no_status_and_in_no_fact() {
    let (world, cache) = (World::new().await, Cache::start(&["--requirepass", KEY]));
    let rules = format!("password = \"env:KEY\"\n{ORDERS}");
    world.append("order-1", "OrderChanged", "{}").await;
    let text = cache.definition("", &rules);
    world.add(&text).await;
    let status = delivered(&world, 1).await;
    assert!(!format!("{status:?}").contains(KEY));
    let found = world.connectors.test(&ConnectorDefinition::parse(&text).unwrap()).await;
    assert!(found.is_ok() && !format!("{found:?}").contains(KEY), "{found:?}");
    let all = world.store.read(Read::forward(Query::System)).await.unwrap();
    for event in &all.events {
        assert!(!String::from_utf8_lossy(&event.data()).contains(KEY));
    }
}

#[test]
fn a_wrong_definition_is_refused_with_a_sentence() {
    let valid = definition("redis://127.0.0.1:6379/2", "", ORDERS);
    ConnectorDefinition::parse(&valid).unwrap();
    for (from, to, part) in [
        ("redis://", "http://", "expected redis://"),
        ("redis://", "redis://me:hunter2@", "would be stored"),
        ("6379/2", "6379/two", "expected redis://"),
        ("6379/2", "6379/2?timeout=1", "expected redis://"),
        ("[[redis.rule]]", "ca = \"x.pem\"\n[[redis.rule]]", "no TLS"),
        ("[[redis.rule]]", "username = \"me\"\n[[redis.rule]]", "a password is missing"),
        ("[[redis.rule]]", "password = \"hunter2\"\n[[redis.rule]]", "not the secret itself"),
        (ORDERS, "", "expected 1 to 100 tables [[redis.rule]]"),
        ("delete = \"order:{key}\"", "delete = \"{nothing}\"", "no field of an event"),
        ("delete = \"order:{key}\"", "", "one of set, delete and publish"),
        ("delete =", "publish = \"x\"\ndelete =", "one of set, delete and publish"),
        ("delete =", "value = \"x\"\ndelete =", "of a rule with set"),
        ("delete =", "message = \"x\"\ndelete =", "of a rule with publish"),
        ("set =", "expire = \"0s\"\nset =", "expire: expected"),
        ("types = [\"OrderChanged\"]", "types = []", "types: expected"),
        (
            "[redis]",
            "delivery = \"exactly-once\"\n[redis]",
            "delivery: for a connector of the kind",
        ),
    ] {
        let refused = ConnectorDefinition::parse(&valid.replacen(from, to, 1)).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains(part) && !refused.contains("hunter2"), "{to}: {refused}");
    }
}
