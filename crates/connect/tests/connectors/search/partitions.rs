//! A store of many partitions, whose positions can't be compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_connect::connectors::{
    ConnectorDefinition, ConnectorPhase, ConnectorStart, ConnectorStatus, Connectors, Secrets,
};
use leftfold_partitioned::Partitioned;
use leftfold_store::Options;

use super::engine::definition;
use super::fake::Fake;
use crate::support::PATIENCE;

async fn until(
    connectors: &Connectors<Partitioned>,
    is_wanted: impl Fn(&ConnectorStatus) -> bool,
) -> ConnectorStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = connectors.status("index").await.unwrap();
        if is_wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_of_one_stream_in_a_store_of_many_partitions() {
    let store = Arc::new(leftfold_partitioned::create(4, 1, &Options::default()).unwrap());
    let secrets = Secrets::of(Vec::<(String, String)>::new());
    let connectors = Connectors::new(store.clone(), secrets);
    let running = tokio::spawn({
        let connectors = connectors.clone();
        async move { connectors.run_until(std::future::pending()).await }
    });
    connectors.ready().await;
    for at in 0..40 {
        let event = NewEvent::json("OrderPlaced", format!(r#"{{"customer":"c","n":{at}}}"#));
        store.append(Append::new().event(format!("order-{}", at % 20), event)).await.unwrap();
    }
    let fake = Fake::start().await;
    let of = |id: &str| ConnectorDefinition::parse(&definition(&fake.url(), "orders", id)).unwrap();
    let mixed = of("id = \"{data.customer}\"");
    connectors.add(&mixed, ConnectorStart::Beginning).await.unwrap();
    let status = until(&connectors, |it| it.phase == ConnectorPhase::Failed).await;
    assert!(status.failure.unwrap().contains("4 partitions"));
    assert!(fake.received().is_empty());

    connectors.replace(&of("id = \"{key}\"")).await.unwrap();
    until(&connectors, |it| it.gauges.is_some_and(|gauges| gauges.events == 40)).await;
    assert_eq!(fake.ids().len(), 20);
    for at in 20..40 {
        assert_eq!(fake.document(&(at - 20).to_string())["n"], at);
    }
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
}
