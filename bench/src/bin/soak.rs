//! A soak on the real disk: `cargo xtask soak [MINUTES]`.
//!
//! A child process appends from several threads, reads, subscribes, defines indexes, drops old
//! events and scavenges. Its segments are small, so that many are sealed, compressed and merged. It
//! prints a line for each acknowledgement and each delivery, and every few seconds it is killed
//! with `kill -9`. Then the parent opens the store, verifies every byte, compares the store with
//! the printed lines, and starts the next child.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use leftfold::{
    Append, Compression, Delivery, Embedded, Expected, NewEvent, Options, Point, Query, Read,
    Retention, RetentionRule, Start, Subscribe,
};
use leftfold_bench::machine;

const WRITERS: u64 = 6;
const STREAMS: u64 = 200;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => soak(30.0),
        ["child", dir, seed, after] => child(Path::new(dir), seed.parse()?, after.parse()?),
        [minutes] => soak(minutes.parse().context("how many minutes?")?),
        _ => bail!("usage: soak [MINUTES]"),
    }
}

fn options(seed: u64) -> Options {
    let compression = [Compression::Fast, Compression::Small, Compression::Off][seed as usize % 3];
    let mut options = Options { compression, ..Options::default() };
    options.log.segment_bytes = 2 << 20;
    options
}

/// The lines that the parent has read from its children.
#[derive(Default)]
struct ChildReport {
    /// The ids by version, for each stream.
    acknowledged: HashMap<String, Vec<u128>>,
    /// The delivered positions in order, since the last check.
    delivered: Vec<u64>,
    /// The last position that was delivered and checked.
    checked: u64,
    deliveries: u64,
    events: u64,
}

fn soak(minutes: f64) -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("leftfold-soak").tempdir_in(".")?;
    println!("{}; {minutes} minutes", machine());
    let (started, mut report) = (Instant::now(), ChildReport::default());
    let limit = Duration::from_secs_f64(minutes * 60.0);
    let mut kills = 0;
    while started.elapsed() < limit {
        let mut child = start(dir.path(), kills, report.checked)?;
        let output = child.stdout.take().context("no output")?;
        // Between two and six seconds.
        let life = Duration::from_millis(2_000 + kills * 1_103 % 4_000);
        read_lines(&mut child, output, life, &mut report)?;
        kills += 1;
        check(dir.path(), &mut report, kills)?;
    }
    println!(
        "{kills} kills; {} events acknowledged and found, {} delivered, each once, in order",
        report.events, report.deliveries
    );
    Ok(())
}

fn start(dir: &Path, seed: u64, after: u64) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("child").arg(dir).arg(seed.to_string()).arg(after.to_string());
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

/// Reads the child's lines until its time is up, kills it, and reads the rest of the pipe.
fn read_lines(
    child: &mut Child,
    output: ChildStdout,
    life: Duration,
    report: &mut ChildReport,
) -> anyhow::Result<()> {
    let (started, mut killed) = (Instant::now(), false);
    for line in BufReader::new(output).lines() {
        report.line(&line?)?;
        if !killed && started.elapsed() > life {
            child.kill()?;
            killed = true;
        }
    }
    let status = child.wait()?;
    ensure!(killed, "the child ended by itself: {status}");
    Ok(())
}

impl ChildReport {
    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["ack", stream, version, id] => {
                let ids = self.acknowledged.entry((*stream).to_owned()).or_default();
                let (version, id) = (version.parse::<usize>()?, id.parse()?);
                // The event was written before a kill, but its acknowledgement was not printed.
                if ids.len() < version {
                    ids.resize(version, 0);
                }
                ensure!(ids.len() == version, "{stream} {version} was acknowledged twice");
                ids.push(id);
                self.events += 1;
            }
            ["got", position] => {
                self.delivered.push(position.parse()?);
            }
            // The kill may cut the last line.
            _ => {}
        }
        Ok(())
    }
}

/// Opens the store after a kill, and compares it with the printed lines.
fn check(dir: &Path, report: &mut ChildReport, kills: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    let store = Embedded::open_existing(dir, options(kills))?;
    let opened = started.elapsed();
    let verified = store.verify(|_, _| {});
    for finding in &verified.problems {
        eprintln!("{}", finding.message);
    }
    ensure!(verified.problem_count == 0, "{} findings after kill {kills}", verified.problem_count);
    for (stream, ids) in &report.acknowledged {
        let mut read = Read::forward(Query::stream(stream));
        let mut version = 0;
        loop {
            let page = store.blocking().read(read)?;
            for event in &page.events {
                let expected = ids.get(version).copied().unwrap_or(0);
                let found = event.id().as_u128();
                ensure!(expected == 0 || expected == found, "{stream} {version} is another event");
                version += 1;
            }
            if !page.more {
                break;
            }
            read = Read::forward(Query::stream(stream)).after(page.cursor);
        }
        ensure!(version >= ids.len(), "{stream} has lost versions from {version} on");
    }
    check_deliveries(&store, report)?;
    let stat = store.stat()?;
    println!(
        "kill {kills}: opened in {:.0} ms, {} events verified, {} segments ({} compressed), {} index \
         files",
        opened.as_secs_f64() * 1e3,
        verified.events,
        stat.segments,
        stat.compressed,
        stat.index_files
    );
    Ok(())
}

