//! Nothing is lost, whatever is killed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::documents::{append_orders, expected, has_delivered};
use super::engine::{engine_to_kill, fresh};
use crate::support::World;

const STREAMS: usize = 500;
const EVENTS: usize = 5_000;
/// The kills of the engine; the connector is interrupted twice as often.
const KILLS: usize = 2;

/// Returns a moment at which something is killed: each run has others.
fn moment() -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    Duration::from_micros(u64::from(nanos) / 1_000 % 150_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_documents_are_the_latest_through_kills_of_connector_and_engine() {
    let (mut world, engine, index) = (World::new().await, engine_to_kill().await, fresh("kills"));
    world.add(&engine.definition(&index, "")).await;
    let server = engine.server;
    for _ in 0..KILLS {
        append_orders(&world, STREAMS, EVENTS / KILLS).await;
        for _ in 0..2 {
            tokio::time::sleep(moment()).await;
            world.interrupt().await;
            world.start().await;
        }
        tokio::time::sleep(moment()).await;
        let restart = move || {
            server.kill().unwrap();
            server.restart().unwrap();
        };
        tokio::task::spawn_blocking(restart).await.unwrap();
    }
    engine.until_documents(&index, &expected(&world).await).await;
    world.parked("index", 0).await;
}

/// A node that hangs with open connections, as one that collects garbage for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_engine_is_waited_for() {
    let (world, engine, index) = (World::new().await, engine_to_kill().await, fresh("paused"));
    world.add(&engine.definition(&index, "timeout = \"400ms\"")).await;
    world.append("order-1", "OrderChanged", r#"{"n":1}"#).await;
    engine.until(&index, "order-1", |found| found.source["n"] == 1).await;
    engine.server.pause().unwrap();
    append_orders(&world, 10, 100).await;
    let held = world.until("index", |it| it.gauges.is_some_and(|gauges| gauges.held > 0)).await;
    engine.server.resume().unwrap();
    assert!(held.failure.is_none(), "{held:?}");
    world.until("index", has_delivered(101)).await;
    assert_eq!(engine.documents(&index).await, expected(&world).await);
}
