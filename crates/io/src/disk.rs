use std::io;
use std::sync::Arc;

use crate::memory;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A new file; fails if the name is taken.
    Create,
}

/// A directory of files. Names are relative and use `/`.
///
/// What a call changed in a directory (a file created, renamed or removed) lasts through a power
/// cut only after [`Disk::sync_dir`]; what was written to a file only after [`File::sync`].
pub trait Disk: Send + Sync + 'static {
    /// Opens or creates a file.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// The names of the files directly in a directory, sorted; none if it is missing.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Creates a directory and its parents, and makes them last.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Renames a file over another, atomically.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the changes in a directory last.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Takes an exclusive lock on a file, created if missing, until the answer is dropped.
    /// Fails with [`io::ErrorKind::WouldBlock`] while somebody else holds it.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>>;
    /// Where the directory is, for messages.
    fn describe(&self) -> String;
}

/// Holds a lock; dropping it lets go.
pub trait Lock: Send + Sync {}

/// An open file, shared by readers and its one writer.
pub trait File: Send + Sync {
    /// Reads at an offset; fewer bytes than asked only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Says that so many bytes at an offset will be read soon, so that the system may begin with it
    /// already; returns without them.
    fn will_read(&self, offset: u64, len: u64) {
        _ = (offset, len);
    }
    /// Writes all bytes at an offset, extending the file where needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes all that was written last (fdatasync).
    fn sync(&self) -> io::Result<()>;
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// Fills `buf` from `offset`, or fails with [`io::ErrorKind::UnexpectedEof`]; inside
/// [`from_memory`](crate::from_memory) with [`io::ErrorKind::WouldBlock`].
pub fn read_exact_at(file: &dyn File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    memory::may_read()?;
    if file.read_at(buf, offset)? == buf.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Reads a whole file of at most `limit` bytes.
pub fn read_whole(disk: &dyn Disk, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(name, OpenMode::Read)?;
    let len = file.len()?;
    if len > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{name} has {len} bytes, at most {limit} were expected"),
        ));
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Replaces a file's content so that a power cut leaves the old or the new, never a mixture:
/// written beside, synced, renamed over, and the directory synced.
pub fn write_atomically(disk: &dyn Disk, dir: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.new");
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    disk.sync_dir(dir)
}
