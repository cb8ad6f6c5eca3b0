use std::io;
use std::sync::Arc;

use crate::memory;

/// The way in which a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A new file; fails if the name exists.
    Create,
}

/// What the system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// The file system that it is on, and its number there. No two files have the same while one of them
    /// is open.
    pub id: (u64, u64),
    /// The bits of its mode that permit something to its owner, its group and others.
    pub permissions: u32,
}

impl FileStatus {
    /// Whether its group or others may do anything with it.
    pub fn is_open_to_others(&self) -> bool {
        self.permissions & 0o077 != 0
    }
}

/// A directory of files. Names are relative and use `/`. Only its owner may use what is created in it.
///
/// A change of a directory (a file created, renamed or removed) is durable only after
/// [`Disk::sync_dir`]; bytes written to a file are durable only after [`File::sync`].
pub trait Disk: Send + Sync + 'static {
    /// Opens or creates a file.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Returns the sorted names of the files in a directory; none if the directory is missing.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Creates a directory and its parents, durably.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Renames a file over another, atomically.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the changes of a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Returns the status of a file; of the directory itself if the name is empty.
    fn status(&self, name: &str) -> io::Result<FileStatus>;
    /// Locks the directory and a file in it exclusively, until the returned lock is dropped. Creates the
    /// file if it is missing.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] while another holder has a lock.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>>;
    /// Locks the directory against [`Disk::lock`], and creates nothing. Several holders can have such a lock.
    fn lock_shared(&self, name: &str) -> io::Result<Box<dyn Lock>>;
    /// Returns the path of the directory, for messages.
    fn describe(&self) -> String;
}

/// A held lock; dropping it releases the lock.
pub trait Lock: Send + Sync {
    /// Whether the directory and the file that were locked are still in their place. If not, another
    /// process can have locked what is there now.
    fn is_in_place(&self) -> io::Result<bool>;
}

/// An open file, shared by several readers and one writer.
pub trait File: Send + Sync {
    /// Reads at an offset; returns fewer bytes than requested only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Advises the system to start reading `len` bytes at `offset`, and returns at once; does nothing inside
    /// [`from_memory`](crate::from_memory).
    fn prefetch(&self, offset: u64, len: u64) {
        _ = (offset, len);
    }
    /// Writes all bytes at an offset, extending the file if needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes all written bytes durable (fdatasync).
    fn sync(&self) -> io::Result<()>;
    /// Returns the file's status.
    fn status(&self) -> io::Result<FileStatus>;
    /// Returns the file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Returns whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Truncates the file or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// Fills `buf` from `offset`.
///
/// Fails with [`io::ErrorKind::UnexpectedEof`] at the end of the file, and with
/// [`io::ErrorKind::WouldBlock`] inside [`from_memory`](crate::from_memory).
pub fn read_exact_at(file: &dyn File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    memory::check_read_allowed()?;
    if file.read_at(buf, offset)? == buf.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Reads a whole file of at most `limit` bytes.
pub fn read_whole(disk: &dyn Disk, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    read_all(&*disk.open(name, OpenMode::Read)?, name, limit)
}

/// Reads all of an open file of at most `limit` bytes; an error mentions its `name`.
pub fn read_all(file: &dyn File, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    if len > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{name} has {len} bytes, expected at most {limit}"),
        ));
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    read_exact_at(file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Replaces a file's content so that a power cut leaves either the old or the new content.
///
/// It writes a temporary file, syncs it, renames it over the old one and syncs the directory. Returns the
/// new file.
pub fn write_atomically(
    disk: &dyn Disk,
    dir: &str,
    name: &str,
    bytes: &[u8],
) -> io::Result<Arc<dyn File>> {
    let temporary = format!("{name}.new");
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    // Whether the name is on the disk is not known then, so this is no failure that could be tried again.
    disk.sync_dir(dir).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(file)
}
