//! Connectors beside the same done by hand: `cargo xtask bench connectors [scale] [rounds] [row...]`.
//!
//! Each row moves a history to the other side, or from it, as a connector does and as a short program of the same client
//! library does, in turns; then it times single events. The scale multiplies sizes; 0.01 is enough to check that it works.
//! Data lies below the system's temporary directory (`TMPDIR`).

mod file_export;
mod http;
mod kafka;
mod outbox;
mod receiver;
mod redis;
mod row;
mod search;
mod singles;
mod table;
mod world;

use anyhow::{Context, bail, ensure};
use leftfold_bench::{bare_loop, machine, wait_for_idle};
use leftfold_kafka_broker::kafka_version;

use row::{Bench, Plan, Size};
use table::{Latencies, Rates};

/// As in the binary: its speed is to be measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All rows: a further kind of connector is a module, and a name here.
const ROWS: [Plan; 8] = [
    kafka::PLAIN,
    kafka::CLOUD_EVENTS,
    outbox::ROW,
    http::SINGLE,
    http::BATCHES,
    redis::ROW,
    search::ROW,
    file_export::ROW,
];
const ROUNDS: usize = 5;
/// About the bytes of an event in the log: the bare loop writes this.
const FRAME: usize = 448;
const SYNCS: f64 = 2_000.0;
/// Smaller sizes only check that it works.
const CHECK: f64 = 0.2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let scale: f64 = args.next().map_or(Ok(1.0), |text| text.parse()).context("scale")?;
    let rounds: usize = args.next().map_or(Ok(ROUNDS), |text| text.parse()).context("rounds")?;
    let words: Vec<String> = args.collect();
    ensure!(scale > 0.0 && scale <= 100.0, "the scale is more than 0 and at most 100");
    let known = ROWS.map(|plan| plan.name);
    if let Some(unknown) = words.iter().find(|word| !known.contains(&word.as_str())) {
        bail!("there is no row {unknown}: expected {}", known.join(", "));
    }
    let is_wanted = |plan: &Plan| words.is_empty() || words.iter().any(|word| word == plan.name);
    let plans: Vec<Plan> = ROWS.into_iter().filter(is_wanted).collect();
    let home = tempfile::Builder::new().prefix("leftfold-bench").tempdir()?;
    let bench = Bench { home: home.path().to_owned(), size: Size::scaled(scale, rounds) };
    print_head(&plans, bench.size, rounds);
    let mut found = Vec::new();
    for plan in plans {
        let measured = measure(plan, &bench, rounds, scale).await;
        found.push(measured.with_context(|| plan.name)?);
    }
    println!(
        "\n| one event at a time | connector p50 ms | p99 | by hand p50 ms | p99 | added p50 |"
    );
    println!("|---|---|---|---|---|---|");
    for latencies in &found {
        latencies.print();
    }
    Ok(())
}

fn print_head(plans: &[Plan], size: Size, rounds: usize) {
    let (payload, streams) = (world::PAYLOAD, world::STREAMS);
    let Size { events, rows, requests, singles } = size;
    println!("{}; Kafka {}; all sides on the same processors", machine(), kafka_version());
    println!("{rounds} rounds interleaved after one that warms up: median (least to greatest)");
    println!(
        "payloads of {payload} bytes of JSON in {streams} streams; in a round {events} events to Kafka and to files, \
         {rows} rows of an outbox and events to Redis and OpenSearch, {requests} events by HTTP, {singles} single events"
    );
    println!(
        "Leftfold syncs each append before it answers, PostgreSQL each commit; Kafka leaves it to the kernel; files are \
         synced when they are done"
    );
    println!("a connector keeps its place and tries again; by hand nothing of that is done\n");
    for plan in plans {
        println!("{}: {}", plan.name, plan.about);
    }
    println!("\n| events/s | connector | by hand | connector / by hand | ProducerPerformance |");
    println!("|---|---|---|---|---|");
}

/// Waits for an idle machine, unless the sizes are only those of a check.
fn settle(scale: f64) {
    if scale >= CHECK {
        wait_for_idle();
    }
}

/// Measures a row, prints its rates, and returns its latencies.
async fn measure(
    plan: Plan,
    bench: &Bench,
    rounds: usize,
    scale: f64,
) -> anyhow::Result<Latencies> {
    let mut row = (plan.prepare)(bench).await.context("preparing")?;
    let (mut rates, mut latencies) = (Rates::new(plan.name), Latencies::new(plan.name));
    let mut syncs = Vec::new();
    for round in 0..=rounds {
        syncs.push(bare_loop(&bench.home, FRAME, (SYNCS * scale).max(50.0) as u64)?);
        for way in row.ways() {
            settle(scale);
            let rate = row.rate(*way).await.with_context(|| way.name())?;
            // The first round warms up.
            if round > 0 {
                rates.push(*way, rate);
            }
        }
        for way in row.ways() {
            let Some(timing) = row.latencies(*way) else { continue };
            let times = timing.await.with_context(|| format!("{}, one by one", way.name()))?;
            if round > 0 {
                latencies.push(*way, times);
            }
        }
    }
    rates.print();
    table::print_control(syncs);
    Ok(latencies)
}
