//! Ingests a large camt.053 file with the binary: `cargo xtask bench ingest [GB]`.

use std::fs;
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use leftfold_bench::{bare_loop, machine, spread, wait_for_idle};
use leftfold_connect::sample::write_camt;

const ROUNDS: usize = 3;

fn main() -> anyhow::Result<()> {
    let gigabytes: f64 = std::env::args().nth(1).map_or(Ok(1.0), |text| text.parse())?;
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    let file = dir.path().join("large.xml");
    let mut out = BufWriter::new(fs::File::create(&file)?);
    let written = write_camt(&mut out, (gigabytes * 1e9) as u64, 7)?;
    out.flush()?;
    println!("{}; camt.053, {} bytes, {} events", machine(), written.bytes, written.events);
    let (mut rates, mut records, mut peak) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        wait_for_idle();
        let bare = bare_loop(dir.path(), 448, 1_000)?;
        let data = dir.path().join(format!("data-{round}"));
        let started = Instant::now();
        let kb = ingest(&file, &data)?;
        let seconds = started.elapsed().as_secs_f64();
        let log: u64 = size(&data.join("log"))?;
        let index = size(&data.join("index"))?;
        println!(
            "round {round}: {seconds:.1} s, peak resident {kb} kB, log {log} bytes, index {index} bytes \
             (bare write+fdatasync beside it: {bare:.0}/s)"
        );
        rates.push(written.bytes as f64 / 1e6 / seconds);
        records.push(written.events as f64 / seconds);
        peak = peak.max(kb);
        fs::remove_dir_all(data)?;
    }
    let [rate, least, greatest] = spread(rates);
    let [records, low, high] = spread(records);
    println!(
        "{rate:.0} MB/s ({least:.0} to {greatest:.0}), {records:.0} records/s ({low:.0} to {high:.0}), peak resident {peak} kB"
    );
    Ok(())
}

fn size(dir: &std::path::Path) -> std::io::Result<u64> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// Runs the binary; returns its peak resident memory in kB, as the kernel counts it.
fn ingest(file: &std::path::Path, data: &std::path::Path) -> anyhow::Result<u64> {
    let binary = std::env::current_exe()?.with_file_name("leftfold");
    let mut command = Command::new(binary);
    command.arg("--data").arg(data).arg("ingest").arg(file).args(["--map", "camt.053"]);
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
