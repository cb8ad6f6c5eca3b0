//! The two sides end at random moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leftfold_postgres_server::Server;

use super::database::{Database, change, connect, has_each_change_once};
use crate::support::{Rng, World};

/// Writes until it is told to stop, also after the server was gone.
async fn write_on(url: String, seed: u64, end: &'static str, stop: Arc<AtomicBool>) {
    let mut rng = Rng(seed);
    while !stop.load(Ordering::Relaxed) {
        let Ok(client) = connect(&url).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            let changes: String = (0..=rng.below(4)).map(|_| change(&seed.to_string())).collect();
            let sql = format!("begin; {changes} select pg_sleep(0.005); {end} commit");
            if client.batch_execute(&sql).await.is_err() {
                break;
            }
        }
    }
}

pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    running: tokio::task::JoinSet<()>,
}

impl Writers {
    /// Starts writers, whose transactions end with a statement.
    pub(super) fn start(url: &str, count: u64, end: &'static str) -> Self {
        let (stop, mut running) = (Arc::<AtomicBool>::default(), tokio::task::JoinSet::new());
        for seed in 0..count {
            running.spawn(write_on(url.to_owned(), seed, end, stop.clone()));
        }
        Writers { stop, running }
    }

    pub(super) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.running.join_all().await;
    }
}

/// The run is dropped wherever it is: between the read, the append and the delete too.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_relay_is_interrupted() {
    let (mut world, database) = (World::new().await, Database::new().await);
    world.add(&database.definition("on_error = \"stop\"", "batch = 25")).await;
    let writers = Writers::start(&database.url, 3, "");
    let mut rng = Rng(11);
    for _ in 0..18 {
        // The moment is what is tried; no time is waited for.
        tokio::time::sleep(Duration::from_micros(10_000 + rng.below(60_000))).await;
        world.interrupt().await;
        world.start().await;
    }
    writers.end().await;
    database.until_empty().await;
    assert!(has_each_change_once(&world, &database).await > 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_postgresql_is_killed() {
    let mut server = Server::start().unwrap();
    let (world, mut database) = (World::new().await, Database::of(&server).await);
    world.add(&database.definition("on_error = \"stop\"", "batch = 25")).await;
    let writers = Writers::start(&database.url, 3, "");
    let mut rng = Rng(12);
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
    database.until_empty().await;
    assert!(has_each_change_once(&world, &database).await > 100);
}
