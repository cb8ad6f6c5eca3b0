//! Memory while the number of streams grows, and the cost of reading a cold stream: `cargo xtask
//! bench streams [MILLIONS]`.
//!
//! Every event starts a stream of its own, except a hundred streams of a hundred events, which are
//! spread over the whole log. When the log is full it is opened again, and each of these streams is
//! read once. The kernel counts the read system calls. A hundred million take about 11 GB of disk.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use leftfold::{Append, Durability, Embedded, NewEvent, Options, Query, Read};
use leftfold_bench::{machine, reads_of_files, spread};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MILLION: u64 = 1_000_000;
const PER_APPEND: u64 = 1_000;
/// The streams that are spread over the log, and their events.
const SPREAD: u64 = 100;
const EVENTS: u64 = 100;

fn main() -> anyhow::Result<()> {
    let millions = std::env::args().nth(1).map_or(Ok(10), |text| text.parse())?;
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    println!("{}; relaxed durability, default options otherwise\n", machine());
    grow(dir.path(), millions)?;
    cold(dir.path())
}

fn options() -> Options {
    let mut options = Options { maintenance_bytes_per_second: u64::MAX, ..Options::default() };
    // Durability is not measured here.
    options.log.durability = Durability::Relaxed(Duration::from_secs(1));
    options
}

fn event(n: u64) -> NewEvent {
    let data = format!("{:0256}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    NewEvent::new("Opened", data)
}

fn grow(dir: &Path, millions: u64) -> anyhow::Result<()> {
    let store = Embedded::open(dir, options())?;
    let every = millions * MILLION / EVENTS;
    println!(
        "million streams   events/s since the last row   anonymous memory MB   segments   log MB   index MB"
    );
    let (mut started, mut since) = (Instant::now(), 0);
    for million in 1..=millions {
        for first in ((million - 1) * MILLION..million * MILLION).step_by(PER_APPEND as usize) {
            let mut append = Append::new();
            for n in first..first + PER_APPEND {
                append = append.event(format!("account-{n}"), event(n));
            }
            if first.is_multiple_of(every) {
                for n in 0..SPREAD {
                    append = append.event(format!("spread-{n}"), event(n));
                }
            }
            store.blocking().append(append)?;
        }
        if !is_row(million) && million != millions {
            continue;
        }
        let rate = ((million - since) * MILLION) as f64 / started.elapsed().as_secs_f64();
        store.settle()?;
        let (memory, stat) = (anonymous_mb()?, store.stat()?);
        let [log, index] = [stat.log_bytes, stat.index_bytes].map(|bytes| bytes / 1_000_000);
        println!(
            "{million:>15} {rate:>27.0} {memory:>21.0} {:>10} {log:>8} {index:>10}",
            stat.segments
        );
        (started, since) = (Instant::now(), million);
    }
    Ok(())
}

/// Whether a row is printed: each million up to ten, and 20, 50, 100 and so on.
fn is_row(million: u64) -> bool {
    let power = 10_u64.pow(million.ilog10());
    million <= 10 || [1, 2, 5].iter().any(|first| first * power == million)
}

fn cold(dir: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let store = Embedded::open_existing(dir, options())?;
    println!(
        "\nopened in {:.3} s, with {:.0} MB",
        started.elapsed().as_secs_f64(),
        anonymous_mb()?
    );
    let segments = store.stat()?.segments.min(EVENTS);
    let (mut reads, mut micros) = (Vec::new(), Vec::new());
    for n in 0..SPREAD {
        let (before, started) = (reads_of_files(), Instant::now());
        let page = store.blocking().read(Read::forward(Query::stream(format!("spread-{n}"))))?;
        micros.push(started.elapsed().as_secs_f64() * 1e6);
        reads.push((reads_of_files() - before) as f64 / segments as f64);
        anyhow::ensure!(page.events.len() as u64 == EVENTS);
    }
    let ([reads, fewest, most], [micros, ..]) = (spread(reads), spread(micros));
    println!(
        "\na cold stream of {EVENTS}, spread over {segments} segments: {reads:.2} reads for each \
         segment that holds it ({fewest:.2} to {most:.2}), {micros:.0} us"
    );
    Ok(())
}

/// Returns the process's memory without mapped and cached files.
fn anonymous_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon")).context("no RssAnon")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1e3)
}
