use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::content::Content;
use super::faults::{Counts, Fate, Faults, Gate, power_is_off};
use super::random::SeededRandom;
use crate::disk::{Disk, File, Lock, OpenMode};

type Node = Arc<Mutex<Content>>;
type Directory = BTreeMap<String, Node>;

/// What a power cut does to what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Crash {
    /// All of it is gone.
    Forgets,
    /// All of it happened to reach the disk.
    Keeps,
    /// Some sectors reached the disk and some did not, in any order, as this seed decides.
    Tears(u64),
}

/// A disk in memory that a test can cut off, fail, fill, rot and stall.
#[derive(Clone, Default)]
pub struct FakeDisk {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    names: Mutex<Names>,
    locks: Mutex<BTreeSet<String>>,
    faults: Faults,
    sync_gate: Gate,
    read_gate: Gate,
    gated_reads: Mutex<Option<String>>,
}

#[derive(Default)]
struct Names {
    seen: Directory,
    lasting: Directory,
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
        change.apply(&mut self.seen);
        self.pending.push(change);
    }
}

impl FakeDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as it is found after a power cut.
    pub fn after(&self, crash: Crash) -> FakeDisk {
        let names = self.inner.names.lock();
        let random = SeededRandom::new(if let Crash::Tears(seed) = crash { seed } else { 0 });
        let mut directory = names.lasting.clone();
        // File systems journal changes of names in order: a prefix of them lasts.
        let lasting = match crash {
            Crash::Forgets => 0,
            Crash::Keeps => names.pending.len(),
            Crash::Tears(_) => random.below(names.pending.len() as u64 + 1) as usize,
        };
        for change in &names.pending[..lasting] {
            change.apply(&mut directory);
        }
        let survive = |node: &Node| {
            let content = node.lock();
            Arc::new(Mutex::new(match crash {
                Crash::Forgets => content.forgetting(),
                Crash::Keeps => content.keeping(),
                Crash::Tears(_) => content.torn(&random),
            }))
        };
        let found: Directory =
            directory.iter().map(|(name, node)| (name.clone(), survive(node))).collect();
        let after = FakeDisk::new();
        *after.inner.names.lock() =
            Names { seen: found.clone(), lasting: found, pending: Vec::new() };
        after
    }

    /// Cuts the power during the n-th change (counted from 1 since the disk was made).
    pub fn cut_power_at(&self, change: u64) {
        self.inner.faults.cut_at(change);
    }

    /// How often the disk was asked.
    pub fn counts(&self) -> Counts {
        self.inner.faults.counts()
    }

    /// Lets the next syncs fail.
    pub fn fail_syncs(&self, times: u64) {
        self.inner.faults.fail_syncs(times);
    }

    /// Lets the next writes fail.
    pub fn fail_writes(&self, times: u64) {
        self.inner.faults.fail_writes(times);
    }

    /// Sets how many bytes fit in all files together; `None` is without end.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.inner.faults.set_capacity(bytes);
    }

    /// The bytes of all files.
    pub fn used(&self) -> u64 {
        self.inner.used()
    }

    /// Flips bits of one byte of a file, for ever.
    pub fn rot(&self, name: &str, offset: u64, mask: u8) {
        if let Some(node) = self.inner.names.lock().seen.get(name) {
            node.lock().flip(offset as usize, mask);
        }
    }

    /// A file's bytes as they are seen now.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.inner.names.lock().seen.get(name).map(|node| node.lock().seen().to_vec())
    }

    /// All files' names.
    pub fn names(&self) -> Vec<String> {
        self.inner.names.lock().seen.keys().cloned().collect()
    }

    /// The gate that every file sync passes.
    pub fn syncs(&self) -> &Gate {
        &self.inner.sync_gate
    }

    /// The gate that every read of a file whose name ends so passes.
    pub fn reads_of(&self, suffix: &str) -> &Gate {
        *self.inner.gated_reads.lock() = Some(suffix.to_owned());
        &self.inner.read_gate
    }
}

impl Inner {
    fn used(&self) -> u64 {
        let names = self.names.lock();
        names.seen.values().map(|node| node.lock().seen().len() as u64).sum()
    }

    fn change(&self, change: NameChange) -> io::Result<()> {
        let fate = self.faults.changing()?;
        self.names.lock().change(change);
        match fate {
            Fate::Works => Ok(()),
            Fate::Cut => Err(power_is_off()),
        }
    }
}

impl Disk for FakeDisk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let found = self.inner.names.lock().seen.get(name).cloned();
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
        let inside = names.seen.keys().filter_map(|name| name.strip_prefix(&prefix));
        Ok(inside.filter(|rest| !rest.contains('/')).map(str::to_owned).collect())
    }

    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if !self.inner.names.lock().seen.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inner.change(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.inner.names.lock().seen.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inner.change(NameChange::Remove(name.to_owned()))
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        if let Fate::Cut = self.inner.faults.changing()? {
            return Err(power_is_off());
        }
        let mut names = self.inner.names.lock();
        let pending = std::mem::take(&mut names.pending);
        pending.iter().for_each(|change| change.apply(&mut names.lasting));
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        if !self.inner.locks.lock().insert(name.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(FakeLock { name: name.to_owned(), disk: self.inner.clone() }))
    }

    fn describe(&self) -> String {
        "fake disk".to_owned()
    }
}

struct FakeLock {
    name: String,
    disk: Arc<Inner>,
}

impl Lock for FakeLock {}

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.disk.locks.lock().remove(&self.name);
    }
}

struct FakeFile {
    name: String,
    node: Node,
    disk: Arc<Inner>,
}

impl FakeFile {
    fn write(&self, size_after: u64, write: impl FnOnce(&mut Content)) -> io::Result<()> {
        let fate = self.disk.faults.writing(size_after)?;
        write(&mut self.node.lock());
        match fate {
            Fate::Works => Ok(()),
            Fate::Cut => Err(power_is_off()),
        }
    }

    fn used_with(&self, end: u64) -> u64 {
        let len = self.node.lock().seen().len() as u64;
        self.disk.used() + end.saturating_sub(len)
    }
}

impl File for FakeFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let gated = self.disk.gated_reads.lock().clone();
        if gated.is_some_and(|suffix| self.name.ends_with(&suffix)) {
            self.disk.read_gate.pass();
        }
        self.disk.faults.reading(buf.len())?;
        let content = self.node.lock();
        let rest = content.seen().get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn will_read(&self, _offset: u64, _len: u64) {
        self.disk.faults.announcing();
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let size_after = self.used_with(offset + bytes.len() as u64);
        self.write(size_after, |content| content.write(offset as usize, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_gate.pass();
        match self.disk.faults.syncing()? {
            Fate::Works => {
                self.node.lock().sync();
                Ok(())
            }
            Fate::Cut => Err(power_is_off()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.node.lock().seen().len() as u64)
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
    fn forgets_what_was_not_synced() {
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
    fn an_atomic_replace_is_old_or_new_wherever_the_power_goes() {
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
    fn fills_up_and_fails_when_told() {
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
