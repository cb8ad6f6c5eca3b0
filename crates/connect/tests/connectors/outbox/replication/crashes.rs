//! The two sides end at random moments.

use std::time::Duration;

use leftfold_connect::connectors::outbox_publication_sql;
use leftfold_postgres_server::Server;

use crate::outbox::crashes::Writers;
use crate::outbox::database::{Database, connect};
use crate::support::{Rng, World};

/// The run is dropped wherever it is: between the read, the append, the delete and the confirmation too. Rows are deleted by
/// their own transactions, so that only the log has them.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_connector_is_interrupted() {
    for (end, inside) in [("delete from outbox;", "batch = 2\nafter = \"keep\""), ("", "batch = 3")]
    {
        let (mut world, database) = (World::new().await, Database::replicated().await);
        world.add(&database.replicating("on_error = \"stop\"", inside)).await;
        world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros.is_some())).await;
        let writers = Writers::start(&database.url, 3, end);
        let mut rng = Rng(21);
        for _ in 0..12 {
            // The moment is what is tried; no time is waited for.
            tokio::time::sleep(Duration::from_micros(10_000 + rng.below(100_000))).await;
            world.interrupt().await;
            world.start().await;
        }
        writers.end().await;
        assert!(database.until_each_change_is_in(&world).await > 100);
        database.until_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_postgresql_is_killed() {
    let mut server = Server::start().unwrap();
    let (world, mut database) = (World::new().await, Database::of(&server).await);
    database.run(&outbox_publication_sql("outbox").unwrap()).await;
    world.add(&database.replicating("on_error = \"stop\"", "batch = 3\nafter = \"keep\"")).await;
    world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.lag_micros.is_some())).await;
    let writers = Writers::start(&database.url, 3, "delete from outbox;");
    let mut rng = Rng(22);
    for round in 1..=2 {
        world.until("out", |it| it.gauges.is_some_and(|gauges| gauges.events > 50)).await;
        // The moment is what is tried; no time is waited for.
        tokio::time::sleep(Duration::from_micros(rng.below(50_000))).await;
        match round % 2 {
            0 => server.stop().unwrap(),
            _ => server.kill().unwrap(),
        }
        server.restart().unwrap();
    }
    writers.end().await;
    database.client = connect(&database.url).await.unwrap();
    assert!(database.until_each_change_is_in(&world).await > 100);
}
