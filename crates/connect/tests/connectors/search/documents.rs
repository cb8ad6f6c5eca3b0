//! Documents of a real engine.

use std::collections::BTreeMap;

use leftfold_api::{Append, EventStore, NewEvent, Query};
use leftfold_connect::connectors::ConnectorStatus;
use reqwest::Method;
use serde_json::{Value, json};

use super::engine::{Found, engine, fresh};
use crate::export::read_all;
use crate::support::World;

/// Returns whether a connector has delivered this number of events since its run began.
pub(crate) fn has_delivered(count: u64) -> impl Fn(&ConnectorStatus) -> bool {
    move |status| status.gauges.is_some_and(|gauges| gauges.events == count)
}

/// Appends this number of events to streams in turn.
pub(crate) async fn append_orders(world: &World, streams: usize, events: usize) {
    for begin in (0..events).step_by(500) {
        let mut append = Append::new();
        for at in begin..events.min(begin + 500) {
            let event = NewEvent::json("OrderChanged", json!({ "n": at }).to_string());
            append = append.event(format!("order-{}", at % streams), event);
        }
        world.store.append(append).await.unwrap();
    }
}

/// Returns the documents that there must be: the data of the last event of each stream.
pub(crate) async fn expected(world: &World) -> BTreeMap<String, Found> {
    let mut expected = BTreeMap::new();
    for event in read_all(&world.store, Query::category("order")).await {
        let source = serde_json::from_slice(&event.data()).unwrap();
        let found = Found { source, version: event.position() };
        expected.insert(event.stream().to_owned(), found);
    }
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_those_of_the_last_event_of_each_stream() {
    let (world, engine, index) = (World::new().await, engine().await, fresh("latest"));
    append_orders(&world, 50, 1_000).await;
    world.add(&engine.definition(&index, "")).await;
    world.until("index", has_delivered(1_000)).await;
    let documents = engine.documents(&index).await;
    assert_eq!(documents, expected(&world).await);
    // All events once more change nothing.
    world.connectors.reset("index").await.unwrap();
    world.until("index", has_delivered(1_000)).await;
    assert_eq!(engine.documents(&index).await, documents);
    assert!(world.connectors.parked("index", true).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn index_id_document_and_routing_are_made_by_templates() {
    let (world, engine, index) = (World::new().await, engine().await, fresh("templates"));
    let more = "id = \"{key}\"\nrouting = \"{tag.tenant}\"\n\
                document = { kind = \"{type}\", total = \"{data.total}\", who = \"{data.who}\", note = \"{data.note?}\", version = \"{version}\" }";
    world.add(&engine.definition(&format!("{index}-{{tag.tenant}}"), more)).await;
    let data = r#"{"total":9.5,"who":{"name":"\"Ann\"\n"}}"#;
    let event = |tenant: &str| NewEvent::json("Placed", data.to_owned()).tag("tenant", tenant);
    world.store.append(Append::new().event("order-a/b", event("a"))).await.unwrap();
    world.store.append(Append::new().event("order-2", event("../_all"))).await.unwrap();
    let parked = world.parked("index", 1).await;
    assert!(parked[0].reason.contains("no name of an index"), "{}", parked[0].reason);
    let path = format!("{index}-a/_doc/a%2Fb?routing=a");
    world.until("index", has_delivered(1)).await;
    let (_, answer) = engine.ask(Method::GET, &path, Value::Null).await;
    assert_eq!(
        answer["_source"],
        json!({"kind": "Placed", "total": 9.5, "who": {"name": "\"Ann\"\n"}, "note": null, "version": 0})
    );
    assert_eq!(answer["_routing"], "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_leaves_a_tombstone_that_keeps_its_version() {
    let (world, engine, index) = (World::new().await, engine().await, fresh("tombstones"));
    world.add(&engine.definition(&index, "delete_types = [\"OrderRemoved\"]")).await;
    world.append("order-1", "OrderChanged", r#"{"n":1}"#).await;
    engine.until(&index, "order-1", |found| found.source["n"] == 1).await;
    world.append("order-1", "OrderRemoved", r#"{"n":2}"#).await;
    engine.until(&index, "order-1", |found| found.source["deleted"] == true).await;
    let found = engine.document(&index, "order-1").await.unwrap();
    assert!(found.source["deleted_at"].as_str().unwrap().starts_with("20"), "{found:?}");
    // The events before, once more, do not bring it back.
    world.connectors.reset("index").await.unwrap();
    world.until("index", has_delivered(2)).await;
    assert_eq!(engine.document(&index, "order-1").await, Some(found));
    world.append("order-1", "OrderChanged", r#"{"n":3}"#).await;
    engine.until(&index, "order-1", |found| found.source == json!({"n": 3})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_removed_if_the_definition_says_so() {
    let (world, engine, index) = (World::new().await, engine().await, fresh("removed"));
    let more = "delete_types = [\"OrderRemoved\"]\ndeletes = \"delete\"";
    world.add(&engine.definition(&index, more)).await;
    world.append("order-1", "OrderChanged", r#"{"n":1}"#).await;
    world.append("order-2", "OrderRemoved", "").await;
    engine.until(&index, "order-1", |found| found.source["n"] == 1).await;
    world.append("order-1", "OrderRemoved", "").await;
    world.until("index", has_delivered(3)).await;
    assert!(engine.documents(&index).await.is_empty());
    // As long as the engine remembers the version, an earlier event does not bring it back.
    world.connectors.reset("index").await.unwrap();
    world.until("index", has_delivered(3)).await;
    assert!(engine.documents(&index).await.is_empty());
}
