use std::io;

use leftfold_io::{Disk, Lock, read_whole, write_atomically};

use super::error::BackupError;
use super::{BACKUP, DIRECTORIES, LIST_LIMIT};
use crate::create::LOCK;
use crate::format::{BackupList, StoreHeader};

/// A locked directory for backups of a store.
pub(super) struct Target<'a> {
    pub(super) disk: &'a dyn Disk,
    /// The list of the last whole backup in it.
    pub(super) last: BackupList,
    _lock: Box<dyn Lock>,
}

impl<'a> Target<'a> {
    /// Opens a directory that is empty or holds backups of this store. An empty one gets an empty list
    /// first, which shows that all that follows belongs to a backup.
    pub(super) fn open(
        disk: &'a dyn Disk,
        header: &StoreHeader,
        head: u64,
    ) -> Result<Self, BackupError> {
        let dir = disk.describe();
        // Checked before the lock is taken, too: nothing is changed in a foreign directory.
        refuse_others(disk, header, head)?;
        let lock = disk.lock(LOCK).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => BackupError::Locked(dir.clone()),
            _ => BackupError::io(&dir, LOCK, error),
        })?;
        let last = match refuse_others(disk, header, head)? {
            Some(last) => last,
            None => begin(disk, header)?,
        };
        for name in DIRECTORIES {
            disk.create_dir(name).map_err(|error| BackupError::io(&dir, name, error))?;
        }
        Ok(Target { disk, last, _lock: lock })
    }

    /// Removes files that the list does not name.
    pub(super) fn clean(&self, list: &BackupList) {
        let of_dir = |dir: &str| {
            let names = self.disk.list(dir).unwrap_or_default();
            names.into_iter().map(move |name| (dir.to_owned(), name)).collect::<Vec<_>>()
        };
        let inside = DIRECTORIES.iter().flat_map(|dir| of_dir(dir));
        let inside = inside.map(|(dir, name)| format!("{dir}/{name}"));
        let numbered = |name: &String| name.starts_with("STORE.") || name.starts_with("MANIFEST.");
        let outside = of_dir("").into_iter().map(|(_, name)| name).filter(numbered);
        for name in inside.chain(outside) {
            if !list.files.iter().any(|file| file.stored == name) {
                // If that fails, the next backup tries again: this one is whole.
                _ = self.disk.remove(&name);
            }
        }
    }
}

fn begin(disk: &dyn Disk, header: &StoreHeader) -> Result<BackupList, BackupError> {
    let (store_id, incarnation) = (header.store_id, header.incarnation);
    let nothing = BackupList { store_id, incarnation, ..BackupList::default() };
    write_atomically(disk, "", BACKUP, &nothing.encode())
        .map_err(|error| BackupError::io(&disk.describe(), BACKUP, error))?;
    Ok(nothing)
}

/// Returns the list of the last backup, or `None` if the directory is empty.
fn refuse_others(
    disk: &dyn Disk,
    header: &StoreHeader,
    head: u64,
) -> Result<Option<BackupList>, BackupError> {
    let dir = disk.describe();
    let Some(last) = read_list(disk)? else {
        return match first_file(disk, &[LOCK, "BACKUP.new"])? {
            None => Ok(None),
            Some(name) => Err(BackupError::Foreign { dir, what: format!("it holds {name}") }),
        };
    };
    let what = if last.store_id != header.store_id {
        "it holds a backup of another store"
    } else if last.incarnation != header.incarnation {
        "it holds a backup of another incarnation of this store, from before a restore or a repair"
    } else if last.head > head {
        "it holds a backup of a later state of this store"
    } else {
        return Ok(Some(last));
    };
    Err(BackupError::Foreign { dir, what: what.to_owned() })
}

/// Reads the list of the last backup, if there is one.
fn read_list(disk: &dyn Disk) -> Result<Option<BackupList>, BackupError> {
    let dir = disk.describe();
    match read_whole(disk, BACKUP, LIST_LIMIT) {
        Ok(bytes) => BackupList::parse(&bytes)
            .map(Some)
            .map_err(|why| BackupError::damaged(&dir, BACKUP, why)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupError::io(&dir, BACKUP, error)),
    }
}

/// Returns a directory's last whole backup, locked against changes unless the directory is
/// read-only.
pub(super) fn existing(
    disk: &dyn Disk,
) -> Result<(BackupList, Option<Box<dyn Lock>>), BackupError> {
    let dir = disk.describe();
    let missing = || BackupError::Missing(dir.clone());
    read_list(disk)?.ok_or_else(missing)?;
    let lock = match disk.lock(LOCK) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(BackupError::Locked(dir));
        }
        lock => lock.ok(),
    };
    // Read again: until the lock was held, it may have been replaced.
    let list = read_list(disk)?.filter(|list| list.number > 0).ok_or_else(missing)?;
    Ok((list, lock))
}

/// Finds a file in a directory or in its store directories, other than these.
pub(super) fn first_file(disk: &dyn Disk, beside: &[&str]) -> Result<Option<String>, BackupError> {
    for dir in ["", "log", "index"] {
        let names = disk.list(dir);
        let names = names.map_err(|error| BackupError::io(&disk.describe(), dir, error))?;
        if let Some(name) = names.into_iter().find(|name| !beside.contains(&&**name)) {
            return Ok(Some(if dir.is_empty() { name } else { format!("{dir}/{name}") }));
        }
    }
    Ok(None)
}
