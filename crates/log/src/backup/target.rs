use std::io;
use std::sync::Arc;

use leftfold_io::{Disk, File, Lock, OpenMode, read_whole, write_atomically};

use super::copy::create;
use super::error::BackupError;
use super::take::Destination;
use super::{BACKUP, DIRECTORIES, LIST_LIMIT};
use crate::create::LOCK;
use crate::format::{BackupFile, BackupList, StoreHeader};

/// A locked directory for backups of a store.
pub(super) struct Target<'a> {
    disk: &'a dyn Disk,
    /// The list of the last whole backup in it.
    last: BackupList,
    file: Option<TargetFile>,
    _lock: Box<dyn Lock>,
}

/// The file that is being written.
struct TargetFile {
    name: String,
    file: Arc<dyn File>,
    /// Its bytes so far.
    length: u64,
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
        Ok(Target { disk, last, file: None, _lock: lock })
    }

    /// Removes files that the list does not name.
    fn clean(&self, list: &BackupList) {
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

impl Target<'_> {
    fn failed(&self, name: &str, error: io::Error) -> BackupError {
        BackupError::io(&self.disk.describe(), name, error)
    }

    /// Returns the file that was begun.
    fn open_file(&mut self) -> Result<&mut TargetFile, BackupError> {
        let dir = self.disk.describe();
        let none = || BackupError::io(&dir, "", io::Error::other("no file was begun"));
        self.file.as_mut().ok_or_else(none)
    }
}

impl Destination for Target<'_> {
    fn last(&self) -> &BackupList {
        &self.last
    }

    fn has(&self, listed: &BackupFile) -> bool {
        let found = self.disk.open(&listed.stored, OpenMode::Read);
        found.is_ok_and(|file| file.len().is_ok_and(|length| length == listed.length))
    }

    fn begin(&mut self, file: &BackupFile) -> Result<(), BackupError> {
        let name = file.stored.clone();
        let file = create(self.disk, &name).map_err(|error| self.failed(&name, error))?;
        self.file = Some(TargetFile { name, file, length: 0 });
        Ok(())
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), BackupError> {
        let dir = self.disk.describe();
        let TargetFile { name, file, length } = self.open_file()?;
        file.write_at(piece, *length).map_err(|error| BackupError::io(&dir, name, error))?;
        *length += piece.len() as u64;
        Ok(())
    }

    fn end(&mut self, _crc: u32) -> Result<(), BackupError> {
        let dir = self.disk.describe();
        let TargetFile { name, file, .. } = self.open_file()?;
        file.sync().map_err(|error| BackupError::io(&dir, name, error))?;
        self.file = None;
        Ok(())
    }

    /// Syncs all that was copied, then replaces the list: that makes it the backup.
    fn finish(&mut self, list: &BackupList) -> Result<(), BackupError> {
        for dir in DIRECTORIES.into_iter().chain([""]) {
            self.disk.sync_dir(dir).map_err(|error| self.failed(dir, error))?;
        }
        let bytes = list.encode();
        write_atomically(self.disk, "", BACKUP, &bytes)
            .map_err(|error| self.failed(BACKUP, error))?;
        self.clean(list);
        Ok(())
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
