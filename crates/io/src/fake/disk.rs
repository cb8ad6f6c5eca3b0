use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::content::Content;
use super::faults::{Counts, Faults, Gate, Outcome, power_is_off};
use super::lock::Locks;
use super::random::SeededRandom;
use crate::disk::{Disk, File, FileStatus, Lock, OpenMode};

type Node = Arc<Mutex<Content>>;
type Directory = BTreeMap<String, Node>;

/// The effect of a power cut on unsynced changes.
#[derive(Debug, Clone, Copy)]
pub enum Crash {
    /// All unsynced changes are lost.
    Forgets,
    /// All unsynced changes had reached the disk.
    Keeps,
    /// The seed decides which sectors and names reached the disk.
    Tears(u64),
}

/// A disk in memory whose power a test can cut, and which a test can fail, fill, corrupt and stall.
#[derive(Clone, Default)]
pub struct FakeDisk {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    names: Mutex<Names>,
    locks: Locks,
    faults: Faults,
    sync_gate: Gate,
    read_gate: Gate,
    gated_reads: Mutex<Option<String>>,
}

#[derive(Default)]
struct Names {
    visible: Directory,
    durable: Directory,
    pending: Vec<NameChange>,
}

#[derive(Clone)]
enum NameChange {
    Put(String, Node),
    Rename(String, String),
    Remove(String),
}

impl NameChange {
    fn apply(&self, to: &mut Directory) {
        match self {
            NameChange::Put(name, node) => _ = to.insert(name.clone(), node.clone()),
            NameChange::Remove(name) => _ = to.remove(name),
            NameChange::Rename(from, name) => {
                if let Some(node) = to.remove(from) {
                    to.insert(name.clone(), node);
                }
            }
        }
    }
}

impl Names {
    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.visible);
        self.pending.push(change);
    }
}

impl FakeDisk {
    /// Creates an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the disk as it is after a power cut.
    pub fn after(&self, crash: Crash) -> FakeDisk {
        let names = self.inner.names.lock();
        let random = SeededRandom::new(if let Crash::Tears(seed) = crash { seed } else { 0 });
        let mut directory = names.durable.clone();
        // File systems journal changes of names in order, so a prefix of them survives.
        let surviving = match crash {
            Crash::Forgets => 0,
            Crash::Keeps => names.pending.len(),
            Crash::Tears(_) => random.below(names.pending.len() as u64 + 1) as usize,
        };
        for change in &names.pending[..surviving] {
            change.apply(&mut directory);
        }
        let survive = |node: &Node| {
            let content = node.lock();
            Arc::new(Mutex::new(match crash {
                Crash::Forgets => content.without_unsynced(),
                Crash::Keeps => content.with_unsynced(),
                Crash::Tears(_) => content.with_some_unsynced(&random),
            }))
        };
        let found: Directory =
            directory.iter().map(|(name, node)| (name.clone(), survive(node))).collect();
        let after = FakeDisk::new();
        *after.inner.names.lock() =
            Names { visible: found.clone(), durable: found, pending: Vec::new() };
        after
    }

    /// Cuts the power during the n-th change, counted from 1 since the disk was created.
    pub fn cut_power_at(&self, change: u64) {
        self.inner.faults.cut_at(change);
    }

    /// Returns the counts of operations since the disk was created.
    pub fn counts(&self) -> Counts {
        self.inner.faults.counts()
    }

    /// Makes the next `times` syncs fail.
    pub fn fail_syncs(&self, times: u64) {
        self.inner.faults.fail_syncs(times);
    }

    /// Makes the next `times` writes fail.
    pub fn fail_writes(&self, times: u64) {
        self.inner.faults.fail_writes(times);
    }

    /// Makes all changes fail, or succeed again: the disk is mounted for reading only.
    pub fn set_read_only(&self, is_read_only: bool) {
        self.inner.faults.set_read_only(is_read_only);
    }

    /// Forgets all locks, and their holders do not notice: so others get in.
    pub fn lose_locks(&self) {
        self.inner.locks.lose();
    }

