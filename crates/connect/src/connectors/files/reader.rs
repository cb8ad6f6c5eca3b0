//! Reads a file, which may be compressed.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::halt::Halt;
use crate::compressed::decompressed;

/// The text of a file, and whether the disk has failed under it.
pub(super) struct FileText {
    pub(super) text: Box<dyn BufRead + Send>,
    /// Whether the file itself could not be read; else an error is one of its content.
    pub(super) has_failed: Arc<AtomicBool>,
}

/// The bytes on disk.
struct RawFile {
    file: File,
    halt: Halt,
    has_failed: Arc<AtomicBool>,
}

impl Read for RawFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.halt.is_set() {
            return Err(io::Error::other("the connector stops"));
        }
        let read = self.file.read(buffer);
        if read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.has_failed.store(true, Ordering::Release);
        }
        read
    }
}

/// Opens a file; gzip and zstd are recognised by their first bytes.
pub(super) fn open(path: &Path, halt: Halt) -> io::Result<FileText> {
    let has_failed = Arc::<AtomicBool>::default();
    let raw = RawFile { file: File::open(path)?, halt, has_failed: has_failed.clone() };
    Ok(FileText { text: decompressed(raw)?, has_failed })
}