/// Checks that the deliveries are the store's events, without gap or repetition.
fn check_deliveries(store: &Embedded, report: &mut ChildReport) -> anyhow::Result<()> {
    let mut delivered = report.delivered.drain(..).peekable();
    while delivered.peek().is_some() {
        let read = Read::forward(subscribed()?).excluding(Point::Position(report.checked));
        let page = store.blocking().read(read)?;
        for event in page.events {
            let Some(position) = delivered.next() else { return Ok(()) };
            ensure!(
                position == event.position(),
                "position {position} was delivered after {}, where {} comes next",
                report.checked,
                event.position()
            );
            (report.checked, report.deliveries) = (position, report.deliveries + 1);
        }
        ensure!(page.more || delivered.peek().is_none(), "what is not there was delivered");
    }
    Ok(())
}

/// Returns the query of the subscription: streams whose events are never dropped, so that there are
/// no gaps.
fn subscribed() -> anyhow::Result<Query> {
    Ok("category:kept".parse()?)
}

fn child(dir: &Path, seed: u64, after: u64) -> anyhow::Result<()> {
    let store = Embedded::open(dir, options(seed))?;
    let store = &store;
    let rule = RetentionRule {
        name: "temp".to_owned(),
        query: Query::category("temp"),
        retention: Retention::default().max_count(20),
    };
    store.blocking().set_retention_rule(rule)?;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for writer in 0..WRITERS {
            threads.push(scope.spawn(move || write(store, seed, writer)));
        }
        threads.push(scope.spawn(move || subscribe(store, after)));
        threads.push(scope.spawn(move || administer(store, seed)));
        // A thread ends only with an error.
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(_) => bail!("a thread panicked"),
        })
    })
}

/// Appends to the writer's own streams under expected versions, and to streams with short
/// retention.
fn write(store: &Embedded, seed: u64, writer: u64) -> anyhow::Result<()> {
    let next = AtomicU64::new(0);
    let mut versions: HashMap<String, Option<u64>> = HashMap::new();
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let stream = format!("kept-{writer}-{}", (n * 7 + seed) % STREAMS);
        let last = match versions.get(&stream) {
            Some(version) => *version,
            None => store.blocking().stream(&stream)?.map(|info| info.version),
        };
        let expected = last.map_or(Expected::NoStream, Expected::Exactly);
        let id = uuid::Uuid::from_u128(
            u128::from(seed + 1) << 96 | u128::from(writer) << 64 | u128::from(n + 1),
        );
        let data = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat((n % 40) as usize * 13));
        let event = NewEvent::json("SnapshotPolicy", data).id(id).tag("mod", (n % 9).to_string());
        let temp = NewEvent::json("Temp", format!("{{\"n\":{n}}}"));
        let append = Append::new()
            .event(&stream, event)
            .expect(&stream, expected)
            .event(format!("temp-{}", n % 50), temp);
        let appended = store.blocking().append(append)?;
        let version = appended.streams[0].first;
        print_line(&format!("ack {stream} {version} {}", id.as_u128()))?;
        versions.insert(stream, Some(version));
    }
}

fn subscribe(store: &Embedded, after: u64) -> anyhow::Result<()> {
    let from = Start::Excluding(Point::Position(after));
    let mut subscription =
        store.blocking().subscribe(Subscribe { from, ..Subscribe::to(subscribed()?) })?;
    loop {
        if let Delivery::Event(event, _) = subscription.next_blocking()? {
            print_line(&format!("got {}", event.position()))?;
        }
    }
}

/// Reads, defines and drops an index, scavenges.
fn administer(store: &Embedded, seed: u64) -> anyhow::Result<()> {
    for n in seed.. {
        let query: Query = format!("tag:mod={} type:SnapshotPolicy", n % 9).parse()?;
        let page = store.blocking().read(Read::backward(query.clone()).limit(1_000))?;
        ensure!(
            page.events.iter().all(|event| event.event_type() == "SnapshotPolicy"),
            "a wrong answer"
        );
        match store.blocking().indexes()?.iter().any(|index| index.name == "mod") {
            true => store.blocking().drop_index("mod")?,
            false => store.blocking().define_index(leftfold::IndexDefinition::new("mod", query))?,
        }
        store.scavenge(|_, _| {})?;
    }
    Ok(())
}

/// Prints one whole line and flushes it, so that the parent reads it.
fn print_line(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}
