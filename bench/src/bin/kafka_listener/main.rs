//! The listener for Kafka's clients beside Apache Kafka: `cargo xtask bench kafka [scale] [rounds] [row...] [system...]`.
//!
//! The same client speaks to Kafka as it comes, to Kafka that syncs after each batch, and to Leftfold, which always syncs
//! before it answers. All run at the same time, and are measured in turns. The scale multiplies times and sizes; 0.05 is
//! enough to check that it works. Data lies below the system's temporary directory (`TMPDIR`).

mod consumer;
mod java;
mod producer;
mod rows;
mod systems;
mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use leftfold_bench::{bare_loop, machine, spread, wait_for_idle};
use leftfold_kafka_broker::kafka_version;

use java::Java;
use rows::{Measurement, Row, Size};
use systems::{Kind, System};

/// As in the binary: its speed is to be measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The time of a row that produces.
const SECONDS: f64 = 3.0;
/// Records that are consumed.
const CONSUMED: f64 = 1_000_000.0;
/// Records whose way is timed from end to end.
const DELIVERIES: f64 = 2_000.0;
const ROUNDS: usize = 5;
/// About the bytes of an event of 256 bytes in the log: the bare loop writes this.
const FRAME: usize = 448;
const SYNCS: f64 = 10_000.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let scale: f64 = args.next().map_or(Ok(1.0), |text| text.parse()).context("scale")?;
    let rounds: usize = args.next().map_or(Ok(ROUNDS), |text| text.parse()).context("rounds")?;
    let (names, words): (Vec<String>, Vec<String>) =
        args.partition(|word| Kind::ALL.iter().any(|kind| kind.name() == word));
    let is_named = |kind: &Kind| names.is_empty() || names.iter().any(|name| name == kind.name());
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(is_named).collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let size = Size {
        time: Duration::from_secs_f64(SECONDS * scale),
        consumed: (CONSUMED * scale) as u64,
        deliveries: ((DELIVERIES * scale) as usize).max(20),
    };
    println!("Kafka {}; {}; clients on the same processors", kafka_version(), machine());
    println!(
        "records of {} bytes, acks=all, an idempotent producer, 60 records in a batch, 5 batches in flight; {rounds} \
         rounds interleaved: median (least to greatest)\nLeftfold syncs before it answers; Kafka leaves that to the \
         kernel, or syncs after each batch\n",
        producer::VALUE
    );
    table::head(&kinds);
    let home = tempfile::Builder::new().prefix("leftfold-bench").tempdir()?;
    if is_wanted("start") {
        starts(&kinds, home.path(), rounds, scale).await?;
    }
    let mut systems = Vec::new();
    for kind in kinds {
        systems.push(System::start(kind, &home.path().join("data")).await?.0);
    }
    let mut java = None;
    for row in Row::ALL.into_iter().filter(|row| is_wanted(&row.name())) {
        if row.is_by_java() && java.is_none() {
            java = Some(Java::start(home.path())?);
        }
        measure(row, &systems, &mut java, size, rounds, home.path(), scale).await?;
    }
    drop(java);
    let mut memory = Vec::new();
    for system in &systems {
        memory.push(vec![system.memory()? as f64 / 1e6]);
    }
    table::print("resident memory after all of it, MB", &memory, 0);
    Ok(())
}

/// Waits for an idle machine, unless the sizes are only those of a check.
fn settle(scale: f64) {
    const CHECK: f64 = 0.2;
    if scale >= CHECK {
        wait_for_idle();
    }
}

/// Starts and ends each system in turns.
async fn starts(kinds: &[Kind], home: &Path, rounds: usize, scale: f64) -> anyhow::Result<()> {
    let mut took: Vec<Vec<f64>> = kinds.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for (kind, took) in kinds.iter().zip(&mut took) {
            settle(scale);
            let data = home.join(format!("start-{round}"));
            let (_, time) = System::start(*kind, &data).await?;
            // In the first round the files of the programs are read from the disk.
            if round > 0 {
                took.push(time.as_secs_f64() * 1e3);
            }
        }
    }
    table::print("start to the first answers, ms", &took, 0);
    Ok(())
}

async fn measure(
    row: Row,
    systems: &[System],
    java: &mut Option<Java>,
    size: Size,
    rounds: usize,
    home: &Path,
    scale: f64,
) -> anyhow::Result<()> {
    for system in systems {
        row.prepare(system, size).await?;
    }
    let mut all: Vec<Vec<Measurement>> = systems.iter().map(|_| Vec::new()).collect();
    let mut syncs = Vec::new();
    for round in 0..=rounds {
        settle(scale);
        syncs.push(bare_loop(home, FRAME, (SYNCS * scale) as u64)?);
        for (system, measured) in systems.iter().zip(&mut all) {
            let found = row.measure(system, java, size).await;
            let found = found.with_context(|| format!("{}, {}", row.name(), system.kind.name()))?;
            // The first round warms up the brokers.
            if round > 0 {
                measured.push(found);
            }
        }
    }
    let name = row.name();
    let of = |pick: &dyn Fn(&Measurement) -> Option<f64>| {
        let values = all.iter().map(|measured| measured.iter().filter_map(pick).collect());
        values.collect::<Vec<Vec<f64>>>()
    };
    table::print(&format!("{name}, records/s"), &of(&|one| one.rate), 0);
    table::print(&format!("{name}, p50 ms"), &of(&|one| Some(one.latency?[0])), 3);
    table::print(&format!("{name}, p99 ms"), &of(&|one| Some(one.latency?[1])), 3);
    table::print(&format!("{name}, server's us/record"), &of(&|one| Some(one.cpu?[1])), 2);
    table::print(&format!("{name}, client's us/record"), &of(&|one| Some(one.cpu?[0])), 2);
    let [median, least, greatest] = spread(syncs);
    println!(
        "| bare write+fdatasync meanwhile, /s | {median:.0} ({least:.0} to {greatest:.0}) | | | | |"
    );
    Ok(())
}
