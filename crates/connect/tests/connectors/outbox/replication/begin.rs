//! The begin: the rows from before the slot, and those that come meanwhile.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::outbox::crashes::Writers;
use crate::outbox::database::{Database, change, connect, events};
use crate::support::{PATIENCE, Rng, World};

/// Returns a database whose outbox has rows before there is a slot.
async fn filled(rows: usize) -> Database {
    let database = Database::replicated().await;
    let before: String = (0..rows).map(|at| change(&(at % 5).to_string())).collect();
    database.run(&before).await;
    database
}

/// Returns whether the rows from before the slot are in the store; `None` before the slot is noted.
async fn is_loaded(world: &World) -> Option<bool> {
    let noted = events(world, "stream:leftfold.ingest-connector-out").await;
    let place: serde_json::Value = serde_json::from_slice(&noted.last()?.data()).unwrap();
    (place["lsn"] != "0/0").then(|| place["is_loaded"].as_bool().unwrap())
}

async fn until_the_slot_is_noted(world: &World) {
    let noting = async {
        while is_loaded(world).await.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, noting).await.is_err() {
        panic!("no slot: {:?}", world.connectors.status("out").await);
    }
}

/// Deletes each second row of all transactions from now on until it is aborted.
async fn clean(url: &str) -> JoinHandle<()> {
    let cleaner = connect(url).await.unwrap();
    let next = "select pg_snapshot_xmax(pg_current_snapshot())::text";
    let next: String = cleaner.query_one(next, &[]).await.unwrap().get(0);
    tokio::spawn(async move {
        let sql =
            format!("delete from outbox where leftfold_xid >= '{next}' and leftfold_seq % 2 = 0");
        loop {
            cleaner.batch_execute(&sql).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
}

/// The run is dropped wherever it is, before the slot is noted and while the rows from before it are read. Each
/// second later row is deleted soon, so that only the log has it, and the table has those behind it.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_begin_loses_nothing_and_keeps_the_order() {
    let (mut world, database) = (World::new().await, filled(500).await);
    let writers = Writers::start(&database.url, 3, "");
    world.add(&database.replicating("on_error = \"stop\"", "batch = 2\nafter = \"keep\"")).await;
    let mut rng = Rng(31);
    for _ in 0..6 {
        // The moment is what is tried; no time is waited for.
        tokio::time::sleep(Duration::from_micros(rng.below(30_000))).await;
        world.interrupt().await;
        world.start().await;
    }
    until_the_slot_is_noted(&world).await;
    let cleaner = clean(&database.url).await;
    let mut interrupted = 0;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_micros(rng.below(50_000))).await;
        world.interrupt().await;
        interrupted += usize::from(is_loaded(&world).await == Some(false));
        world.start().await;
    }
    assert!(interrupted > 2, "the load was interrupted {interrupted} times");
    writers.end().await;
    assert!(database.until_each_change_is_in(&world).await > 600);
    cleaner.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_deleted_while_they_are_read_come_in() {
    let (world, database) = (World::new().await, filled(400).await);
    world.add(&database.replicating("", "batch = 2\nafter = \"keep\"")).await;
    until_the_slot_is_noted(&world).await;
    database.run(&(change("1") + "delete from outbox;" + &change("1"))).await;
    assert_eq!(is_loaded(&world).await, Some(false));
    assert_eq!(database.until_each_change_is_in(&world).await, 402);
}

/// A run ends after its slot was made and before it has noted that.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_of_an_interrupted_run_is_made_anew() {
    let (mut world, database) = (World::new().await, filled(10).await);
    let open = database.connect().await;
    open.batch_execute(&format!("begin; {}", change("open"))).await.unwrap();
    world.add(&database.replicating("", "after = \"keep\"")).await;
    let slot = database.slot();
    let count = format!("select count(*) from pg_replication_slots where slot_name = '{slot}'");
    let until = async |sql: &str| {
        let waiting = async {
            while database.number(sql).await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    };
    // It waits for the open transaction.
    until(&count).await;
    world.interrupt().await;
    open.batch_execute("commit").await.unwrap();
    until(&format!("select 1 - count(*) from ({count} and active) made where count > 0")).await;
    if database.number(&count).await == 0 {
        let make = format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')");
        database.run(&make).await;
    }
    database.run(&change("open")).await;
    world.start().await;
    assert_eq!(database.until_each_change_is_in(&world).await, 12);
    database.run(&change("open")).await;
    assert_eq!(database.until_each_change_is_in(&world).await, 13);
}
