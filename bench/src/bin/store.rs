//! The embedded store beside the bare loop: `cargo xtask bench`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use leftfold::{Append, Embedded, EventStore, Expected, NewEvent, Options, Query, Read};
use leftfold_bench::{bare_loop, machine, spread, wait_for_idle};

const ROUNDS: usize = 5;
const PAYLOAD: usize = 256;
/// What one append of 256 bytes takes in the log, about: the bare loop writes as much.
const FRAME: usize = 448;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    println!("{}; fdatasync before every acknowledgement; {PAYLOAD}-byte events", machine());
    println!(
        "{ROUNDS} rounds interleaved, each after idle processors: median (least to greatest)\n"
    );
    appends(dir.path())?;
    reads(dir.path())?;
    Ok(())
}

fn event() -> NewEvent {
    NewEvent::new("Measured", vec![b'x'; PAYLOAD])
}

fn appends(dir: &std::path::Path) -> anyhow::Result<()> {
    const WORKERS: [u64; 3] = [1, 8, 64];
    let store = Embedded::open(dir.join("appends"), Options::default())?;
    let mut bare = Vec::new();
    let mut rates = vec![Vec::new(); WORKERS.len()];
    for round in 0..ROUNDS {
        wait_for_idle();
        bare.push(bare_loop(dir, FRAME, 3_000)?);
        for (workers, rates) in WORKERS.iter().zip(&mut rates) {
            wait_for_idle();
            rates.push(append_rate(&store, round, *workers)?);
        }
    }
    let [control, least, greatest] = spread(bare.clone());
    println!("bare write+fdatasync, preallocated  {control:>9.0}/s  ({least:.0} to {greatest:.0})");
    for (workers, rates) in WORKERS.iter().zip(rates) {
        let ratios = spread(rates.iter().zip(&bare).map(|(rate, bare)| rate / bare).collect());
        let [rate, least, greatest] = spread(rates);
        let [ratio, low, high] = ratios;
        println!(
            "{workers:>3} appenders, expected version      {rate:>9.0}/s  ({least:.0} to {greatest:.0})  \
             {ratio:.2} of the bare loop ({low:.2} to {high:.2})"
        );
    }
    Ok(())
}

/// Each worker appends to streams of its own, one event at a time, under its expected version.
fn append_rate(store: &Embedded, round: usize, workers: u64) -> anyhow::Result<f64> {
    let total = if workers == 1 { 3_000 } else { 20_000 };
    let (left, failed) = (AtomicU64::new(total), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|threads| {
        for worker in 0..workers {
            let (left, failed) = (&left, &failed);
            threads.spawn(move || {
                let stream = format!("bench-{round}-{workers}-{worker}");
                let mut expected = Expected::NoStream;
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    let append = Append::new().event(&stream, event()).expect(&stream, expected);
                    match pollster::block_on(store.append(append)) {
                        Ok(done) => expected = Expected::Exactly(done.streams[0].last),
                        Err(_) => _ = failed.fetch_add(1, Ordering::Relaxed),
                    }
                }
            });
        }
    });
    anyhow::ensure!(failed.into_inner() == 0, "appends failed");
    Ok(total as f64 / started.elapsed().as_secs_f64())
}

fn reads(dir: &std::path::Path) -> anyhow::Result<()> {
    const STREAMS: usize = 10_000;
    const EACH: usize = 100;
    let store = Embedded::open(dir.join("reads"), Options::default())?;
    // One event of every stream after the other: no two of a stream lie side by side.
    for _ in 0..EACH {
        for chunk in (0..STREAMS).collect::<Vec<_>>().chunks(5_000) {
            let append = chunk
                .iter()
                .fold(Append::new(), |append, n| append.event(format!("stream-{n}"), event()));
            store.blocking().append(append)?;
        }
    }
    let stat = store.stat()?;
    println!(
        "\n{} events in {STREAMS} streams, interleaved; log {} MB, index {} MB, {} segments",
        stat.events,
        stat.log_bytes / 1_000_000,
        stat.index_bytes / 1_000_000,
        stat.segments
    );
    let (mut hot, mut cold, mut replay) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        wait_for_idle();
        let of = |n: usize| Read::forward(Query::stream(format!("stream-{n}")));
        let started = Instant::now();
        for n in 0..200 {
            let page = store.blocking().read(of((n * 37 + round * 7_001) % STREAMS))?;
            anyhow::ensure!(page.events.len() == EACH);
        }
        cold.push(started.elapsed().as_secs_f64() / 200.0 * 1e6);
        let started = Instant::now();
        for _ in 0..1_000 {
            anyhow::ensure!(store.blocking().read(of(77))?.events.len() == EACH);
        }
        hot.push(started.elapsed().as_secs_f64() / 1_000.0 * 1e6);
        let started = Instant::now();
        let mut read = Read::forward(Query::All);
        let mut events = 0;
        loop {
            let page = store.blocking().read(read)?;
            events += page.events.len();
            if !page.more {
                break;
            }
            read = Read::forward(Query::All).after(page.cursor);
        }
        replay.push(events as f64 / started.elapsed().as_secs_f64());
    }
    let show = |name: &str, [median, least, greatest]: [f64; 3], unit: &str| {
        println!("{name:<36}{median:>10.0} {unit}  ({least:.0} to {greatest:.0})");
    };
    show("a stream of 100, the same again", spread(hot), "us");
    show("a stream of 100, another each time", spread(cold), "us");
    show("full replay, cached by the system", spread(replay), "events/s");
    Ok(())
}
