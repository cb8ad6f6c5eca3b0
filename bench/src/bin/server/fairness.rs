//! The p99 of clients that ask for little, without and with others that ask for much: `cargo xtask bench
//! server fairness`.

use std::time::Instant;

use leftfold::client::Client;
use leftfold::{Append, Cursor, EventStore, Expected, NewEvent, Query, Read};
use tokio::task::JoinSet;

use crate::Bench;

/// Clients that append one event at a time and read one stream at a time.
const HEALTHY: usize = 4;
/// Clients that append under a broad condition, and as many that read broadly.
const HOSTILE: usize = 8;
/// Matches nothing, but only a look at every event tells: no index lists event times.
const BROAD: &str = "type:Measured time:1999-01-01..1999-01-02";

/// Microseconds of each operation.
#[derive(Default)]
struct Times {
    appends: Vec<f64>,
    reads: Vec<f64>,
}

/// Prints the p50 and p99 of appends and of reads, without and with the hostile clients.
pub(crate) async fn fairness(bench: &Bench<'_>) -> anyhow::Result<()> {
    for (name, hostile) in [("alone", 0), ("beside hostile clients", HOSTILE)] {
        bench.settle();
        let mut hostiles = JoinSet::new();
        for n in 0..hostile {
            hostiles.spawn(condition_broadly(bench.served.client().await?, n));
            hostiles.spawn(read_broadly(bench.served.client().await?));
        }
        let mut tasks = JoinSet::new();
        for n in 0..HEALTHY {
            let (client, each) = (bench.served.client().await?, bench.size.reads);
            tasks.spawn(ask_for_little(client, format!("healthy-{hostile}-{n}"), each));
        }
        let mut all = Times::default();
        while let Some(task) = tasks.join_next().await {
            let times = task??;
            all.appends.extend(times.appends);
            all.reads.extend(times.reads);
        }
        // A client that failed would make the others look good.
        anyhow::ensure!(hostiles.try_join_next().is_none(), "a hostile client gave up");
        hostiles.shutdown().await;
        for (what, mut times) in [("append", all.appends), ("read of a stream", all.reads)] {
            times.sort_by(f64::total_cmp);
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
            let (p50, p99, greatest) = (at(0.5), at(0.99), at(1.0));
            println!("{what}, {name}: p50 {p50:.0} us, p99 {p99:.0} us, max {greatest:.0} us");
        }
    }
    Ok(())
}

async fn ask_for_little(client: Client, stream: String, each: u64) -> anyhow::Result<Times> {
    let (mut times, mut expected) = (Times::default(), Expected::NoStream);
    for _ in 0..each {
        let started = Instant::now();
        let event = NewEvent::new("Healthy", "x");
        let append = Append::new().event(&stream, event).expect(&stream, expected);
        expected = Expected::Exactly(client.append(append).await?.streams[0].last);
        times.appends.push(started.elapsed().as_secs_f64() * 1e6);
        let started = Instant::now();
        client.read(Read::backward(Query::stream(&stream)).limit(10)).await?;
        times.reads.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// Appends under a condition that has to look at every event, again and again.
async fn condition_broadly(client: Client, n: usize) -> anyhow::Result<()> {
    let query: Query = BROAD.parse()?;
    loop {
        let append = Append::new().event(format!("hostile-{n}"), NewEvent::new("Hostile", "x"));
        // Refused if it is too broad, which takes as long.
        _ = client.append(append.none_after(query.clone(), Cursor::START)).await;
    }
}

async fn read_broadly(client: Client) -> anyhow::Result<()> {
    let query: Query = BROAD.parse()?;
    loop {
        let mut pages = client.pages(Read::forward(query.clone())).await?;
        while pages.next().await?.is_some() {}
    }
}
