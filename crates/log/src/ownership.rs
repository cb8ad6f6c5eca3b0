//! Notices that a store is not this process's any more.
//!
//! The lock keeps other processes out. It fails where the file system has no locks, or if an earlier release
//! meets a store whose `LOCK` was removed. So each opening for writing replaces `MANIFEST` before it reads
//! the open segment. A writer that finds another `MANIFEST` than its own acknowledges nothing more.

use std::io;
use std::sync::Arc;

use leftfold_io::{Disk, File, Lock, OpenMode, read_all, write_atomically};
use parking_lot::Mutex;
use thiserror::Error;

use crate::create::STORE;
use crate::manifest::MANIFEST;

/// Why a store is not this process's any more; a sentence.
#[derive(Debug, Clone, Copy, Error)]
#[error("{0}")]
pub(crate) struct Replaced(pub(crate) &'static str);

impl Replaced {
    /// Returns why an operation has failed, if it is this.
    pub(crate) fn of(error: &io::Error) -> Option<Replaced> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// The exclusive use of a store by this process, and the files by which its loss is noticed.
pub(crate) struct Ownership {
    disk: Arc<dyn Disk>,
    lock: Mutex<Option<Box<dyn Lock>>>,
    store: OwnFile,
    manifest: OwnFile,
}

impl Ownership {
    /// `lock` is held until [`Ownership::unlock`].
    pub(crate) fn new(disk: Arc<dyn Disk>, lock: Box<dyn Lock>) -> Self {
        let lock = Mutex::new(Some(lock));
        Ownership { disk, lock, store: OwnFile::new(STORE), manifest: OwnFile::new(MANIFEST) }
    }

    /// Remembers which file `STORE` is.
    pub(crate) fn hold_store(&self) -> io::Result<()> {
        self.store.hold(&*self.disk).map(drop)
    }

    /// Reads `MANIFEST` and remembers which file it is.
    pub(crate) fn read_manifest(&self, limit: u64) -> io::Result<Vec<u8>> {
        read_all(&*self.manifest.hold(&*self.disk)?, MANIFEST, limit)
    }

    /// Replaces `STORE`, if the store is still this process's.
    pub(crate) fn replace_store(&self, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.store.replace(&*self.disk, bytes)
    }

    /// Replaces `MANIFEST`, if the store is still this process's.
    pub(crate) fn replace_manifest(&self, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.manifest.replace(&*self.disk, bytes)
    }

    /// Fails with [`Replaced`] if another process can have the store by now. Reads no bytes of a file.
    pub(crate) fn check(&self) -> io::Result<()> {
        if let Some(lock) = &*self.lock.lock()
            && !lock.is_in_place()?
        {
            return Err(replaced("its directory or its file LOCK was moved, removed or replaced"));
        }
        self.store.check(&*self.disk)?;
        self.check_manifest()
    }

    /// Fails with [`Replaced`] if another process has opened the store for writing.
    pub(crate) fn check_manifest(&self) -> io::Result<()> {
        self.manifest.check(&*self.disk)
    }

    /// Lets others open the store.
    pub(crate) fn unlock(&self) {
        self.lock.lock().take();
    }
}

fn replaced(why: &'static str) -> io::Error {
    io::Error::other(Replaced(why))
}

/// A file that only the store's owner replaces. It is kept open, so no other file can have its number.
struct OwnFile {
    name: &'static str,
    held: Mutex<Option<Arc<dyn File>>>,
    /// Locked while the file is replaced.
    replacing: Mutex<()>,
}

impl OwnFile {
    fn new(name: &'static str) -> Self {
        OwnFile { name, held: Mutex::new(None), replacing: Mutex::new(()) }
    }

    fn hold(&self, disk: &dyn Disk) -> io::Result<Arc<dyn File>> {
        let file = disk.open(self.name, OpenMode::Read)?;
        *self.held.lock() = Some(file.clone());
        Ok(file)
    }

    fn replace(&self, disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
        let _replacing = self.replacing.lock();
        match write_atomically(disk, "", self.name, bytes) {
            Ok(file) => {
                *self.held.lock() = Some(file);
                Ok(())
            }
            Err(error) => {
                // The new file may have the name already, though the directory could not be synced.
                let found = disk.open(self.name, OpenMode::Read);
                if let Ok(found) = found
                    && read_all(&*found, self.name, bytes.len() as u64).is_ok_and(|at| at == bytes)
                {
                    *self.held.lock() = Some(found);
                }
                Err(error)
            }
        }
    }

    fn check(&self, disk: &dyn Disk) -> io::Result<()> {
        if self.is_in_place(disk)? {
            return Ok(());
        }
        // It may be in the middle of being replaced.
        let _replacing = self.replacing.lock();
        match (self.is_in_place(disk)?, self.name) {
            (true, _) => Ok(()),
            (false, STORE) => Err(replaced("its file STORE was removed or replaced")),
            (false, _) => Err(replaced("another process has opened it, or MANIFEST was removed")),
        }
    }

    fn is_in_place(&self, disk: &dyn Disk) -> io::Result<bool> {
        let Some(held) = self.held.lock().clone() else { return Ok(true) };
        match disk.status(self.name) {
            Ok(found) => Ok(found.id == held.status()?.id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
