//! What is committed comes in, and nothing else.

use std::time::Duration;

use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase};

use crate::outbox::database::{Database, change, events};
use crate::outbox::order::write;
use crate::support::{PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn each_committed_row_of_sixteen_writers_comes_once_and_in_order() {
    let (world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("", "batch = 7")).await;
    let mut writers = tokio::task::JoinSet::new();
    for seed in 0..16 {
        writers.spawn(write(database.connect().await, seed, 25));
    }
    writers.join_all().await;
    assert!(database.until_each_change_is_in(&world).await > 16 * 25 / 2);
    database.until_empty().await;
}

/// A transaction that began first and commits last is the last one, whatever its numbers.
#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_the_order_of_their_commits() {
    let (world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("", "after = \"keep\"\nstream = \"all\"")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros == Some(0))).await;
    let long = database.connect().await;
    long.batch_execute(&format!("begin; {}", change("early"))).await.unwrap();
    database.run(&change("late")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.events == 1)).await;
    long.batch_execute(&format!("{}; commit", change("early"))).await.unwrap();
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.events == 3)).await;
    let counts: Vec<_> =
        events(&world, "stream:all").await.iter().map(|event| event.data()).collect();
    assert_eq!(counts, [r#"{"n": 1}"#, r#"{"n": 1}"#, r#"{"n": 2}"#].map(bytes::Bytes::from));
    assert_eq!(database.number("select count(*) from outbox").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_its_own_transaction_deletes_comes_in() {
    let (world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("", "after = \"keep\"")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros.is_some())).await;
    for _ in 0..20 {
        let changes = change("1") + &change("2");
        database.run(&format!("begin; {changes} delete from outbox; commit")).await;
    }
    assert_eq!(database.until_each_change_is_in(&world).await, 40);
    assert_eq!(database.number("select count(*) from outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_rolled_back_brings_nothing() {
    let (world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("", "after = \"keep\"")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros.is_some())).await;
    database.run(&format!("begin; {} rollback", change("undone"))).await;
    let (one, two) = (change("1"), change("2"));
    database.run(&format!("begin; {one} savepoint s; {two} rollback to s; {one} commit")).await;
    assert_eq!(database.until_each_change_is_in(&world).await, 2);
    assert!(events(&world, "stream:order-undone").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_from_before_the_slot_come_in_first() {
    let (world, database) = (World::new().await, Database::replicated().await);
    let before: String = (0..250).map(|at| change(&(at % 7).to_string())).collect();
    database.run(&before).await;
    let open = database.connect().await;
    open.batch_execute(&format!("begin; {}", change("open"))).await.unwrap();
    world.add(&database.replicating("", "batch = 40\nafter = \"keep\"")).await;
    // The slot waits for the open transaction.
    let waits = format!(
        "select count(*) from pg_replication_slots where slot_name = '{}' and confirmed_flush_lsn is null",
        database.slot()
    );
    let waiting = async {
        while database.number(&waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    database.run(&change("1")).await;
    open.batch_execute("commit").await.unwrap();
    database.run(&change("open")).await;
    assert_eq!(database.until_each_change_is_in(&world).await, 253);
    database.run(&change("1")).await;
    assert_eq!(database.until_each_change_is_in(&world).await, 254);
}

/// The rows of a connector that polled are taken over by one that replicates, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn the_mode_can_be_changed() {
    let (world, database) = (World::new().await, Database::replicated().await);
    let writing = tokio::spawn(write(database.connect().await, 1, 60));
    let modes = [database.definition("", ""), database.replicating("", "")];
    world.add(&modes[0]).await;
    for mode in [&modes[1], &modes[0], &modes[1]] {
        world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.events > 3)).await;
        world.connectors.replace(&ConnectorDefinition::parse(mode).unwrap()).await.unwrap();
    }
    writing.await.unwrap();
    assert!(database.until_each_change_is_in(&world).await > 30);
    database.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_fifty_thousand_rows_comes_in_parts() {
    let (mut world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("", "after = \"keep\"\nbatch = 5000")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros.is_some())).await;
    let big = "begin;
        insert into outbox (id, aggregatetype, aggregateid, type, payload)
        select gen_random_uuid(), 'big', (n % 3)::text, 'Counted', jsonb_build_object('n', n) from generate_series(1, 50000) n;
        delete from outbox; commit";
    database.run(big).await;
    database.run(&change("1")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.events >= 5000)).await;
    world.interrupt().await;
    world.start().await;
    assert_eq!(database.until_each_change_is_in(&world).await, 1);
    let found = events(&world, "category:big").await;
    assert_eq!(found.len(), 50_000);
    for aggregate in 0..3 {
        let of_aggregate =
            found.iter().filter(|event| event.stream() == format!("big-{aggregate}"));
        let numbers: Vec<i64> = of_aggregate
            .map(|event| {
                serde_json::from_slice::<serde_json::Value>(&event.data()).unwrap()["n"]
                    .as_i64()
                    .unwrap()
            })
            .collect();
        assert!(numbers.is_sorted(), "{aggregate}");
    }
}

/// Another table is written while the outbox is idle: the server need not keep its log for the slot.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_slot_does_not_hold_the_log_back() {
    let (world, database) = (World::new().await, Database::replicated().await);
    world.add(&database.replicating("", "")).await;
    database.run(&change("1")).await;
    database.until_empty().await;
    database
        .run("create table busy as select n, repeat('x', 100) from generate_series(1, 20000) n")
        .await;
    let written: String = database
        .client
        .query_one("select pg_current_wal_flush_lsn()::text", &[])
        .await
        .unwrap()
        .get(0);
    let slot = database.slot();
    for position in ["confirmed_flush_lsn", "restart_lsn"] {
        let is_behind = format!(
            "select count(*) from pg_replication_slots where slot_name = '{slot}' and {position} >= '{written}'"
        );
        let following = async {
            while database.number(&is_behind).await == 0 {
                // The server moves restart_lsn when it logs which transactions run, as a checkpoint does.
                database.run("checkpoint").await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, following).await.expect(position);
    }
    database.run(&change("1")).await;
    assert_eq!(database.until_each_change_is_in(&world).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_may_be_emptied_and_changed() {
    let (world, database) = (World::new().await, Database::replicated().await);
    database
        .run("create table other (id int); alter publication outbox_leftfold add table other")
        .await;
    world.add(&database.replicating("", "after = \"mark\"")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros.is_some())).await;
    database.run(&format!("begin; {} truncate outbox; commit", change("1"))).await;
    database
        .run("alter publication outbox_leftfold set (publish = 'insert, update, delete, truncate')")
        .await;
    database
        .run(&format!(
            "begin; insert into other values (1); truncate other; {}; commit",
            change("1")
        ))
        .await;
    database.run("alter table outbox add more text default 'more'; alter table outbox rename more to another").await;
    database.run("alter table outbox alter aggregateid type varchar(20)").await;
    database
        .run(&format!(
            "begin; {} update outbox set another = 'x'; truncate outbox; commit",
            change("1")
        ))
        .await;
    database.run(&change("1")).await;
    assert_eq!(database.until_each_change_is_in(&world).await, 4);
    database.until_empty().await;
    assert_eq!(
        database.number("select count(*) from outbox where relayed_at is not null").await,
        1
    );

    database.run("alter table outbox drop expected_version").await;
    database
        .run(
            "insert into outbox (id, aggregatetype, aggregateid, type, payload)
                  values (gen_random_uuid(), 'order', '1', 'Counted', '{}')",
        )
        .await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.unwrap().contains("no column expected_version"));
}
