//! Rows of transactions that overlap.

use std::time::Duration;

use leftfold_postgres_server::Server;

use super::database::{Database, change, events, has_each_change_once};
use crate::support::{Rng, World};

/// Writes in transactions that have their id early or late, last long or short, and are partly rolled back.
pub(super) async fn write(client: tokio_postgres::Client, seed: u64, transactions: usize) {
    let mut rng = Rng(seed);
    for _ in 0..transactions {
        let mut sql = String::from("begin;");
        if rng.below(2) == 0 {
            sql.push_str("select pg_current_xact_id();");
        }
        sql.push_str(&format!("select pg_sleep({});", rng.below(20) as f64 / 1e3));
        // In one order, so that no two lock each other out.
        let first = rng.below(6);
        for aggregate in first..=first + rng.below(3) {
            sql.push_str(&change(&aggregate.to_string()));
        }
        if rng.below(8) == 0 {
            sql.push_str("select pg_sleep(0.1);");
        }
        sql.push_str(if rng.below(6) == 0 { "rollback;" } else { "commit;" });
        client.batch_execute(&sql).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_committed_row_of_sixteen_writers_comes_once_and_in_order() {
    let (world, database) = (World::new().await, Database::new().await);
    world.add(&database.definition("", "batch = 7")).await;
    let mut writers = tokio::task::JoinSet::new();
    for seed in 0..16 {
        writers.spawn(write(database.connect().await, seed, 40));
    }
    writers.join_all().await;
    database.until_empty().await;
    assert!(has_each_change_once(&world, &database).await > 16 * 40 / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_holds_rows_back_and_a_gauge_says_so() {
    let (world, database) = (World::new().await, Database::new().await);
    let (long, undone) = (database.connect().await, database.connect().await);
    long.batch_execute(&format!("begin; {}", change("long"))).await.unwrap();
    undone.batch_execute(&format!("begin; {} rollback", change("undone"))).await.unwrap();
    database.run(&(change("1") + &change("2"))).await;
    let definition = database.definition("", "");
    world.add(&definition).await;
    let held = |it: leftfold_connect::connectors::Gauges| {
        it.held == 2 && it.events == 0 && it.lag_micros.is_some_and(|lag| lag > 300_000)
    };
    world.until("out", |it| it.gauges.is_some_and(held)).await;
    let parsed = leftfold_connect::connectors::ConnectorDefinition::parse(&definition).unwrap();
    let check = world.connectors.test(&parsed).await;
    let rows = check.findings.last().unwrap();
    assert!(
        check.is_ok()
            && rows.detail.starts_with("2 wait, 2 for a transaction to end: that of process"),
        "{rows:?}"
    );

    long.batch_execute("commit").await.unwrap();
    database.until_empty().await;
    has_each_change_once(&world, &database).await;
    assert!(events(&world, "stream:order-undone").await.is_empty());
    let clear = |it: leftfold_connect::connectors::Gauges| it.held == 0 && it.lag_micros == Some(0);
    world.until("out", |it| it.gauges.is_some_and(clear)).await;
}

/// The second transaction of an aggregate has a lower id than the first, and between the two ids is one that is not ended:
/// by its id alone, the second would be relayed before the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_does_not_overtake_one_of_its_aggregate_with_a_higher_transaction() {
    // Transactions of other databases of a server hold rows back too.
    let server = Server::start().unwrap();
    let (world, database) = (World::new().await, Database::of(&server).await);
    let (early, between) = (database.connect().await, database.connect().await);
    for client in [&early, &between] {
        client.batch_execute("begin; select pg_current_xact_id()").await.unwrap();
    }
    database.run(&change("1")).await;
    early.batch_execute(&format!("{}; commit", change("1"))).await.unwrap();
    world.add(&database.definition("", "")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.held == 1)).await;
    assert!(events(&world, "stream:order-1").await.is_empty());
    between.batch_execute("commit").await.unwrap();
    database.until_empty().await;
    assert_eq!(has_each_change_once(&world, &database).await, 2);
}

/// A second relay waits for the first, and takes over when it ends.
#[tokio::test(flavor = "multi_thread")]
async fn one_relay_at_a_time_has_the_table() {
    let (first, second) = (World::new().await, World::new().await);
    let database = Database::new().await;
    first.add(&database.definition("", "")).await;
    first.until("out", |it| it.gauges.is_some()).await;
    second.add(&database.definition("", "")).await;
    let waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted
                 and database = (select oid from pg_database where datname = current_database())";
    while database.number(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    database.run(&change("1")).await;
    database.until_empty().await;
    assert_eq!(has_each_change_once(&first, &database).await, 1);
    first.connectors.pause("out").await.unwrap();
    database.run(&change("1")).await;
    database.until_empty().await;
    assert_eq!(events(&second, "stream:order-1").await.len(), 1);
}
