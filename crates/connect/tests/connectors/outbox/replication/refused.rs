//! Rows that can't be events.

use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase};

use crate::outbox::database::{Database, change, events};
use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_no_event_stops_or_is_skipped() {
    let (world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("on_error = \"stop\"", "")).await;
    database.run(&change("1")).await;
    database.until_each_change_is_in(&world).await;
    let wrong = change("1").replace("'Counted'", "'$Counted'").replace("'order'", "'wrong'");
    database.run(&format!("begin; {} {wrong} {} commit", change("2"), change("2"))).await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    let failure = failed.failure.unwrap();
    assert!(
        failure.contains("begins with $") && failure.contains("on_error = \"skip\""),
        "{failure}"
    );
    let skipping = database.replicating("on_error = \"skip\"", "");
    world.connectors.replace(&ConnectorDefinition::parse(&skipping).unwrap()).await.unwrap();
    _ = world.connectors.resume("out").await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.skipped == 1)).await;
    database.until_empty().await;
    assert_eq!(events(&world, "stream:order-2").await.len(), 2);
    assert_eq!(
        database.number("select count(*) from outbox where leftfold_error is not null").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_payloads_come_in_or_are_skipped() {
    let (world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("on_error = \"skip\"", "after = \"keep\"")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros.is_some())).await;
    for bytes in [5 << 20, 17 << 20, 40 << 20, 6 << 20] {
        let long = format!(
            "insert into outbox (id, aggregatetype, aggregateid, type, payload) values
             (gen_random_uuid(), 'long', '1', 'Long', to_jsonb(repeat('x', {bytes})))"
        );
        database.run(&long).await;
    }
    database.run(&change("1")).await;
    database.until_each_change_is_in(&world).await;
    let sizes: Vec<_> =
        events(&world, "category:long").await.iter().map(|event| event.data().len()).collect();
    assert_eq!(sizes, [(5 << 20) + 2, (6 << 20) + 2]);
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.skipped == 2)).await;
}
