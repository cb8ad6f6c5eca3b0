//! Documents that a real engine refuses.

use reqwest::Method;
use serde_json::{Value, json};

use super::documents::has_delivered;
use super::engine::{engine, fresh};
use crate::support::World;

/// The old event is parked, and is delivered after the one that followed it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_conflict_parks_its_event_alone_and_a_late_event_changes_nothing() {
    let (world, engine, index) = (World::new().await, engine().await, fresh("conflict"));
    let mapping = |ignore: bool| json!({"properties": {"n": {"type": "integer", "ignore_malformed": ignore}}});
    engine.put(&index, json!({"mappings": mapping(false)})).await;
    world.append("order-1", "OrderChanged", r#"{"n":"seven"}"#).await;
    world.append("order-1", "OrderChanged", r#"{"n":8}"#).await;
    world.append("order-2", "OrderChanged", r#"{"n":"nine"}"#).await;
    world.append("order-3", "OrderChanged", r#"[3]"#).await;
    world.append("order-4", "OrderChanged", r#"{"n":4}"#).await;
    world.add(&engine.definition(&index, "")).await;
    let parked = world.parked("index", 3).await;
    let reason = |stream: &str| &parked.iter().find(|one| one.stream == stream).unwrap().reason;
    for stream in ["order-1", "order-2"] {
        assert!(
            reason(stream).contains("failed to parse field [n] of type [integer]"),
            "{parked:?}"
        );
    }
    assert!(reason("order-3").contains("no JSON object"), "{parked:?}");
    world.until("index", has_delivered(2)).await;
    let documents = engine.documents(&index).await;
    assert_eq!(documents.keys().collect::<Vec<_>>(), ["order-1", "order-4"]);

    engine.put(&format!("{index}/_mapping"), mapping(true)).await;
    assert_eq!(world.connectors.retry("index", Some("order-1")).await.unwrap(), 1);
    assert_eq!(world.connectors.retry("index", Some("order-2")).await.unwrap(), 1);
    engine.until(&index, "order-2", |found| found.source["n"] == "nine").await;
    world.parked("index", 1).await;
    assert_eq!(engine.document(&index, "order-1").await.unwrap(), documents["order-1"]);
    world.connectors.skip("index", "order-3", 0).await.unwrap();
    world.parked("index", 0).await;
}

/// The engine of the tests refuses requests of more than 2 MB.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_too_large_are_split_and_a_document_that_is_too_large_is_parked() {
    let (world, engine, index) = (World::new().await, engine().await, fresh("large"));
    let data = |bytes: usize| json!({ "text": "x".repeat(bytes) }).to_string();
    for at in 0..20 {
        world.append(&format!("order-{at}"), "OrderChanged", &data(400_000)).await;
    }
    world.append("order-large", "OrderChanged", &data(2_500_000)).await;
    world.add(&engine.definition(&index, "")).await;
    let parked = world.parked("index", 1).await;
    assert_eq!(parked[0].stream, "order-large");
    assert!(parked[0].reason.contains("413"), "{}", parked[0].reason);
    world.until("index", has_delivered(20)).await;
    assert_eq!(engine.documents(&index).await.len(), 20);
}

/// It is the operator who ends this, not the events.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_takes_no_writes_is_waited_for() {
    let (world, engine, index) = (World::new().await, engine().await, fresh("blocked"));
    engine.put(&index, json!({"settings": {"index.blocks.write": true}})).await;
    world.append("order-1", "OrderChanged", r#"{"n":1}"#).await;
    let retry = "[retry]\nfirst = \"50ms\"\nlongest = \"50ms\"\nattempts = 1000\n";
    let text = engine.definition(&index, "").replace("[search]", &format!("{retry}[search]"));
    world.add(&text).await;
    let held = world.held("index", 1).await;
    assert!(held[0].reason.contains("cluster_block_exception"), "{}", held[0].reason);
    engine.put(&format!("{index}/_settings"), json!({"index.blocks.write": false})).await;
    engine.until(&index, "order-1", |found| found.source["n"] == 1).await;

    // So is one that is closed.
    engine.ask(Method::POST, &format!("{index}/_close"), Value::Null).await;
    world.append("order-1", "OrderChanged", r#"{"n":2}"#).await;
    world.until("index", |it| it.gauges.is_some_and(|gauges| gauges.held == 1)).await;
    engine.ask(Method::POST, &format!("{index}/_open"), Value::Null).await;
    engine.until(&index, "order-1", |found| found.source["n"] == 2).await;
}
