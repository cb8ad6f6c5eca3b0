//! The two sides and the network between them end at random moments.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_connect::connectors::ConnectorPhase;
use leftfold_store::Embedded;
use redis::Client;
use tokio::task::JoinHandle;

use super::cache::{Cache, ORDERS, agree, definition, delivered, replace};
use crate::proxy::{Condition, Proxy};
use crate::support::{Rng, World};

/// Retries that come soon.
const SOON: &str = "[retry]\nfirst = \"5ms\"\nlongest = \"20ms\"\nattempts = 100";
const ORDER_COUNT: u64 = 8;

/// Changes and removes orders until it is aborted.
fn change_orders(store: Arc<Embedded>, seed: u64) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut rng = Rng(seed);
        for n in 0.. {
            let stream = format!("order-{}", rng.below(ORDER_COUNT));
            let event_type = if rng.below(4) == 0 { "OrderRemoved" } else { "OrderChanged" };
            let event = NewEvent::json(event_type, format!("{{\"n\":{n}}}"));
            store.append(Append::new().event(stream, event)).await.unwrap();
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    })
}

/// Waits for a moment that is another one each time: the moment is what is tried.
async fn pause(rng: &mut Rng) {
    tokio::time::sleep(Duration::from_micros(5_000 + rng.below(60_000))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_agrees_after_the_connector_was_interrupted() {
    let (mut world, cache) = (World::new().await, Cache::start(&[]));
    world.add(&cache.definition(SOON, ORDERS)).await;
    let (writer, mut rng) = (change_orders(world.store.clone(), 1), Rng(21));
    for _ in 0..15 {
        pause(&mut rng).await;
        world.interrupt().await;
        world.start().await;
    }
    writer.abort();
    agree(&world, &cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_agrees_after_redis_was_killed() {
    let (world, mut cache) = (World::new().await, Cache::start(&["--appendonly", "yes"]));
    world.add(&cache.definition(SOON, ORDERS)).await;
    let (writer, mut rng) = (change_orders(world.store.clone(), 2), Rng(22));
    for _ in 0..4 {
        let before = world.connectors.status("cache").await.unwrap().gauges;
        world
            .until("cache", |it| {
                it.gauges.is_some() && it.gauges.map(|it| it.events) != before.map(|it| it.events)
            })
            .await;
        pause(&mut rng).await;
        cache.server.restart().unwrap();
    }
    writer.abort();
    agree(&world, &cache).await;
}

/// A cache that has lost all gets the events that come, and by a reset all others too.
#[tokio::test(flavor = "multi_thread")]
async fn the_cache_agrees_after_redis_has_lost_all() {
    let (world, mut cache) = (World::new().await, Cache::start(&[]));
    world.add(&cache.definition(SOON, ORDERS)).await;
    for order in 0..4 {
        world.append(&format!("order-{order}"), "OrderChanged", "{\"n\":0}").await;
    }
    agree(&world, &cache).await;
    cache.server.restart().unwrap();
    world.append("order-3", "OrderChanged", "{\"n\":1}").await;
    cache.wait_for("order:3", Some("{\"n\":1}")).await;
    assert_eq!(cache.get("order:0").await, None);
    world.connectors.reset("cache").await.unwrap();
    agree(&world, &cache).await;
}

/// No event is parked because Redis is away, however long that is.
#[tokio::test(flavor = "multi_thread")]
async fn events_wait_while_redis_is_away() {
    let (world, mut cache) = (World::new().await, Cache::start(&[]));
    let few = "[retry]\nfirst = \"1ms\"\nlongest = \"1ms\"\nattempts = 2";
    world.add(&cache.definition(few, ORDERS)).await;
    world.append("order-0", "OrderChanged", "{}").await;
    agree(&world, &cache).await;
    cache.server.kill().unwrap();
    for order in 0..4 {
        world.append(&format!("order-{order}"), "OrderChanged", "{\"n\":1}").await;
    }
    let status = world.until("cache", |it| it.phase == ConnectorPhase::Retrying).await;
    assert_eq!(status.code.as_deref(), Some("connector_unavailable"));
    assert!(status.failure.unwrap().contains("Redis can't be reached"));
    cache.server.restart().unwrap();
    agree(&world, &cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_agrees_after_connections_were_cut_and_slow() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    let proxy = Proxy::start(cache.server.port()).await;
    world.add(&definition(&format!("redis://{}", proxy.address), SOON, ORDERS)).await;
    let (writer, mut rng) = (change_orders(world.store.clone(), 3), Rng(23));
    for round in 0..12 {
        pause(&mut rng).await;
        let trouble = if round % 2 == 0 { Condition::NoAnswers } else { Condition::Cut };
        proxy.set(trouble);
        pause(&mut rng).await;
        if round % 4 == 0 {
            // What was sent has happened, and its answer is lost.
            proxy.set(Condition::Cut);
            tokio::task::yield_now().await;
        }
        proxy.set(Condition::Open);
    }
    writer.abort();
    agree(&world, &cache).await;
}

/// A server that lets no more clients in lets them in later.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_waits_while_redis_takes_no_clients() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    let mut only = cache.client().await;
    let mut limit = async |clients: &str| {
        let mut command = redis::cmd("CONFIG");
        command.arg(&["SET", "maxclients", clients]);
        command.query_async::<()>(&mut only).await.unwrap();
    };
    limit("1").await;
    world.add(&cache.definition("", ORDERS)).await;
    world.append("order-1", "OrderChanged", "{}").await;
    let status = world.until("cache", |it| it.phase == ConnectorPhase::Retrying).await;
    assert_eq!(status.code.as_deref(), Some("connector_unavailable"));
    limit("100").await;
    agree(&world, &cache).await;
}

/// A state of the server is no fault of an event: all wait, and go on by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn events_wait_while_redis_takes_no_writes() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    let once = "[retry]\nattempts = 1";
    world.add(&cache.definition(once, ORDERS)).await;
    for (refuse, accept, code) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
    ] {
        cache.run::<()>(refuse).await;
        world.append("order-1", "OrderChanged", &format!("{{\"at\":\"{code}\"}}")).await;
        let is_refused = |why: &String| why.contains(code);
        let status = world.until("cache", |it| it.failure.as_ref().is_some_and(is_refused)).await;
        assert_eq!(status.phase, ConnectorPhase::Retrying);
        cache.run::<()>(accept).await;
        agree(&world, &cache).await;
    }
}

/// A command whose answer is lost is not sent again: its event is parked.
#[tokio::test(flavor = "multi_thread")]
async fn at_most_once_sends_nothing_again() {
    let (mut world, cache) = (World::new().await, Cache::start(&[]));
    let proxy = Proxy::start(cache.server.port()).await;
    let client = Client::open(cache.server.url()).unwrap();
    let mut subscribed = client.get_async_pubsub().await.unwrap();
    subscribed.subscribe("orders").await.unwrap();
    let mut messages = subscribed.into_on_message();
    let mut received = async || messages.next().await.unwrap().get_payload::<String>().unwrap();
    let rules = "[[redis.rule]]\npublish = \"orders\"\nmessage = \"{key}\"\n";
    let before = "delivery = \"at-most-once\"";
    world.add(&definition(&format!("redis://{}", proxy.address), before, rules)).await;
    world.append("order-0", "OrderChanged", "{}").await;
    assert_eq!(received().await, "0");
    delivered(&world, 1).await;
    // The connection is cut, and then the connector interrupted, between a message and its answer.
    proxy.set(Condition::NoAnswers);
    world.append("order-1", "OrderChanged", "{}").await;
    assert_eq!(received().await, "1");
    proxy.set(Condition::Cut);
    world.parked("cache", 1).await;
    proxy.set(Condition::Open);
    world.append("order-2", "OrderChanged", "{}").await;
    assert_eq!(received().await, "2");
    delivered(&world, 2).await;
    proxy.set(Condition::NoAnswers);
    world.append("order-3", "OrderChanged", "{}").await;
    assert_eq!(received().await, "3");
    world.interrupt().await;
    proxy.set(Condition::Open);
    world.start().await;
    world.parked("cache", 2).await;
    // What can't be connected was not sent, and waits.
    world.connectors.pause("cache").await.unwrap();
    proxy.set(Condition::Cut);
    world.append("order-4", "OrderChanged", "{}").await;
    world.connectors.resume("cache").await.unwrap();
    world.until("cache", |it| it.phase == ConnectorPhase::Retrying).await;
    proxy.set(Condition::Open);
    assert_eq!(received().await, "4");
    world.append("order-5", "OrderChanged", "{}").await;
    assert_eq!(received().await, "5");
    world.parked("cache", 2).await;
    replace(&world, &cache.definition(before, rules)).await;
    assert_eq!(world.connectors.retry("cache", None).await.unwrap(), 2);
    let mut again = [received().await, received().await];
    again.sort();
    assert_eq!(again, ["1", "3"]);
}
