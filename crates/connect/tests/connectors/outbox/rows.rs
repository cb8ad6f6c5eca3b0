//! What becomes of rows.

use leftfold_api::{Append, EventStore, Expected, NewEvent};
use leftfold_connect::connectors::{ConnectorPhase, outbox_sql};
use uuid::Uuid;

use super::database::{Database, change, events, has_each_change_once};
use crate::support::World;

/// Returns the SQL that writes a row with a known id.
fn row(id: u128, aggregate: &str, more: (&str, &str)) -> String {
    let (id, (column, value)) = (Uuid::from_u128(id), more);
    format!(
        "insert into outbox (id, aggregatetype, aggregateid, type, payload{column})
         values ('{id}', 'order', '{aggregate}', 'Paid', '{{\"id\":{}}}'{value});",
        id.as_u128()
    )
}

const PLAIN: (&str, &str) = ("", "");

async fn ids_of(world: &World, stream: &str) -> Vec<u128> {
    let events = events(world, &format!("stream:{stream}")).await;
    events.iter().map(|event| event.id().as_u128()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_becomes_an_event_and_is_deleted() {
    let (world, database) = (World::new().await, Database::new().await);
    let time = (", event_time", ", '2026-03-01T12:00:00.25Z'");
    database.run(&row(7, "1", time)).await;
    world.add(&database.definition("", "stream = \"shop_{aggregatetype}-{aggregateid}\"")).await;
    database.until_empty().await;
    assert_eq!(database.number("select count(*) from outbox").await, 0);
    let events = events(&world, "category:shop_order").await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.stream(), event.event_type()), ("shop_order-1", "Paid"));
    assert_eq!((event.id().as_u128(), &event.data()[..]), (7, &b"{\"id\": 7}"[..]));
    assert_eq!(event.event_time().to_string(), "2026-03-01T12:00:00.25Z");
    let status = world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.events == 1)).await;
    assert_eq!((status.kind.as_str(), status.phase), ("outbox", ConnectorPhase::Running));
    assert_eq!(status.query, None);
    // A status that has nothing to wait for has no lag.
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros == Some(0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_marked_if_it_is_to_stay() {
    let (world, database) = (World::new().await, Database::new().await);
    database.run(&row(1, "1", PLAIN)).await;
    world.add(&database.definition("", "after = \"mark\"\nbatch = 1")).await;
    database.run(&row(2, "1", PLAIN)).await;
    database.until_empty().await;
    assert_eq!(database.number("select count(*) from outbox where relayed_at <= now()").await, 2);
    assert_eq!(ids_of(&world, "order-1").await, [1, 2]);
}

/// As after a crash between the append and the delete, at a time at which there were fewer rows.
#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_events_are_stored_in_part_are_stored_once() {
    let (world, database) = (World::new().await, Database::new().await);
    for id in 1..=9 {
        let expected = format!(", {}", id as i64 - 2);
        database
            .run(&row(id, "1", (", expected_version, event_time", &format!("{expected}, null"))))
            .await;
    }
    for id in 1..=4 {
        let event = NewEvent::json("Paid", format!("{{\"id\": {id}}}")).id(Uuid::from_u128(id));
        world.store.append(Append::new().event("order-1", event)).await.unwrap();
    }
    world.add(&database.definition("on_error = \"stop\"", "")).await;
    database.until_empty().await;
    assert_eq!(ids_of(&world, "order-1").await, (1..=9).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_version_is_that_of_the_last_event() {
    let (world, database) = (World::new().await, Database::new().await);
    let expected = |id, version: i64| row(id, "1", (", expected_version", &format!(", {version}")));
    database.run(&(expected(1, -1) + &row(2, "1", PLAIN) + &expected(3, 1))).await;
    world.add(&database.definition("on_error = \"stop\"", "")).await;
    database.until_empty().await;
    assert_eq!(ids_of(&world, "order-1").await, [1, 2, 3]);

    // The row behind has gone wrong; those before it are relayed.
    database.run(&(row(4, "2", PLAIN) + &expected(5, 7) + &row(6, "2", PLAIN))).await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    let failure = failed.failure.unwrap();
    let id = Uuid::from_u128(5).to_string();
    for part in [id.as_str(), "order-1", "its last version is 2", "resume the connector"] {
        assert!(failure.contains(part), "{failure}");
    }
    assert_eq!(
        (ids_of(&world, "order-2").await, failed.code.as_deref()),
        (vec![4], Some("connector_unusable"))
    );
    database.run("update outbox set expected_version = 2 where expected_version = 7").await;
    world.connectors.resume("out").await.unwrap();
    database.until_empty().await;
    assert_eq!(ids_of(&world, "order-1").await, [1, 2, 3, 5]);
    assert_eq!(ids_of(&world, "order-2").await, [4, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_is_parked_and_its_aggregate_alone_waits() {
    let (world, database) = (World::new().await, Database::new().await);
    let event = NewEvent::json("Placed", "{}");
    let placed = Append::new().event("order-1", event).expect("order-1", Expected::NoStream);
    world.store.append(placed).await.unwrap();
    let wrong = row(1, "1", (", expected_version", ", 5"));
    database.run(&(wrong + &row(2, "1", PLAIN) + &row(3, "2", PLAIN))).await;
    world.add(&database.definition("", "")).await;
    let parked = "select count(*) from outbox where leftfold_error like '%its last version is 0%'";
    world.until("out", |it| it.gauges.is_some_and(|it| it.events == 1 && it.held == 1)).await;
    database.run(&(row(4, "1", PLAIN) + &row(5, "2", PLAIN))).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.events == 2)).await;
    assert_eq!(ids_of(&world, "order-2").await, [3, 5]);
    assert_eq!((ids_of(&world, "order-1").await.len(), database.number(parked).await), (1, 1));

    database.run("update outbox set expected_version = 0, leftfold_error = null where leftfold_error is not null").await;
    database.until_empty().await;
    assert_eq!(ids_of(&world, "order-1").await[1..], [1, 2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_is_left_out_if_it_is_to_be_skipped() {
    let (world, database) = (World::new().await, Database::new().await);
    let own = row(2, "1", PLAIN).replace("'order'", "'leftfold.connector'");
    database.run(&(row(1, "1", (", expected_version", ", 5")) + &own + &row(3, "1", PLAIN))).await;
    world.add(&database.definition("on_error = \"skip\"", "")).await;
    database.until_empty().await;
    assert_eq!(ids_of(&world, "order-1").await, [3]);
    world.until("out", |it| it.gauges.is_some_and(|it| (it.events, it.skipped) == (1, 2))).await;
    let skipped =
        "select count(*) from outbox where leftfold_error is not null and relayed_at is not null";
    assert_eq!(database.number(skipped).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_of_another_relay_is_taken_over_with_its_rows() {
    let (world, database) = (World::new().await, Database::new().await);
    database
        .run(
            "create schema shop;
             create table shop.\"Events\" (id uuid primary key, aggregatetype varchar(255) not null,
                 aggregateid varchar(255) not null, type varchar(255) not null, payload text);
             insert into shop.\"Events\"
             select gen_random_uuid(), 'order', 'x', 'Counted', jsonb_build_object('n', n)::text
             from generate_series(1, 1200) n;
             insert into aggregates values ('x', 1200);",
        )
        .await;
    let sql = outbox_sql("shop.Events").unwrap();
    database.run(&sql).await;
    database.run(&sql).await;
    world.add(&database.definition("", "table = \"shop.Events\"")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.events == 1200)).await;
    assert_eq!(has_each_change_once(&world, &database).await, 1200);
    assert_eq!(database.number("select count(*) from shop.\"Events\"").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_payloads_are_relayed_in_batches_of_few_bytes() {
    let (world, database) = (World::new().await, Database::new().await);
    let long = |bytes: usize, aggregate: &str| {
        format!(
            "insert into outbox (id, aggregatetype, aggregateid, type, payload) values
             (gen_random_uuid(), 'long', '{aggregate}', 'Long', to_jsonb(repeat('x', {bytes})));"
        )
    };
    database
        .run(&(long(5 << 20, "1") + &long(5 << 20, "1") + &long(17 << 20, "2") + &change("1")))
        .await;
    world.add(&database.definition("on_error = \"skip\"", "")).await;
    database.until_empty().await;
    let sizes: Vec<_> =
        events(&world, "category:long").await.iter().map(|event| event.data().len()).collect();
    assert_eq!(sizes, [(5 << 20) + 2; 2]);
    assert_eq!(has_each_change_once(&world, &database).await, 1);
    let skipped = "select count(*) from outbox where leftfold_error like '%bytes, more than%'";
    assert_eq!(database.number(skipped).await, 1);
}
