//! Appends: each workload beside the bare loop of the same round.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use leftfold::{Append, Embedded, EventStore, Expected, Options, Query};
use leftfold_bench::{bare_loop, cpu_seconds, spread, wait_for_idle};

use crate::{event, rounds};

/// About the bytes that an append of 256 bytes takes in the log: the bare loop writes this.
const FRAME: usize = 448;
/// The events in a batch.
const BATCH: u64 = 100;

/// The kind of appends, and how many are in flight.
#[derive(Clone, Copy)]
enum Work {
    /// Single events, one after the other, by a blocking caller.
    Blocking,
    /// Single events, this number in flight: one task each, in a runtime with two threads.
    Singles(u64),
    /// Batches of a hundred events, this number in flight.
    Batches(u64),
    /// Single events on condition that no newer event has their two tags, this number in flight.
    Guarded(u64),
}

impl Work {
    const ALL: [Work; 9] = [
        Work::Blocking,
        Work::Singles(1),
        Work::Singles(8),
        Work::Singles(64),
        Work::Singles(512),
        Work::Batches(8),
        Work::Batches(32),
        Work::Guarded(1),
        Work::Guarded(64),
    ];

    fn name(self) -> String {
        match self {
            Work::Blocking => "1 appender, not async".to_owned(),
            Work::Singles(n) => format!("{n} in flight"),
            Work::Batches(n) => format!("batches of {BATCH}, {n} in flight"),
            Work::Guarded(n) => format!("none after, on two tags, {n} in flight"),
        }
    }

    fn events(self) -> u64 {
        match self {
            Work::Blocking | Work::Singles(1) | Work::Guarded(1) => 4_000,
            Work::Singles(8) => 30_000,
            Work::Singles(_) | Work::Guarded(_) => 200_000,
            Work::Batches(_) => 800_000,
        }
    }
}

pub(crate) fn run(dir: &Path) -> anyhow::Result<()> {
    let only = std::env::args().nth(2);
    let wanted = |work: &Work| only.as_ref().is_none_or(|only| work.name().contains(only));
    let works: Vec<Work> = Work::ALL.into_iter().filter(wanted).collect();
    let store = Arc::new(Embedded::open(dir.join("appends"), Options::default())?);
    let mut bare = Vec::new();
    let mut rates = vec![(Vec::new(), Vec::new()); works.len()];
    for round in 0..rounds() {
        wait_for_idle();
        bare.push(bare_loop(dir, FRAME, 4_000)?);
        for (work, (rates, cpu)) in works.iter().zip(&mut rates) {
            wait_for_idle();
            let before = cpu_seconds();
            rates.push(rate(&store, round, *work)?);
            cpu.push((cpu_seconds() - before) * 1e6 / work.events() as f64);
        }
    }
    let [control, least, greatest] = spread(bare.clone());
    println!("{:<40}{control:>10.0}/s  ({least:.0} to {greatest:.0})", "bare write+fdatasync");
    for (work, (rates, cpu)) in works.iter().zip(rates) {
        let ratios = spread(rates.iter().zip(&bare).map(|(rate, bare)| rate / bare).collect());
        let [rate, least, greatest] = spread(rates);
        let [ratio, low, high] = ratios;
        let [cpu, ..] = spread(cpu);
        println!(
            "{:<40}{rate:>10.0}/s  ({least:.0} to {greatest:.0})  {ratio:.2} of the bare loop \
             ({low:.2} to {high:.2}), {cpu:.1} us of CPU each",
            work.name()
        );
    }
    Ok(())
}

fn rate(store: &Arc<Embedded>, round: usize, work: Work) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let started = Instant::now();
    match work {
        Work::Blocking => blocking(store, round, work.events())?,
        Work::Singles(n) | Work::Batches(n) | Work::Guarded(n) => {
            let left = Arc::new(AtomicU64::new(work.events()));
            let tasks = (0..n).map(|worker| {
                let (store, left) = (store.clone(), left.clone());
                runtime.spawn(async move { worker_of(work, &store, round, worker, &left).await })
            });
            let tasks: Vec<_> = tasks.collect();
            runtime.block_on(async move {
                for task in tasks {
                    task.await??;
                }
                anyhow::Ok(())
            })?;
        }
    }
    Ok(work.events() as f64 / started.elapsed().as_secs_f64())
}

fn blocking(store: &Embedded, round: usize, events: u64) -> anyhow::Result<()> {
    let stream = format!("blocking-{round}");
    let mut expected = Expected::NoStream;
    for _ in 0..events {
        let append = Append::new().event(&stream, event()).expect(&stream, expected);
        expected = Expected::Exactly(store.blocking().append(append)?.streams[0].last);
    }
    Ok(())
}

async fn worker_of(
    work: Work,
    store: &Embedded,
    round: usize,
    worker: u64,
    left: &AtomicU64,
) -> anyhow::Result<()> {
    match work {
        Work::Batches(n) => {
            appender(store, format!("batches{n}-{round}-{worker}"), BATCH, left).await
        }
        Work::Guarded(n) => guarded(store, format!("guarded{n}-{round}-{worker}"), left).await,
        Work::Singles(n) => appender(store, format!("singles{n}-{round}-{worker}"), 1, left).await,
        Work::Blocking => Ok(()),
    }
}

/// Appends to a stream of its own, `count` events at a time, under its expected version.
async fn appender(
    store: &Embedded,
    stream: String,
    events: u64,
    left: &AtomicU64,
) -> anyhow::Result<()> {
    let mut expected = Expected::NoStream;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(events)).is_ok()
    {
        let append = (0..events).fold(Append::new(), |append, _| append.event(&stream, event()));
        let done = store.append(append.expect(&stream, expected)).await?;
        expected = Expected::Exactly(done.streams[0].last);
    }
    Ok(())
}

/// Appends events with two tags, each on condition that no later event has both.
async fn guarded(store: &Embedded, stream: String, left: &AtomicU64) -> anyhow::Result<()> {
    let query = Query::tag("student", &stream).and(Query::tag("course", "c1"));
    let mut cursor = store.head().await?;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        let event = event().tag("student", &stream).tag("course", "c1");
        let append = Append::new().event(&stream, event).none_after(query.clone(), cursor);
        cursor = store.append(append).await?.cursor;
    }
    Ok(())
}
