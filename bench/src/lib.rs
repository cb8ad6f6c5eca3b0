//! Shared parts of the benchmarks: waiting for an idle machine, medians with their spread, and the
//! bare write+fdatasync loop, which is the control of every durable number.

pub mod micro;
pub mod process;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Waits until the processors are nearly idle, because a disk looks many times slower on busy ones.
/// Gives up after a minute with a message.
pub fn wait_for_idle() {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let before = processor_times();
        std::thread::sleep(Duration::from_millis(500));
        let after = processor_times();
        let (busy, all) = (after.0 - before.0, after.1 - before.1);
        if all > 0 && busy * 10 < all {
            return;
        }
    }
    println!("(the processors did not become idle; take the numbers with care)");
}

/// Returns the busy ticks and all ticks of the processors.
fn processor_times() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// Describes the machine in one line.
pub fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("?", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {model}, Linux {}", kernel.trim())
}

/// Returns the processor time that this process has used so far, user and system, in seconds.
pub fn cpu_seconds() -> f64 {
    /// Linux reports 100 ticks a second to user space on every machine.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS
}

/// Returns how many read system calls this process has made so far.
pub fn reads_of_files() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("syscr: "));
    line.and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// Returns a client for HTTP without proxies. Its TLS needs a provider, even if no address has TLS.
///
/// # Errors
/// The client can't be made.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    // Another one may be installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build()
}

/// Returns the median, the least and the greatest value.
pub fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    [at(values.len() / 2), at(0), at(values.len().saturating_sub(1))]
}

/// Writes and syncs `times` times into a file of zeros, which was written in chunks as the log does
/// it. Returns the rate per second.
pub fn bare_loop(dir: &Path, bytes: usize, times: u64) -> std::io::Result<f64> {
    let path = dir.join("bare");
    let file = fs::OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    const PIECE: usize = 64 << 10;
    for at in (0..bytes * times as usize).step_by(PIECE) {
        file.write_all_at(&[0; PIECE], at as u64)?;
    }
    file.sync_all()?;
    let record = vec![7; bytes];
    let started = Instant::now();
    for n in 0..times {
        file.write_all_at(&record, n * bytes as u64)?;
        file.sync_data()?;
    }
    let rate = times as f64 / started.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}
