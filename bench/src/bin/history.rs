//! A long history: bytes on disk against JSON, time to open, and memory. `cargo xtask bench history
//! [MILLIONS OF EVENTS]`.
//!
//! Each stream has ten events, appended in rounds over all streams, so that every stream is spread
//! over the whole log. The store is opened by a process of its own, after a clean stop and after
//! `kill -9`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use leftfold::{Append, Compression, Durability, Embedded, NewEvent, Options, Query, Read};
use leftfold_bench::{machine, spread, wait_for_idle};

const EVENTS_PER_STREAM: u64 = 10;
const EVENTS_PER_APPEND: u64 = 100;
const OPENINGS: usize = 5;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => history(10),
        ["open", dir] => open(Path::new(dir)),
        ["write", dir] => write_until_killed(Path::new(dir)),
        [millions] => history(millions.parse().context("how many millions of events?")?),
        _ => bail!("usage: history [MILLIONS]"),
    }
}

fn options(compression: Compression) -> Options {
    Options { compression, maintenance_bytes_per_second: u64::MAX, ..Options::default() }
}

fn history(millions: u64) -> anyhow::Result<()> {
    let events = millions * 1_000_000;
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    println!("{}", machine());
    println!("{millions} million events in {} streams\n", events / EVENTS_PER_STREAM);
    println!("zstd      JSON MB    log MB  index MB  of JSON  files  write+zstd s");
    for compression in [Compression::Off, Compression::Fast, Compression::Small] {
        let data = dir.path().join(format!("{compression:?}"));
        let started = Instant::now();
        let json = write(&data, compression, events)?;
        let seconds = started.elapsed().as_secs_f64();
        let stat = Embedded::open_existing(&data, options(compression))?.stat()?;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        println!(
            "{:<8}{:>9.0} {:>9.0} {:>9.0} {:>7.1}%  {:>5} {:>10.0}",
            format!("{compression:?}"),
            mb(json),
            mb(stat.log_bytes),
            mb(stat.index_bytes),
            100.0 * (stat.log_bytes + stat.index_bytes) as f64 / json as f64,
            stat.segments + stat.index_files,
            seconds,
        );
        if compression != Compression::Small {
            std::fs::remove_dir_all(&data)?;
        } else {
            openings(&data)?;
        }
    }
    Ok(())
}

/// Fills a store; returns the bytes of its events as JSON envelopes, one per line, as `leftfold
/// read` prints them.
fn write(dir: &Path, compression: Compression, events: u64) -> anyhow::Result<u64> {
    let mut options = options(compression);
    // Durability is not measured here.
    options.log.durability = Durability::Relaxed(std::time::Duration::from_secs(1));
    let store = Embedded::open(dir, options)?;
    let streams = events / EVENTS_PER_STREAM;
    let (mut json, mut n) = (0, 0);
    while n < events {
        let mut append = Append::new();
        for n in n..(n + EVENTS_PER_APPEND).min(events) {
            append = append.event(format!("account-{:07}", n % streams), event(n));
        }
        store.blocking().append(append)?;
        n += EVENTS_PER_APPEND;
    }
    store.settle()?;
    let mut read = Read::forward(Query::All);
    loop {
        let page = store.blocking().read(read)?;
        json += page.events.iter().map(envelope).sum::<u64>();
        if !page.more {
            break;
        }
        read = Read::forward(Query::All).after(page.cursor);
    }
    Ok(json)
}

/// Returns a booking with realistic figures and texts.
fn event(n: u64) -> NewEvent {
    const TEXTS: [&str; 8] =
        ["rent", "salary", "groceries", "electricity", "insurance", "refund", "transfer", "card"];
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (cents, text) = (mixed >> 44, TEXTS[(mixed >> 3) as usize % TEXTS.len()]);
    let iban = format!("DE{:020}", mixed % 10_u64.pow(12));
    let data = format!(
        r#"{{"amount":"{}.{:02}","currency":"EUR","counterparty":"{iban}","text":"{text} {}","reference":"{:016x}"}}"#,
        cents / 100,
        cents % 100,
        n % 9_973,
        mixed.rotate_left(17),
    );
    let event_type = if mixed & 1 == 0 { "Credited" } else { "Debited" };
    NewEvent::json(event_type, data).tag("day", format!("2026-{:02}-{:02}", n % 12 + 1, n % 28 + 1))
}

fn envelope(event: &leftfold::Recorded) -> u64 {
    let tags: Vec<String> = event.tags().map(|(key, value)| format!("\"{key}={value}\"")).collect();
    let data = event.data();
    let envelope = format!(
        r#"{{"position":{},"stream":"{}","version":{},"id":"{}","type":"{}","event_time":"{}","commit_time":"{}","tags":[{}],"metadata":null,"data":}}"#,
        event.position(),
        event.stream(),
        event.version(),
        event.id(),
        event.event_type(),
        event.event_time(),
        event.commit_time(),
        tags.join(","),
    );
    (envelope.len() + data.len() + 1) as u64
}

fn openings(dir: &Path) -> anyhow::Result<()> {
    println!("\nopening, and one read of a stream, in a process of its own ({OPENINGS} times)");
    for (what, killed) in [("after a clean stop", false), ("after kill -9", true)] {
        let (mut seconds, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..OPENINGS {
            wait_for_idle();
            if killed {
                kill_in_the_middle(dir)?;
            }
            let output = Command::new(std::env::current_exe()?).arg("open").arg(dir).output()?;
            let text = String::from_utf8(output.stdout)?;
            let mut numbers = text.split_whitespace().map(str::parse::<f64>);
            seconds.push(numbers.next().context("no time")??);
            memory.push(numbers.next().context("no memory")??);
        }
        let ([open, least, greatest], [resident, ..]) = (spread(seconds), spread(memory));
        println!("{what:<20} {open:.3} s ({least:.3} to {greatest:.3}), {resident:.0} MB resident");
    }
    Ok(())
}

/// Opens a store, reads a stream, and prints seconds and megabytes.
fn open(dir: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let store = Embedded::open_existing(dir, options(Compression::Small))?;
    let page = store.blocking().read(Read::forward(Query::stream("account-0000007")))?;
    let seconds = started.elapsed().as_secs_f64();
    if page.events.is_empty() {
        bail!("the stream is not there");
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    println!("{seconds} {}", kilobytes / 1e3);
    Ok(())
}

/// Appends until the process is killed; prints a line once it has begun.
fn write_until_killed(dir: &Path) -> anyhow::Result<()> {
    let store = Embedded::open_existing(dir, options(Compression::Small))?;
    for n in 0.. {
        let append = (0..100).fold(Append::new(), |append, i| {
            append.event(format!("account-{i:07}"), event(n * 100 + i))
        });
        store.blocking().append(append)?;
        if n == 500 {
            println!("begun");
        }
    }
    Ok(())
}

fn kill_in_the_middle(dir: &Path) -> anyhow::Result<()> {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(std::env::current_exe()?)
        .arg("write")
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("no output")?;
    BufReader::new(stdout).read_line(&mut String::new())?;
    child.kill()?;
    child.wait()?;
    Ok(())
}
