//! Shows that durability is equal: `strace` counts a system's syncs while one appender appends. It
//! is attached after the start and detached before the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::system::System;
use crate::turn::{Appender, Line, Turn, print};
use crate::work::Work;

/// The appends that are traced, and those before.
const APPENDS: u64 = 200;
const BEFORE: u64 = 20;
const SYNCS: [&str; 4] = ["fdatasync", "fsync", "sync_file_range", "msync"];
const WRITES: [&str; 4] = ["write", "pwrite64", "writev", "pwritev2"];
/// The flag in `/proc/PID/fdinfo` for O_DSYNC; O_SYNC includes it.
const O_DSYNC: u32 = 0o10000;
const TIMEOUT: Duration = Duration::from_secs(60);

/// The counts of one system.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SyncCounts {
    pub(crate) appends: u64,
    /// The number of syncs by system call.
    pub(crate) syncs: BTreeMap<String, u64>,
    /// Writes that are syncs: to files opened with O_SYNC or O_DSYNC, or with RWF_DSYNC.
    pub(crate) synced_writes: u64,
}

impl SyncCounts {
    pub(crate) fn per_append(&self) -> f64 {
        let syncs: u64 = self.syncs.values().sum();
        (syncs + self.synced_writes) as f64 / self.appends.max(1) as f64
    }
}

/// Counts the syncs of one system.
pub(crate) async fn count<S: System>(turn: &Turn) -> anyhow::Result<()> {
    let system = S::open(&turn.place).await?;
    let mut appender = Appender::new(system.session().await?, Work::Single(1), turn, 0, 1);
    for _ in 0..BEFORE {
        appender.append().await?;
    }
    let processes = match system.server() {
        Some(server) => process::family(server)?,
        None => vec![std::process::id()],
    };
    let out = turn.place.data.with_extension("strace");
    let tracer = attach(&processes, &out)?;
    for _ in 0..APPENDS {
        appender.append().await?;
    }
    detach(tracer)?;
    let text = fs::read_to_string(&out)?;
    print(&Line::Syncs(counted(&text, &synced_files(&processes))))?;
    drop(appender);
    system.close().await
}

fn attach(processes: &[u32], out: &Path) -> anyhow::Result<Child> {
    let calls = [SYNCS.as_slice(), WRITES.as_slice()].concat().join(",");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "0", "-e", &format!("trace={calls}")]).arg("-o").arg(out);
    for process in processes {
        command.arg("-p").arg(process.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut tracer = command.spawn().context("counting syncs takes strace: install it")?;
    let started = Instant::now();
    while !processes.iter().all(|process| traced(*process)) {
        if let Some(status) = tracer.try_wait()? {
            bail!("strace could not attach and ended with {status}");
        }
        if started.elapsed() > TIMEOUT {
            tracer.kill()?;
            bail!("strace does not attach");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(tracer)
}

/// Returns whether all threads of a process are being traced. A process that has ended counts as
/// traced.
fn traced(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        let Ok(text) = fs::read_to_string(thread.path().join("status")) else { return true };
        text.lines()
            .any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
    })
}

fn detach(mut tracer: Child) -> anyhow::Result<()> {
    let id = i32::try_from(tracer.id()).ok().and_then(Pid::from_raw);
    kill_process(id.context("a process without a number")?, Signal::INT)?;
    tracer.wait()?;
    Ok(())
}

/// Returns the open files of the processes whose writes are syncs.
fn synced_files(processes: &[u32]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for process in processes {
        let Ok(open) = fs::read_dir(format!("/proc/{process}/fd")) else { continue };
        for file in open.flatten() {
            let info = format!("/proc/{process}/fdinfo/{}", file.file_name().to_string_lossy());
            let flags = fs::read_to_string(info).ok().and_then(|text| {
                let octal = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
                u32::from_str_radix(octal.trim(), 8).ok()
            });
            if flags.is_some_and(|flags| flags & O_DSYNC != 0) {
                files.extend(fs::read_link(file.path()));
            }
        }
    }
    files
}

/// Counts calls in strace's lines: `PID call(FD<path>, ...) = ...`. Of an interrupted call only the
/// first line counts, not the `resumed` line.
fn counted(text: &str, synced: &[PathBuf]) -> SyncCounts {
    let mut counted = SyncCounts { appends: APPENDS, ..SyncCounts::default() };
    for line in text.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let Some((name, arguments)) = call.split_once('(') else { continue };
        if SYNCS.contains(&name) {
            *counted.syncs.entry(name.to_owned()).or_default() += 1;
        } else if WRITES.contains(&name) {
            let path = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
            let to_synced = path.is_some_and(|(path, _)| synced.iter().any(|one| one == path));
            let as_sync = arguments.contains("RWF_DSYNC") || arguments.contains("RWF_SYNC");
            counted.synced_writes += u64::from(to_synced || as_sync);
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strace_lines_are_counted_once_each() {
        let text = "12 fdatasync(5</d/log> <unfinished ...>\n\
                    13 write(6</d/blk>, \"\"..., 9) = 9\n\
                    12 <... fdatasync resumed>) = 0\n\
                    13 write(7<socket:[1]>, \"\"..., 9) = 9\n\
                    12 pwritev2(8</d/x>, [], 1, 0, RWF_DSYNC) = 1\n";
        let counted = counted(text, &[PathBuf::from("/d/blk")]);
        assert_eq!(counted.syncs.get("fdatasync"), Some(&1));
        assert_eq!(counted.synced_writes, 2);
    }
}