    /// Sets the capacity of all files together; `None` is unlimited.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.inner.faults.set_capacity(bytes);
    }

    /// Refuses to open or create files whose name ends with `suffix`, as if no file descriptor were left;
    /// `None` allows it again.
    pub fn refuse_opens(&self, suffix: Option<&str>) {
        self.inner.faults.refuse_opens(suffix);
    }

    /// Returns the total length of all files, in bytes.
    pub fn used(&self) -> u64 {
        self.inner.used()
    }

    /// Flips bits of one byte of a file, durably.
    pub fn rot(&self, name: &str, offset: u64, mask: u8) {
        if let Some(node) = self.inner.names.lock().visible.get(name) {
            node.lock().flip(offset as usize, mask);
        }
    }

    /// Returns the bytes of a file that readers see now.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.inner.names.lock().visible.get(name).map(|node| node.lock().visible().to_vec())
    }

    /// Returns the names of all files.
    pub fn names(&self) -> Vec<String> {
        self.inner.names.lock().visible.keys().cloned().collect()
    }

    /// Returns the gate that every sync of a file passes.
    pub fn syncs(&self) -> &Gate {
        &self.inner.sync_gate
    }

    /// Returns the gate that every read of a file passes whose name ends with `suffix`.
    pub fn reads_of(&self, suffix: &str) -> &Gate {
        *self.inner.gated_reads.lock() = Some(suffix.to_owned());
        &self.inner.read_gate
    }
}

impl Inner {
    fn used(&self) -> u64 {
        let names = self.names.lock();
        names.visible.values().map(|node| node.lock().visible().len() as u64).sum()
    }

    fn change(&self, change: NameChange) -> io::Result<()> {
        let outcome = self.faults.start_change()?;
        self.names.lock().change(change);
        match outcome {
            Outcome::Success => Ok(()),
            Outcome::PowerCut => Err(power_is_off()),
        }
    }
}

