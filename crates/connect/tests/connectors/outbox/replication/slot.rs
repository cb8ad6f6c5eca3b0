//! A slot that is not the one that was read.

use std::time::Duration;

use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase, outbox_publication_sql};
use leftfold_postgres_server::Server;

use crate::outbox::database::{Database, change};
use crate::support::{PATIENCE, World};

/// Returns a connector that has read a row and is paused, and its database.
async fn paused() -> (World, Database) {
    let (world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("", "after = \"keep\"")).await;
    database.run(&change("1")).await;
    database.until_each_change_is_in(&world).await;
    world.connectors.pause("out").await.unwrap();
    until_free(&database).await;
    (world, database)
}

async fn until_free(database: &Database) {
    let active = format!(
        "select count(*) from pg_replication_slots where slot_name = '{}' and active",
        database.slot()
    );
    let ending = async {
        while database.number(&active).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ending).await.unwrap();
}

/// Checks that a connector stops, and with these words. Once it is reset, it begins anew.
async fn stops(world: &World, database: &Database, part: &str) {
    world.connectors.resume("out").await.unwrap();
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    let failure = failed.failure.unwrap();
    assert!(failure.contains(part) && failure.contains("reset the connector"), "{failure}");
    assert_eq!(failed.code.as_deref(), Some("connector_unusable"));
    let drop = format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{}'",
        database.slot()
    );
    database.run(&drop).await;
    world.connectors.reset("out").await.unwrap();
    _ = world.connectors.resume("out").await;
    database.run(&change("1")).await;
    database.until_each_change_is_in(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_dropped_stops_the_connector() {
    let (world, database) = paused().await;
    database.run(&format!("select pg_drop_replication_slot('{}')", database.slot())).await;
    database.run(&change("1")).await;
    stops(&world, &database, "is not there any more, so rows may be missing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_made_anew_stops_the_connector() {
    let (world, database) = paused().await;
    let slot = database.slot();
    database.run(&format!("select pg_drop_replication_slot('{slot}')")).await;
    database.run(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    stops(&world, &database, "was made anew, or another one has read it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_another_one_has_read_stops_the_connector() {
    let (world, database) = paused().await;
    let slot = database.slot();
    database.run(&change("1")).await;
    let read = format!("select pg_replication_slot_advance('{slot}', pg_current_wal_lsn())");
    database.run(&read).await;
    stops(&world, &database, "was made anew, or another one has read it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_of_the_slot_stops_the_connector() {
    let (world, database) = paused().await;
    let text = database.replicating("", "after = \"keep\"");
    let other = text.replace("slot = \"", "slot = \"other_");
    world.connectors.replace(&ConnectorDefinition::parse(&other).unwrap()).await.unwrap();
    _ = world.connectors.resume("out").await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.unwrap().contains("and its definition says other_"));
    world.connectors.replace(&ConnectorDefinition::parse(&text).unwrap()).await.unwrap();
    _ = world.connectors.resume("out").await;
    database.run(&change("1")).await;
    assert_eq!(database.until_each_change_is_in(&world).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_log_was_removed_stops_the_connector() {
    let server = Server::start().unwrap();
    let (world, database) = (World::new().await, Database::of(&server).await);
    database.run(&outbox_publication_sql("outbox").unwrap()).await;
    database.run("alter system set max_slot_wal_keep_size = '1MB'").await;
    database.run("select pg_reload_conf()").await;
    world.add(&database.replicating("", "after = \"keep\"")).await;
    database.run(&change("1")).await;
    database.until_each_change_is_in(&world).await;
    world.connectors.pause("out").await.unwrap();
    until_free(&database).await;
    for _ in 0..3 {
        database.run(&change("1")).await;
        database.run("select pg_switch_wal()").await;
    }
    let losing = async {
        while database
            .number("select count(*) from pg_replication_slots where wal_status = 'lost'")
            .await
            == 0
        {
            database.run("checkpoint").await;
        }
    };
    tokio::time::timeout(PATIENCE, losing).await.unwrap();
    stops(&world, &database, "is lost: the server has removed log").await;
}

/// A second connector takes nothing over: of a slot that it has not made it knows nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_has_one_reader() {
    let (first, second) = (World::new().await, World::new().await);
    let database = Database::replicated().await;
    let text = database.replicating("", "after = \"keep\"");
    first.add(&text).await;
    database.run(&change("1")).await;
    database.until_each_change_is_in(&first).await;
    second.add(&text).await;
    let failed = second.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.unwrap().contains("this connector has not made it"));
    database.run(&change("1")).await;
    assert_eq!(database.until_each_change_is_in(&first).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_there_before_the_begin_is_refused() {
    let (world, database) = (World::new().await, Database::replicated().await);
    let slot = database.slot();
    database.run(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    database.run(&change("1")).await;
    world.add(&database.replicating("", "after = \"keep\"")).await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.as_ref().unwrap().contains("is there already"), "{failed:?}");
    assert_eq!(failed.code.as_deref(), Some("connector_unusable"));
    let is_kept = format!("select count(*) from pg_replication_slots where slot_name = '{slot}'");
    assert_eq!(database.number(&is_kept).await, 1);
    database.run(&format!("select pg_drop_replication_slot('{slot}')")).await;
    world.connectors.resume("out").await.unwrap();
    assert_eq!(database.until_each_change_is_in(&world).await, 1);
}
