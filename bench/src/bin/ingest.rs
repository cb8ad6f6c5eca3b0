//! Ingests large camt.053, CSV and NDJSON files with the binary, beside programs in Python that only parse them:
//! `cargo xtask bench ingest [GB]`.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use leftfold_bench::{bare_loop, machine, spread, wait_for_idle};
use leftfold_connect::sample::write_camt;

const ROUNDS: usize = 3;

fn main() -> anyhow::Result<()> {
    let gigabytes: f64 = std::env::args().nth(1).map_or(Ok(1.0), |text| text.parse())?;
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    println!("{}", machine());
    let bytes = (gigabytes * 1e9) as u64;
    let inputs =
        [camt(dir.path(), bytes)?, csv(dir.path(), bytes / 4)?, ndjson(dir.path(), bytes / 4)?];
    let lxml = lxml(dir.path())?;
    for input in &inputs {
        measure(input, dir.path(), lxml.as_deref())?;
    }
    Ok(())
}

/// A file to ingest, and a program in Python that only parses it.
struct Input {
    name: &'static str,
    file: PathBuf,
    bytes: u64,
    records: u64,
    map: PathBuf,
    peer: &'static str,
    parse: &'static str,
}

fn camt(dir: &Path, bytes: u64) -> anyhow::Result<Input> {
    let file = dir.join("large.xml");
    let mut out = BufWriter::new(fs::File::create(&file)?);
    let written = write_camt(&mut out, bytes, 7)?;
    out.flush()?;
    Ok(Input {
        name: "camt.053",
        file,
        bytes: written.bytes,
        records: written.events,
        map: "camt.053".into(),
        peer: "lxml.etree.iterparse",
        parse: "from lxml import etree\nfor _, e in etree.iterparse(sys.argv[1], events=('end',)):\n    \
                if e.tag.endswith('Ntry'): e.clear()",
    })
}

/// The mapping of the CSV and the NDJSON file.
fn mapping(dir: &Path, format: &str, slash: &str) -> anyhow::Result<PathBuf> {
    let path = dir.join(format!("{format}.toml"));
    let field = |name: &str, rest: &str| format!("{name} = {{ path = \"{slash}{name}\"{rest} }}\n");
    let fields = field("number", ", required = true")
        + &field("account", ", required = true")
        + &field("day", ", type = \"date\"")
        + &field("amount", ", type = \"decimal\"")
        + &field("text", "");
    let head =
        format!("name = \"rows\"\nformat = \"{format}\"\nstream = \"account-{{account}}\"\n");
    let rest = "data = [\"number\", \"amount\", \"text\"]\nevent = { type = \"Booked\", time = \"day\" }\n\
                id = { keys = [[\"number\"]] }\n[field]\n";
    fs::write(&path, head + rest + &fields)?;
    Ok(path)
}

fn rows(
    file: &Path,
    bytes: u64,
    head: &str,
    row: impl Fn(u64) -> String,
) -> anyhow::Result<(u64, u64)> {
    let mut out = BufWriter::new(fs::File::create(file)?);
    out.write_all(head.as_bytes())?;
    let (mut written, mut records) = (head.len() as u64, 0);
    while written < bytes {
        let text = row(records);
        out.write_all(text.as_bytes())?;
        written += text.len() as u64;
        records += 1;
    }
    out.flush()?;
    Ok((written, records))
}

fn csv(dir: &Path, bytes: u64) -> anyhow::Result<Input> {
    let file = dir.join("large.csv");
    let (bytes, records) = rows(&file, bytes, "number,account,day,amount,text\n", |n| {
        let (account, day, cents) = (n % 1_000, 1 + n % 28, n * 7_919 % 100_000);
        format!(
            "{n},DE{account:020},2026-03-{day:02},{}.{:02},\"card payment {}, terminal {}\"\n",
            cents / 100,
            cents % 100,
            n % 977,
            n % 31
        )
    })?;
    let map = mapping(dir, "csv", "")?;
    let parse = "import csv\nfor r in csv.DictReader(open(sys.argv[1], newline='')): pass";
    Ok(Input { name: "CSV", file, bytes, records, map, peer: "Python's csv.DictReader", parse })
}