impl Disk for FakeDisk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.inner.faults.start_open(name)?;
        let found = self.inner.names.lock().visible.get(name).cloned();
        let node = match (mode, found) {
            (OpenMode::Create, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Create, None) => {
                let node = Node::default();
                self.inner.change(NameChange::Put(name.to_owned(), node.clone()))?;
                node
            }
            (_, Some(node)) => node,
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(FakeFile { name: name.to_owned(), node, disk: self.inner.clone() }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let names = self.inner.names.lock();
        let inside = names.visible.keys().filter_map(|name| name.strip_prefix(&prefix));
        Ok(inside.filter(|rest| !rest.contains('/')).map(str::to_owned).collect())
    }

    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if !self.inner.names.lock().visible.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inner.change(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.inner.names.lock().visible.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inner.change(NameChange::Remove(name.to_owned()))
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        if let Outcome::PowerCut = self.inner.faults.start_change()? {
            return Err(power_is_off());
        }
        let mut names = self.inner.names.lock();
        let pending = std::mem::take(&mut names.pending);
        pending.iter().for_each(|change| change.apply(&mut names.durable));
        Ok(())
    }

    fn status(&self, name: &str) -> io::Result<FileStatus> {
        match self.inner.names.lock().visible.get(name) {
            Some(node) => Ok(status_of(node)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn lock(&self, _name: &str) -> io::Result<Box<dyn Lock>> {
        self.inner.faults.check_writable()?;
        self.inner.locks.lock()
    }

    fn lock_shared(&self, _name: &str) -> io::Result<Box<dyn Lock>> {
        self.inner.locks.lock_shared()
    }

    fn describe(&self) -> String {
        "fake disk".to_owned()
    }
}

/// Nodes are never freed while a file of theirs is open, so an address is theirs alone.
fn status_of(node: &Node) -> FileStatus {
    FileStatus { id: (0, Arc::as_ptr(node).addr() as u64), permissions: 0o600 }
}

struct FakeFile {
    name: String,
    node: Node,
    disk: Arc<Inner>,
}

impl FakeFile {
    fn write(&self, size_after: u64, write: impl FnOnce(&mut Content)) -> io::Result<()> {
        let outcome = self.disk.faults.start_write(size_after)?;
        write(&mut self.node.lock());
        match outcome {
            Outcome::Success => Ok(()),
            Outcome::PowerCut => Err(power_is_off()),
        }
    }

    fn used_with(&self, end: u64) -> u64 {
        let len = self.node.lock().visible().len() as u64;
        self.disk.used() + end.saturating_sub(len)
    }
}

impl File for FakeFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let gated = self.disk.gated_reads.lock().clone();
        if gated.is_some_and(|suffix| self.name.ends_with(&suffix)) {
            self.disk.read_gate.pass();
        }
        self.disk.faults.start_read(buf.len())?;
        let content = self.node.lock();
        let rest = content.visible().get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn prefetch(&self, _offset: u64, _len: u64) {
        self.disk.faults.count_prefetch();
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let size_after = self.used_with(offset + bytes.len() as u64);
        self.write(size_after, |content| content.write(offset as usize, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_gate.pass();
        match self.disk.faults.start_sync()? {
            Outcome::Success => {
                self.node.lock().sync();
                Ok(())
            }
            Outcome::PowerCut => Err(power_is_off()),
        }
    }

    fn status(&self) -> io::Result<FileStatus> {
        Ok(status_of(&self.node))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.node.lock().visible().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let size_after = self.used_with(len);
        self.write(size_after, |content| content.set_len(len as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{read_whole, write_atomically};

    #[test]
    fn a_power_cut_loses_unsynced_writes() {
        let disk = FakeDisk::new();
        let file = disk.open("a", OpenMode::Create).unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(b"old", 0).unwrap();
        file.sync().unwrap();
        file.write_at(b"new", 0).unwrap();
        assert_eq!(disk.after(Crash::Forgets).bytes("a").unwrap(), b"old");
        assert_eq!(disk.after(Crash::Keeps).bytes("a").unwrap(), b"new");
    }

    #[test]
    fn a_torn_write_keeps_some_sectors() {
        let disk = FakeDisk::new();
        let file = disk.open("a", OpenMode::Create).unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(&[1; 4096], 0).unwrap();
        file.sync().unwrap();
        file.write_at(&[2; 4096], 0).unwrap();
        let mut mixed = 0;
        for seed in 0..32 {
            let found = disk.after(Crash::Tears(seed)).bytes("a").unwrap();
            assert!(found.chunks(512).all(|s| s == [1; 512] || s == [2; 512]));
            mixed += usize::from(found.contains(&1) && found.contains(&2));
        }
        assert!(mixed > 10, "only {mixed} of 32 crashes tore the write");
    }

    #[test]
    fn an_atomic_replace_is_old_or_new_wherever_the_power_is_cut() {
        for cut in 1..10 {
            let disk = FakeDisk::new();
            write_atomically(&disk, "", "m", b"old").unwrap();
            disk.cut_power_at(disk.counts().changes + cut);
            let done = write_atomically(&disk, "", "m", b"new").is_ok();
            for crash in [Crash::Forgets, Crash::Keeps, Crash::Tears(cut)] {
                let found = read_whole(&disk.after(crash), "m", 100).unwrap();
                assert!(found == b"new" || (found == b"old" && !done), "cut {cut}: {found:?}");
            }
        }
    }

    #[test]
    fn a_full_disk_refuses_writes_and_a_failing_sync_fails_once() {
        let disk = FakeDisk::new();
        let file = disk.open("a", OpenMode::Create).unwrap();
        disk.set_capacity(Some(4));
        file.write_at(b"1234", 0).unwrap();
        assert_eq!(file.write_at(b"5", 4).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.write_at(b"4321", 0).unwrap();
        disk.fail_syncs(1);
        assert!(file.sync().is_err());
        file.sync().unwrap();
    }
}
