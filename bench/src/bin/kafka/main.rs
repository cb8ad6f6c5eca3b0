//! The cost of an append to Kafka: `cargo xtask bench kafka ways [seconds for each cell] [rounds]`.
//!
//! Three ways side by side in every round: plain batches, transactions, and batches under a claim
//! (the way that `docs/cluster-fencing.md` chooses). Each is measured with several numbers of
//! appends in flight. For more than one it is also measured with group commit: all waiting appends
//! share a batch or a transaction.

mod ways;

use std::time::{Duration, Instant};

use anyhow::Context;
use leftfold_bench::{machine, spread, wait_for_idle};
use leftfold_kafka_testing::broker::{Cluster, Options, Tuning, kafka_version};
use leftfold_kafka_testing::wire::{Client, Partition};

use ways::{ActiveWriter, Way};

const IN_FLIGHT: [usize; 3] = [1, 8, 64];
const PATIENCE: Duration = Duration::from_secs(30);
/// The broker's back-off when a transaction begins while the last one's markers are being written.
const BACK_OFF: &str = "add.partitions.to.txn.retry.backoff.ms";
/// The share of each cell's time before the measurement starts.
const WARM_UP: f64 = 0.25;

/// One line of the table.
#[derive(Clone, Copy)]
struct Cell {
    way: Way,
    in_flight: usize,
    grouped: bool,
}

/// The result of a cell in one round.
struct Measurement {
    rate: f64,
    p50: f64,
    p99: f64,
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let seconds: f64 = args.next().map_or(Ok(2.0), |text| text.parse()).context("seconds")?;
    let rounds: usize = args.next().map_or(Ok(5), |text| text.parse()).context("rounds")?;
    println!("Kafka {}; {}", kafka_version(), machine());
    println!(
        "256-byte appends, one partition, one writer, one connection; acks=all, which is \
         replication, not a disk sync; min.insync.replicas is 1 of 1 and 2 of 3\n{rounds} rounds interleaved, {seconds} s each: median (least \
         to greatest)"
    );
    for brokers in [1, 3] {
        println!("\n{brokers} broker(s)");
        let options = Options { tuning: Tuning::Speed, ..Options::brokers(brokers) };
        measure(&options, &cells(&Way::ALL), seconds, rounds)?;
        println!("the same with {BACK_OFF}=1 at the broker, where 20 is what Kafka ships:");
        let quick = options.set(BACK_OFF, "1");
        measure(&quick, &cells(&[Way::Transactions]), seconds, rounds)?;
    }
    Ok(())
}

fn cells(ways: &[Way]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for in_flight in IN_FLIGHT {
        for grouped in [false, true] {
            if in_flight > 1 || !grouped {
                cells.extend(ways.iter().map(|&way| Cell { way, in_flight, grouped }));
            }
        }
    }
    cells
}

fn measure(options: &Options, cells: &[Cell], seconds: f64, rounds: usize) -> anyhow::Result<()> {
    let cluster = Cluster::start(options)?;
    let client = Client::new(&cluster.bootstrap(), PATIENCE)?;
    let mut all: Vec<Vec<Measurement>> = cells.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        wait_for_idle();
        for (number, (cell, measured)) in cells.iter().zip(&mut all).enumerate() {
            let partition = topic(&client, options.brokers, round, number)?;
            let writer = ActiveWriter::start(&client, &partition, cell.way)?;
            let found = run(*cell, writer, Duration::from_secs_f64(seconds))?;
            // The first round warms up the brokers.
            if round > 0 {
                measured.push(found);
            }
        }
    }
    println!("{:<44}{:>26}{:>24}{:>24}", "", "appends/s", "p50 ms", "p99 ms");
    for (cell, measured) in cells.iter().zip(&all) {
        print_line(*cell, measured);
    }
    Ok(())
}

fn topic(client: &Client, brokers: u16, round: usize, cell: usize) -> anyhow::Result<Partition> {
    let replicas: Vec<i32> = (1..=i32::from(brokers)).collect();
    Ok(client.create_topic(&format!("bench-{round}-{cell}"), &replicas, &[])?)
}

fn run(cell: Cell, mut writer: ActiveWriter, time: Duration) -> anyhow::Result<Measurement> {
    let warm = Instant::now() + time.mul_f64(WARM_UP);
    while Instant::now() < warm {
        writer.step(cell.in_flight, cell.grouped)?;
    }
    let (started, mut latencies) = (Instant::now(), Vec::new());
    while started.elapsed() < time {
        latencies.extend(writer.step(cell.in_flight, cell.grouped)?);
    }
    let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
    latencies.sort();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    };
    Ok(Measurement { rate, p50: at(0.5), p99: at(0.99) })
}

fn print_line(cell: Cell, measured: &[Measurement]) {
    let of = |pick: fn(&Measurement) -> f64, digits: usize| {
        let [median, least, greatest] = spread(measured.iter().map(pick).collect());
        format!("{median:.digits$} ({least:.digits$} to {greatest:.digits$})")
    };
    let Cell { way, in_flight, grouped } = cell;
    let group = if grouped { ", group commit" } else { "" };
    let name = format!("{in_flight:>2} in flight{group}, {}", way.name());
    let (rate, p50, p99) = (of(|m| m.rate, 0), of(|m| m.p50, 2), of(|m| m.p99, 2));
    println!("{name:<44}{rate:>26}{p50:>24}{p99:>24}");
}
