use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::content::Content;
use super::faults::{Counts, Faults, Gate, Outcome, Syncs, power_is_off};
use super::lock::Locks;
use super::names::{Directory, NameChange, Names, Node};
use super::random::SeededRandom;
use crate::disk::{Disk, File, FileStatus, Lock, OpenMode};
use crate::memory::may_read;

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

impl FakeDisk {
    /// Creates an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the disk as it is after a power cut.
    pub fn after(&self, crash: Crash) -> FakeDisk {
        let names = self.inner.names.lock();
        let random = SeededRandom::new(if let Crash::Tears(seed) = crash { seed } else { 0 });
        let directory = names.after(crash, &random);
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
        *after.inner.names.lock() = Names::synced(found);
        after.inner.faults.lie_as(&self.inner.faults);
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

    /// Makes every n-th sync of a kind answer success and keep nothing, as a disk does that lies. What it
    /// should have kept is kept by the next sync that does not lie. Disks made by [`FakeDisk::after`] lie too.
    pub fn lie_at_every(&self, n: u64, of: Syncs) {
        self.inner.faults.lie_at_every(n, of);
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
        let (name, disk, announced) = (name.to_owned(), self.inner.clone(), Mutex::default());
        Ok(Arc::new(FakeFile { name, node, disk, announced }))
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
        let found = self.inner.names.lock().visible.get(from).cloned();
        let node = found.ok_or(io::ErrorKind::NotFound)?;
        self.inner.change(NameChange::Rename(from.to_owned(), to.to_owned(), node))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.inner.names.lock().visible.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inner.change(NameChange::Remove(name.to_owned()))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        if let Outcome::PowerCut = self.inner.faults.start_change()? {
            return Err(power_is_off());
        }
        if self.inner.faults.keeps_sync(Syncs::Directories) {
            self.inner.names.lock().sync(dir);
        }
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

/// The announced ranges of a file that are known.
const MOST_ANNOUNCED: usize = 64;

struct FakeFile {
    name: String,
    node: Node,
    disk: Arc<Inner>,
    /// The last ranges that were announced.
    announced: Mutex<VecDeque<Range<u64>>>,
}

impl FakeFile {
    fn is_announced(&self, from: u64, to: u64) -> bool {
        self.announced.lock().iter().any(|range| range.start <= from && to <= range.end)
    }

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
        if self.is_announced(offset, offset + buf.len() as u64) {
            self.disk.faults.count_announced_read();
        }
        let content = self.node.lock();
        let rest = content.visible().get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn prefetch(&self, offset: u64, len: u64) {
        if !may_read() {
            return;
        }
        self.disk.faults.count_prefetch();
        let mut announced = self.announced.lock();
        announced.truncate(MOST_ANNOUNCED - 1);
        announced.push_front(offset..offset + len);
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let size_after = self.used_with(offset + bytes.len() as u64);
        self.write(size_after, |content| content.write(offset as usize, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_gate.pass();
        match self.disk.faults.start_sync()? {
            Outcome::Success => {
                if self.disk.faults.keeps_sync(Syncs::Files) {
                    self.node.lock().sync();
                }
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
        // What is cut off frees space, however full the disk is.
        let size_after = if len <= self.len()? { 0 } else { self.used_with(len) };
        self.write(size_after, |content| content.set_len(len as usize))
    }
}
