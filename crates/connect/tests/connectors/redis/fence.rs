//! Older events leave newer values alone.

use std::time::Duration;

use futures_util::StreamExt;
use redis::Client;

use super::cache::{Cache, ORDERS, agree, delivered};
use crate::support::World;

/// A rule by which two streams write the same keys.
const BY_CUSTOMER: &str = "
    [[redis.rule]]
    types = [\"OrderChanged\"]
    set = \"customer:{data.customer}\"
    [[redis.rule]]
    types = [\"OrderRemoved\"]
    delete = \"customer:{data.customer}\"
";

/// Parks an event of order 1 on the key of another type, then delivers one of order 2, then the first one again.
async fn deliver_late(newer: &str, left: Option<&str>) {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    world.add(&cache.definition("", BY_CUSTOMER)).await;
    cache.run::<()>("HSET customer:ann of another").await;
    world.append("order-1", "OrderChanged", r#"{"customer":"ann","n":1}"#).await;
    world.parked("cache", 1).await;
    cache.run::<()>("DEL customer:ann").await;
    world.append("order-2", newer, r#"{"customer":"ann","n":2}"#).await;
    delivered(&world, 1).await;
    assert_eq!(cache.get("customer:ann").await.as_deref(), left);
    assert_eq!(world.connectors.retry("cache", None).await.unwrap(), 1);
    delivered(&world, 2).await;
    assert_eq!(cache.get("customer:ann").await.as_deref(), left);
    // The next one is applied.
    world.append("order-1", "OrderChanged", r#"{"customer":"ann","n":3}"#).await;
    cache.wait_for("customer:ann", Some(r#"{"customer":"ann","n":3}"#)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_that_is_retried_does_not_overwrite_a_newer_value() {
    deliver_late("OrderChanged", Some(r#"{"customer":"ann","n":2}"#)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_that_is_retried_does_not_bring_a_deleted_key_back() {
    deliver_late("OrderRemoved", None).await;
}

/// Readers never see an old value again: of all events that are delivered once more, only the last one of a key writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_writes_no_old_value() {
    let (world, cache) = (World::new().await, Cache::start(&["--notify-keyspace-events", "K$g"]));
    for n in 0..20 {
        world.append("order-1", "OrderChanged", &format!("{{\"n\":{n}}}")).await;
        world.append("order-2", "OrderChanged", &format!("{{\"n\":{n}}}")).await;
    }
    world.append("order-2", "OrderRemoved", "{}").await;
    world.add(&cache.definition("", ORDERS)).await;
    delivered(&world, 41).await;
    let client = Client::open(cache.server.url()).unwrap();
    let mut subscribed = client.get_async_pubsub().await.unwrap();
    subscribed.psubscribe("__keyspace@0__:order:*").await.unwrap();
    world.connectors.reset("cache").await.unwrap();
    // The last one comes behind all that the reset brings.
    world.append("order-3", "OrderChanged", "{}").await;
    cache.wait_for("order:3", Some("{}")).await;
    delivered(&world, 42).await;
    agree(&world, &cache).await;
    cache.run::<()>("SET order:end 1").await;
    let mut messages = subscribed.into_on_message();
    let mut written = Vec::new();
    loop {
        let message = messages.next().await.unwrap();
        let key = message.get_channel_name().rsplit(':').next().unwrap().to_owned();
        if key == "end" {
            break;
        }
        written.push((key, message.get_payload::<String>().unwrap()));
    }
    written.sort();
    let set = |key: &str| (key.to_owned(), "set".to_owned());
    assert_eq!(written, [set("1"), set("3")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_lives_as_long_as_its_value_and_longer() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    let rules = "
        [[redis.rule]]
        set = \"short:{key}\"
        expire = \"1s\"
    ";
    world.add(&cache.definition("", &format!("{ORDERS}{rules}"))).await;
    world.append("order-1", "OrderChanged", "{}").await;
    delivered(&world, 1).await;
    let week = Duration::from_secs(7 * 24 * 60 * 60).as_millis() as i64;
    let is_week = |left: i64| (week - 60_000..=week).contains(&left);
    assert_eq!(cache.run::<i64>("PTTL {order:1}:leftfold").await, -1);
    assert!(is_week(cache.run("PTTL {short:1}:leftfold").await));
    world.append("order-1", "OrderRemoved", "{}").await;
    delivered(&world, 2).await;
    assert!(is_week(cache.run("PTTL {order:1}:leftfold").await));
}

/// The key beside a key is of an application: it is not taken for a fence, and stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_place_of_a_fence_is_left_alone() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    cache.run::<()>("SET {order:1}:leftfold mine").await;
    world.add(&cache.definition("", ORDERS)).await;
    world.append("order-1", "OrderChanged", "{}").await;
    let parked = world.parked("cache", 1).await;
    assert!(parked[0].reason.contains("no fence of Leftfold"), "{:?}", parked[0]);
    assert_eq!(cache.get("{order:1}:leftfold").await.as_deref(), Some("mine"));
    assert_eq!(cache.get("order:1").await, None);
}
