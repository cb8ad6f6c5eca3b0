use std::io;
use std::path::PathBuf;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, openat, stat, statat};
use rustix::io::Errno;

use crate::disk::{FileStatus, Lock};

/// Locks of a directory and of a file in it; they end when the handles are closed.
///
/// The lock of the directory can't be lost by removing a file. The file is locked as well, because earlier
/// releases lock nothing else, and because some network file systems lock no directories.
pub(crate) struct RealLock {
    dir: OwnedFd,
    path: PathBuf,
    file: Option<(String, OwnedFd)>,
}

impl RealLock {
    /// Locks a directory that has this path, and a file in it, exclusively. Creates the file if missing.
    pub(crate) fn exclusive(dir: BorrowedFd<'_>, path: PathBuf, name: &str) -> io::Result<Self> {
        let dir = lock_directory(dir, FlockOperation::NonBlockingLockExclusive)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(&dir, name, flags, Mode::from_raw_mode(0o600))?;
        lock_handle(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(RealLock { dir, path, file: Some((name.to_owned(), file)) })
    }

    /// Locks a directory that has this path, and a file in it if there is one, against exclusive locks.
    pub(crate) fn shared(dir: BorrowedFd<'_>, path: PathBuf, name: &str) -> io::Result<Self> {
        let dir = lock_directory(dir, FlockOperation::NonBlockingLockShared)?;
        let file = match openat(&dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => {
                lock_handle(&file, FlockOperation::NonBlockingLockShared)?;
                Some((name.to_owned(), file))
            }
            Err(Errno::NOENT | Errno::ACCESS) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(RealLock { dir, path, file })
    }
}

impl Lock for RealLock {
    fn is_in_place(&self) -> io::Result<bool> {
        let found = stat(&self.path).map(|found| status_of(&found).id);
        if !is_same(found, &self.dir)? {
            return Ok(false);
        }
        let Some((name, file)) = &self.file else { return Ok(true) };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        is_same(statat(&self.dir, name, flags).map(|found| status_of(&found).id), file)
    }
}

impl Drop for RealLock {
    /// Unlocks what closing the handles would unlock, but for a process that was just forked: until it runs another
    /// program, it has the handles too.
    fn drop(&mut self) {
        // Closing the handles is what is left if this fails.
        if let Some((_, file)) = &self.file {
            _ = flock(file, FlockOperation::Unlock);
        }
        _ = flock(&self.dir, FlockOperation::Unlock);
    }
}

fn is_same(found: rustix::io::Result<(u64, u64)>, held: &OwnedFd) -> io::Result<bool> {
    match found {
        Ok(found) => Ok(found == status_of(&fstat(held)?).id),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens the directory again, so that the lock ends with this handle, and locks it.
fn lock_directory(dir: BorrowedFd<'_>, operation: FlockOperation) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(dir, ".", flags, Mode::empty())?;
    match lock_handle(&dir, operation) {
        Err(error) if !locks_directories(&error) => {}
        locked => locked?,
    }
    Ok(dir)
}

/// NFS makes record locks of these locks, and a directory can't be opened for writing.
fn locks_directories(error: &io::Error) -> bool {
    let unsupported = [Errno::BADF, Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
    !unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn lock_handle(handle: impl AsFd, operation: FlockOperation) -> io::Result<()> {
    loop {
        match flock(&handle, operation) {
            Err(Errno::INTR) => {}
            locked => return Ok(locked?),
        }
    }
}

#[expect(clippy::useless_conversion, reason = "the widths differ between systems")]
pub(crate) fn status_of(stat: &rustix::fs::Stat) -> FileStatus {
    FileStatus {
        id: (u64::from(stat.st_dev), u64::from(stat.st_ino)),
        permissions: u32::from(stat.st_mode) & 0o777,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child has the handles between fork and exec.
    #[test]
    fn a_lock_ends_though_another_process_has_its_handles() {
        let dir = tempfile::tempdir().unwrap();
        let handle = std::fs::File::open(dir.path()).unwrap();
        let lock = || RealLock::exclusive(handle.as_fd(), dir.path().to_owned(), "LOCK");
        let first = lock().unwrap();
        assert!(lock().is_err());
        let (_, file) = first.file.as_ref().unwrap();
        let copies = (first.dir.try_clone().unwrap(), file.try_clone().unwrap());
        drop(first);
        assert!(lock().is_ok());
        drop(copies);
    }
}
