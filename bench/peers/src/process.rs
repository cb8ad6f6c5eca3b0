//! The resources of processes, and the sizes of directories: from `/proc`, for servers with any
//! number of processes.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

/// The ticks of processor time in a second, as Linux reports them to user space.
const TICKS: f64 = 100.0;
const PAGE_CACHE_PASSES: usize = 2;

/// Processor time in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// The time of this process: the client, or the store itself if it runs here.
    pub(crate) own: f64,
    /// The time of the server's processes.
    pub(crate) server: f64,
}

impl Usage {
    pub(crate) fn since(self, before: Usage) -> f64 {
        self.own - before.own + self.server - before.server
    }
}

/// Returns the processor time of this process and of a server with all its descendants.
pub(crate) fn cpu(server: Option<u32>) -> anyhow::Result<Usage> {
    let own = CpuTimes::of(std::process::id())?;
    let mut usage = Usage { own: own.mine / TICKS, server: 0.0 };
    if let Some(root) = server {
        // A process that has ended counts once its parent has waited for it.
        for process in family(root)? {
            if let Ok(times) = CpuTimes::of(process) {
                usage.server += (times.mine + times.waited) / TICKS;
            }
        }
    }
    Ok(usage)
}

struct CpuTimes {
    mine: f64,
    waited: f64,
}

impl CpuTimes {
    fn of(process: u32) -> anyhow::Result<CpuTimes> {
        let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let fields = after_name(&text).context("/proc/PID/stat has another form")?;
        let at = |n: usize| fields.get(n).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        Ok(CpuTimes { mine: at(11) + at(12), waited: at(13) + at(14) })
    }
}

/// Returns the fields after the name, which may have spaces itself: state, parent, ...
fn after_name(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace().collect())
}

/// Returns a process and all its descendants.
pub(crate) fn family(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(process) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(text) = fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let parent = after_name(&text).and_then(|fields| fields.get(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(process);
    }
    let (mut all, mut next) = (vec![root], 0);
    while let Some(process) = all.get(next) {
        all.extend(children.remove(process).unwrap_or_default());
        next += 1;
    }
    Ok(all)
}

/// Returns the peak of resident memory of this process and a server. Memory that several processes
/// share (PostgreSQL's buffers, a program's file) counts once, as much as the process with most of
/// it has.
pub(crate) fn peak_memory(server: Option<u32>) -> anyhow::Result<u64> {
    let own = ResidentMemory::of(std::process::id())?.peak;
    let Some(root) = server else { return Ok(own) };
    let family = family(root)?;
    let all: Vec<ResidentMemory> =
        family.iter().filter_map(|one| ResidentMemory::of(*one).ok()).collect();
    let private: u64 = all.iter().map(|one| one.peak.saturating_sub(one.shared)).sum();
    let shared = all.iter().map(|one| one.shared).max().unwrap_or(0);
    Ok(own + private + shared)
}

struct ResidentMemory {
    peak: u64,
    shared: u64,
}

impl ResidentMemory {
    fn of(process: u32) -> anyhow::Result<ResidentMemory> {
        let text = fs::read_to_string(format!("/proc/{process}/status"))?;
        let kilobytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let peak = kilobytes("VmHWM:").context("/proc/PID/status has no VmHWM")?;
        let shared = kilobytes("RssShmem:").unwrap_or(0) + kilobytes("RssFile:").unwrap_or(0);
        Ok(ResidentMemory { peak: peak * 1024, shared: shared * 1024 })
    }
}

/// Returns the bytes that a directory's files take on disk; holes take none.
pub(crate) fn allocated(dir: &Path) -> anyhow::Result<u64> {
    allocated_by(dir, |_| true)
}

/// Returns the bytes on disk of some of a directory's files.
pub(crate) fn allocated_by(dir: &Path, counts: impl Fn(&Path) -> bool) -> anyhow::Result<u64> {
    let mut bytes = 0;
    each_file(dir, &mut |path| {
        if counts(path) {
            bytes += fs::symlink_metadata(path)?.blocks() * 512;
        }
        Ok(())
    })?;
    Ok(bytes)
}

/// Returns the bytes up to the last non-zero block of each file: the bytes in use of preallocated
/// files.
pub(crate) fn used(dir: &Path) -> anyhow::Result<u64> {
    const BLOCK: usize = 64 << 10;
    let mut bytes = 0;
    let mut block = vec![0; BLOCK];
    each_file(dir, &mut |path| {
        let mut file = fs::File::open(path)?;
        let (mut at, mut last) = (0, 0);
        loop {
            let read = file.read(&mut block)?;
            if read == 0 {
                break;
            }
            at += read as u64;
            if block.iter().take(read).any(|byte| *byte != 0) {
                last = at;
            }
        }
        bytes += last;
        Ok(())
    })?;
    Ok(bytes)
}

/// Evicts a directory's files from the page cache, except mapped pages.
pub(crate) fn evict(dir: &Path) -> anyhow::Result<()> {
    for _ in 0..PAGE_CACHE_PASSES {
        each_file(dir, &mut |path| {
            let Ok(file) = fs::File::open(path) else { return Ok(()) };
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            Ok(())
        })?;
    }
    Ok(())
}

fn each_file(dir: &Path, act: &mut dyn FnMut(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            each_file(&entry.path(), act)?;
        } else if kind.is_file() {
            act(&entry.path())?;
        }
    }
    Ok(())
}

/// Waits until the processors have been less than 5% busy for a time, because a disk looks many
/// times slower on busy ones. Returns false if that does not happen in a minute.
pub(crate) fn wait_for_idle(quiet: Duration) -> bool {
    const LONGEST: Duration = Duration::from_secs(60);
    let started = Instant::now();
    let mut since = None;
    while started.elapsed() < LONGEST {
        let before = processor_ticks();
        std::thread::sleep(Duration::from_millis(250));
        let after = processor_ticks();
        let (busy, all) = (after.0 - before.0, after.1 - before.1);
        if all == 0 || busy * 20 >= all {
            since = None;
            continue;
        }
        if since.get_or_insert_with(Instant::now).elapsed() >= quiet {
            return true;
        }
    }
    false
}

/// Returns the busy ticks and all ticks of the processors.
fn processor_ticks() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_spaces_and_parentheses_is_skipped() {
        let fields = after_name("12 (a (b) c) S 7 1 1").unwrap();
        assert_eq!(fields, ["S", "7", "1", "1"]);
    }

    #[test]
    fn a_process_is_in_its_own_family_and_has_memory() {
        assert!(family(std::process::id()).unwrap().contains(&std::process::id()));
        assert!(peak_memory(None).unwrap() > 100_000);
    }

    #[test]
    fn holes_take_no_space() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("hole")).unwrap();
        file.set_len(1 << 30).unwrap();
        assert!(allocated(dir.path()).unwrap() < 1 << 20);
    }

    #[test]
    fn trailing_zeros_are_not_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; 1 << 20];
        bytes[70_000] = 1;
        fs::write(dir.path().join("segment"), bytes).unwrap();
        assert_eq!(used(dir.path()).unwrap(), 128 << 10);
    }
}
