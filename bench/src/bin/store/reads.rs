//! Reads: a stream, hot and cold, and the whole log, compressed and not.

use std::path::Path;
use std::time::Instant;

use leftfold::{Append, Compression, Embedded, Options, Query, Read};
use leftfold_bench::{reads_of_files, spread, wait_for_idle};

use crate::{event, rounds};

const STREAMS: usize = 10_000;
const EACH: usize = 100;

pub(crate) fn run(dir: &Path) -> anyhow::Result<()> {
    let only = std::env::args().nth(2);
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    for compression in [Compression::Off, Compression::Fast, Compression::Small] {
        let store = filled(&dir.join(format!("{compression:?}")), compression)?;
        let works: [(&str, &str, Work); 3] = [
            ("a stream of 100, the same again", "us", hot),
            ("a stream of 100, another each time", "us", cold),
            ("full replay", "events/s", replay),
        ];
        for (name, unit, work) in works.into_iter().filter(|(name, ..)| wanted(name)) {
            let (mut values, before) = (Vec::new(), reads_of_files());
            for round in 0..rounds() {
                wait_for_idle();
                values.push(work(&store, round)?);
            }
            let [median, least, greatest] = spread(values);
            let reads = reads_of_files() - before;
            println!(
                "  {name:<36}{median:>10.1} {unit}  ({least:.1} to {greatest:.1}), {reads} reads of \
                 files in all"
            );
        }
    }
    Ok(())
}

type Work = fn(&Embedded, usize) -> anyhow::Result<f64>;

/// Appends one event to every stream in turn: no two events of a stream are adjacent.
fn filled(dir: &Path, compression: Compression) -> anyhow::Result<Embedded> {
    let store = Embedded::open(dir, Options { compression, ..Options::default() })?;
    for _ in 0..EACH {
        for chunk in (0..STREAMS).collect::<Vec<_>>().chunks(5_000) {
            let append = chunk
                .iter()
                .fold(Append::new(), |append, n| append.event(format!("stream-{n}"), event()));
            store.blocking().append(append)?;
        }
    }
    store.seal()?;
    let stat = store.stat()?;
    println!(
        "\n{} events in {STREAMS} streams, interleaved, compression {compression:?}; log {} MB, index {} MB, {} \
         segments; files cached by the system",
        stat.events,
        stat.log_bytes / 1_000_000,
        stat.index_bytes / 1_000_000,
        stat.segments
    );
    Ok(store)
}

fn of(n: usize) -> Read {
    Read::forward(Query::stream(format!("stream-{n}")))
}

fn hot(store: &Embedded, _round: usize) -> anyhow::Result<f64> {
    const TIMES: usize = 1_000;
    anyhow::ensure!(store.blocking().read(of(77))?.events.len() == EACH);
    let started = Instant::now();
    for _ in 0..TIMES {
        anyhow::ensure!(store.blocking().read(of(77))?.events.len() == EACH);
    }
    Ok(started.elapsed().as_secs_f64() / TIMES as f64 * 1e6)
}

fn cold(store: &Embedded, round: usize) -> anyhow::Result<f64> {
    const TIMES: usize = 200;
    let started = Instant::now();
    for n in 0..TIMES {
        let page = store.blocking().read(of((n * 37 + round * 7_001) % STREAMS))?;
        anyhow::ensure!(page.events.len() == EACH);
    }
    Ok(started.elapsed().as_secs_f64() / TIMES as f64 * 1e6)
}

fn replay(store: &Embedded, _round: usize) -> anyhow::Result<f64> {
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
    Ok(events as f64 / started.elapsed().as_secs_f64())
}
