use std::fs;
use std::io;
#[cfg(target_os = "linux")]
use std::num::NonZero;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::fs::{fstat, fsync, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::disk::{Disk, File, FileStatus, Lock, OpenMode};
use crate::real_lock::{RealLock, status_of};

/// The most directories that are kept open: the root, `log`, `index` and a few of backups.
const KEPT_DIRECTORIES: usize = 8;
/// The mode of new files: only their owner may use them.
const FILE_MODE: u32 = 0o600;
/// The mode of new directories.
const DIRECTORY_MODE: u32 = 0o700;

/// A directory of the machine's file system, held by a handle: all names are looked up in this directory,
/// though another one may have its path later.
#[derive(Debug)]
pub struct RealDisk {
    /// As it was given, for messages.
    root: PathBuf,
    path: PathBuf,
    dir: OwnedFd,
    /// Directories that were synced once stay open: so a rename can be made durable though no file descriptor
    /// is left.
    directories: Mutex<Vec<(String, Arc<OwnedFd>)>>,
}

impl RealDisk {
    /// Opens the directory, creating it and its parents if missing.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref();
        if !root.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(root)?;
            // The directory itself must be durable, too.
            let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty());
            fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Self::existing(root)
    }

    /// Opens an existing directory.
    pub fn existing(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref();
        let dir = fs::File::open(root)?;
        if !dir.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let path = std::path::absolute(root)?;
        Ok(RealDisk {
            root: root.to_path_buf(),
            path,
            dir: dir.into(),
            directories: Mutex::default(),
        })
    }

    /// Returns the open directory of a name.
    fn directory(&self, name: &str) -> io::Result<Arc<OwnedFd>> {
        let mut kept = self.directories.lock();
        if let Some(at) = kept.iter().position(|(kept, _)| kept == name) {
            if self.status(name)?.id == status_of(&fstat(&*kept[at].1)?).id {
                return Ok(kept[at].1.clone());
            }
            // It was removed and made again.
            kept.swap_remove(at);
        }
        let opened = Arc::new(self.open_dir(name)?);
        if kept.len() < KEPT_DIRECTORIES {
            kept.push((name.to_owned(), opened.clone()));
        }
        Ok(opened)
    }

    fn open_dir(&self, name: &str) -> rustix::io::Result<OwnedFd> {
        let name = if name.is_empty() { "." } else { name };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.dir, name, flags, Mode::empty())
    }

    fn is_file(&self, dir: &OwnedFd, entry: &rustix::fs::DirEntry) -> io::Result<bool> {
        match entry.file_type() {
            FileType::Unknown => {
                let found = statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(FileType::from_raw_mode(found.st_mode) == FileType::RegularFile)
            }
            known => Ok(known == FileType::RegularFile),
        }
    }
}

impl Disk for RealDisk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let flags = match mode {
            OpenMode::Read => OFlags::RDONLY,
            OpenMode::Write => OFlags::RDWR,
            OpenMode::Create => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let mode = Mode::from_raw_mode(FILE_MODE);
        let file = openat(&self.dir, name, flags | OFlags::CLOEXEC, mode)?;
        Ok(Arc::new(RealFile(file.into())))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let dir = match self.open_dir(dir) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            if self.is_file(&dir, &entry)? {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let ends = dir.match_indices('/').map(|(at, _)| at).chain([dir.len()]);
        for end in ends {
            match mkdirat(&self.dir, &dir[..end], Mode::from_raw_mode(DIRECTORY_MODE)) {
                Err(Errno::EXIST) => {}
                made => made?,
            }
        }
        self.sync_dir("")
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.dir, from, &self.dir, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.dir, name, AtFlags::empty())?)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        Ok(fsync(&*self.directory(dir)?)?)
    }

    fn status(&self, name: &str) -> io::Result<FileStatus> {
        Ok(match name {
            "" => status_of(&fstat(&self.dir)?),
            name => status_of(&statat(&self.dir, name, AtFlags::empty())?),
        })
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(RealLock::exclusive(self.dir.as_fd(), self.path.clone(), name)?))
    }

    fn lock_shared(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(RealLock::shared(self.dir.as_fd(), self.path.clone(), name)?))
    }

    fn describe(&self) -> String {
        self.root.display().to_string()
    }
}

