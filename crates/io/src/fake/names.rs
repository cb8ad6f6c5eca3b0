use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::SeededRandom;
use super::content::Content;
use super::disk::Crash;

pub(super) type Node = Arc<Mutex<Content>>;
pub(super) type Directory = BTreeMap<String, Node>;

/// The names of files: those that are seen, and those that survive a power cut.
#[derive(Default)]
pub(super) struct Names {
    pub(super) visible: Directory,
    durable: Directory,
    pending: Vec<NameChange>,
}

/// An unsynced change of a directory.
#[derive(Clone)]
pub(super) enum NameChange {
    Put(String, Node),
    /// From a name to a name. An entry of a directory leads to a file, so the new name is never that of another
    /// file which had the old name before. Between directories it is whole or absent, as with any journal.
    Rename(String, String, Node),
    Remove(String),
}

impl NameChange {
    fn apply(&self, to: &mut Directory) {
        match self {
            NameChange::Put(name, node) => _ = to.insert(name.clone(), node.clone()),
            NameChange::Remove(name) => _ = to.remove(name),
            NameChange::Rename(from, name, node) => {
                to.remove(from);
                to.insert(name.clone(), node.clone());
            }
        }
    }

    /// The directory whose sync makes it durable.
    fn dir(&self) -> &str {
        match self {
            NameChange::Put(name, _)
            | NameChange::Remove(name)
            | NameChange::Rename(_, name, _) => dir_of(name),
        }
    }
}

/// Returns the directory of a file; the root is empty.
fn dir_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// What a power cut keeps of the unsynced changes of names.
///
/// File systems with a journal keep all changes up to one. POSIX promises no order.
enum Journal {
    /// One journal for all directories, as of ext4: all changes up to one.
    OfDisk(usize),
    /// One journal for each directory: all changes of each up to one.
    OfDirectories(BTreeMap<String, usize>),
    /// None: any changes.
    Absent,
}

impl Journal {
    fn draw(pending: &[NameChange], random: &SeededRandom) -> Journal {
        let some = |count: usize| random.below(count as u64 + 1) as usize;
        match random.below(3) {
            0 => Journal::OfDisk(some(pending.len())),
            1 => {
                let mut counts = BTreeMap::new();
                for change in pending {
                    *counts.entry(change.dir().to_owned()).or_default() += 1;
                }
                counts.values_mut().for_each(|count| *count = some(*count));
                Journal::OfDirectories(counts)
            }
            _ => Journal::Absent,
        }
    }

    fn keeps(&mut self, change: &NameChange, random: &SeededRandom) -> bool {
        let left = match self {
            Journal::OfDisk(left) => left,
            Journal::OfDirectories(left) => match left.get_mut(change.dir()) {
                Some(left) => left,
                None => return false,
            },
            Journal::Absent => return random.one_in(2),
        };
        let keeps = *left > 0;
        *left -= usize::from(keeps);
        keeps
    }
}

impl Names {
    /// Returns names that are all durable.
    pub(super) fn synced(names: Directory) -> Self {
        Names { visible: names.clone(), durable: names, pending: Vec::new() }
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.visible);
        self.pending.push(change);
    }

    /// Makes the changes of one directory durable.
    pub(super) fn sync(&mut self, dir: &str) {
        let (of_dir, pending) =
            std::mem::take(&mut self.pending).into_iter().partition(|change| change.dir() == dir);
        let of_dir: Vec<NameChange> = of_dir;
        of_dir.iter().for_each(|change| change.apply(&mut self.durable));
        self.pending = pending;
    }

    /// Returns the names after a power cut.
    pub(super) fn after(&self, crash: Crash, random: &SeededRandom) -> Directory {
        let mut found = self.durable.clone();
        let mut journal = match crash {
            Crash::Forgets => Journal::OfDisk(0),
            Crash::Keeps => Journal::OfDisk(self.pending.len()),
            Crash::Tears(_) => Journal::draw(&self.pending, random),
        };
        for change in &self.pending {
            if journal.keeps(change, random) {
                change.apply(&mut found);
            }
        }
        found
    }
}
