//! Reads a file, which may be compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::halt::Halt;

/// Bytes of one read of a file.
const READ_AHEAD: usize = 256 << 10;
/// What a file begins with that gzip has compressed.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// What a file begins with that zstd has compressed.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

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
    let mut raw = RawFile { file: File::open(path)?, halt, has_failed: has_failed.clone() };
    let mut start = Vec::new();
    (&mut raw).take(ZSTD.len() as u64).read_to_end(&mut start)?;
    let (is_gzip, is_zstd) = (start.starts_with(GZIP), start.starts_with(ZSTD));
    let whole = BufReader::with_capacity(READ_AHEAD, Cursor::new(start).chain(raw));
    let text: Box<dyn BufRead + Send> = match (is_gzip, is_zstd) {
        (true, _) => Box::new(BufReader::with_capacity(READ_AHEAD, MultiGzDecoder::new(whole))),
        (_, true) => {
            let decoder = zstd::Decoder::with_buffer(whole)?;
            Box::new(BufReader::with_capacity(READ_AHEAD, decoder))
        }
        _ => Box::new(whole),
    };
    Ok(FileText { text, has_failed })
}