struct RealFile(fs::File);

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    #[cfg(target_os = "linux")]
    fn prefetch(&self, offset: u64, len: u64) {
        use rustix::fs::{Advice, fadvise};

        use crate::memory::may_read;

        // A length of 0 would mean the rest of the file.
        let Some(len) = NonZero::new(len) else { return };
        // A disk that has many requests already makes a further one wait.
        if !may_read() {
            return;
        }
        // Advice only: if it fails, the later read takes longer.
        _ = fadvise(&self.0, offset, Some(len), Advice::WillNeed);
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn status(&self) -> io::Result<FileStatus> {
        Ok(status_of(&fstat(&self.0)?))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{read_whole, write_atomically};

    #[test]
    fn replaces_a_file_atomically_and_reads_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path()).unwrap();
        write_atomically(&disk, "", "name", b"one").unwrap();
        write_atomically(&disk, "", "name", b"two!").unwrap();
        assert_eq!(read_whole(&disk, "name", 10).unwrap(), b"two!");
        assert_eq!(disk.list("").unwrap(), ["name"]);
        assert_eq!(read_whole(&disk, "name", 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_directory_that_was_made_again_is_synced_itself() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path()).unwrap();
        disk.create_dir("log").unwrap();
        disk.sync_dir("log").unwrap();
        let first = disk.directory("log").unwrap();
        assert!(Arc::ptr_eq(&first, &disk.directory("log").unwrap()), "it stays open");
        fs::rename(dir.path().join("log"), dir.path().join("old")).unwrap();
        disk.create_dir("log").unwrap();
        let second = disk.directory("log").unwrap();
        assert_ne!(fstat(&*first).unwrap().st_ino, fstat(&*second).unwrap().st_ino);
        fs::remove_dir(dir.path().join("log")).unwrap();
        assert_eq!(disk.sync_dir("log").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path()).unwrap();
        let first = disk.lock("LOCK").unwrap();
        assert!(is_locked(disk.lock("LOCK")));
        drop(first);
        disk.lock("LOCK").unwrap();
    }

    fn is_locked(lock: io::Result<Box<dyn Lock>>) -> bool {
        lock.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[test]
    fn a_lock_outlives_its_file_and_knows_that_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path()).unwrap();
        let lock = disk.lock("LOCK").unwrap();
        assert!(lock.is_in_place().unwrap());
        fs::remove_file(dir.path().join("LOCK")).unwrap();
        assert!(!lock.is_in_place().unwrap());
        let other = RealDisk::existing(dir.path()).unwrap();
        assert!(is_locked(other.lock("LOCK")), "the directory is locked, too");
        // An earlier release locks the file alone.
        fs::write(dir.path().join("LOCK"), "").unwrap();
        assert!(!lock.is_in_place().unwrap(), "another file has its name");
    }

    #[test]
    fn an_earlier_release_and_this_one_exclude_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path()).unwrap();
        let earlier = fs::File::create(dir.path().join("LOCK")).unwrap();
        earlier.try_lock().unwrap();
        assert!(is_locked(disk.lock("LOCK")) && is_locked(disk.lock_shared("LOCK")));
        earlier.unlock().unwrap();
        let _lock = disk.lock("LOCK").unwrap();
        assert!(earlier.try_lock().is_err());
    }

    #[test]
    fn shared_locks_create_nothing_and_exclude_a_writer() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path()).unwrap();
        let readers = [disk.lock_shared("LOCK").unwrap(), disk.lock_shared("LOCK").unwrap()];
        assert!(disk.list("").unwrap().is_empty());
        assert!(is_locked(disk.lock("LOCK")));
        drop(readers);
        let _writer = disk.lock("LOCK").unwrap();
        assert!(is_locked(disk.lock_shared("LOCK")));
    }

    #[test]
    fn a_directory_that_was_replaced_is_still_the_one_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("store"), dir.path().join("moved"));
        let disk = RealDisk::new(&path).unwrap();
        let lock = disk.lock("LOCK").unwrap();
        fs::rename(&path, &moved).unwrap();
        assert!(!lock.is_in_place().unwrap(), "there is none");
        fs::create_dir(&path).unwrap();
        assert!(!lock.is_in_place().unwrap(), "there is another one");
        disk.open("name", OpenMode::Create).unwrap();
        assert!(moved.join("name").exists());
        fs::remove_dir(&path).unwrap();
        fs::rename(&moved, &path).unwrap();
        assert!(lock.is_in_place().unwrap());
    }

    #[test]
    fn only_the_owner_may_use_new_files_and_directories() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path().join("a/b")).unwrap();
        disk.create_dir("log/deep").unwrap();
        write_atomically(&disk, "", "name", b"one").unwrap();
        let _lock = disk.lock("LOCK").unwrap();
        let permissions = |name| disk.status(name).unwrap().permissions;
        assert_eq!(["", "log", "log/deep"].map(permissions), [0o700; 3]);
        assert_eq!(["name", "LOCK"].map(permissions), [0o600; 2]);
        fs::set_permissions(dir.path().join("a/b/name"), fs::Permissions::from_mode(0o640))
            .unwrap();
        assert!(disk.status("name").unwrap().is_open_to_others());
        assert!(!disk.status("LOCK").unwrap().is_open_to_others());
    }
}