fn ndjson(dir: &Path, bytes: u64) -> anyhow::Result<Input> {
    let file = dir.join("large.ndjson");
    let (bytes, records) = rows(&file, bytes, "", |n| {
        let (account, day, cents) = (n % 1_000, 1 + n % 28, n * 7_919 % 100_000);
        format!(
            "{{\"number\":{n},\"account\":\"DE{account:020}\",\"day\":\"2026-03-{day:02}\",\
             \"amount\":\"{}.{:02}\",\"text\":\"card payment {}, terminal {}\"}}\n",
            cents / 100,
            cents % 100,
            n % 977,
            n % 31
        )
    })?;
    let map = mapping(dir, "ndjson", "/")?;
    let parse = "import json\nfor line in open(sys.argv[1], 'rb'): json.loads(line)";
    Ok(Input { name: "NDJSON", file, bytes, records, map, peer: "Python's json.loads", parse })
}

/// Returns a folder with lxml, or nothing if Python has it; says so if it can't be had.
fn lxml(dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    let has = Command::new("python3").args(["-c", "import lxml"]).stderr(Stdio::null()).status()?;
    if has.success() {
        return Ok(None);
    }
    let folder = dir.join("python");
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).arg("lxml");
    if !install.status()?.success() {
        println!("lxml can't be installed: camt is measured without a peer");
    }
    Ok(Some(folder))
}

/// Ingests a file and lets the peer parse it, in turns.
fn measure(input: &Input, dir: &Path, python: Option<&Path>) -> anyhow::Result<()> {
    println!("{}, {} bytes, {} records", input.name, input.bytes, input.records);
    let (mut rates, mut records, mut parsed, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        wait_for_idle();
        let bare = bare_loop(dir, 448, 1_000)?;
        let data = dir.join(format!("data-{round}"));
        let started = Instant::now();
        let kb = ingest(input, &data)?;
        let seconds = started.elapsed().as_secs_f64();
        let log: u64 = size(&data.join("log"))?;
        let index = size(&data.join("index"))?;
        println!(
            "round {round}: {seconds:.1} s, peak resident {kb} kB, log {log} bytes, index {index} bytes \
             (bare write+fdatasync beside it: {bare:.0}/s)"
        );
        rates.push(input.bytes as f64 / 1e6 / seconds);
        records.push(input.records as f64 / seconds);
        peak = peak.max(kb);
        fs::remove_dir_all(data)?;
        let mut peer = Command::new("python3");
        peer.args(["-c", &format!("import sys\n{}", input.parse)]).arg(&input.file);
        if let Some(folder) = python {
            peer.env("PYTHONPATH", folder);
        }
        let started = Instant::now();
        if peer.status()?.success() {
            parsed.push(input.bytes as f64 / 1e6 / started.elapsed().as_secs_f64());
        }
    }
    let [rate, least, greatest] = spread(rates);
    let [records, low, high] = spread(records);
    println!(
        "{}: {rate:.0} MB/s ({least:.0} to {greatest:.0}), {records:.0} records/s ({low:.0} to {high:.0}), \
         peak resident {peak} kB",
        input.name
    );
    if !parsed.is_empty() {
        let [peer, least, greatest] = spread(parsed);
        println!(
            "{}, parsing only: {peer:.0} MB/s ({least:.0} to {greatest:.0}); ours is {:.2} of it",
            input.peer,
            rate / peer
        );
    }
    Ok(())
}

fn size(dir: &Path) -> std::io::Result<u64> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// Runs the binary; returns its peak resident memory in kB, as the kernel counts it.
fn ingest(input: &Input, data: &Path) -> anyhow::Result<u64> {
    let binary = std::env::current_exe()?.with_file_name("leftfold");
    let mut command = Command::new(binary);
    command.arg("--data").arg(data).arg("ingest").arg(&input.file).arg("--map").arg(&input.map);
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak = peak.max(kb.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    anyhow::ensure!(ended.success(), "the ingest ended with {ended}");
    Ok(peak)
}
