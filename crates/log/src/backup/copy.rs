use std::io;

use leftfold_io::{Disk, File, OpenMode, read_exact_at};

use super::error::BackupError;
use crate::format::{BackupFile, crc_of};

/// Files are copied in pieces of this size.
const PIECE: u64 = 1 << 20;

/// Reads this many bytes of a file piece by piece and returns their checksum.
pub(super) fn read_through(
    file: &dyn File,
    length: u64,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), BackupError>,
    failed: impl Fn(io::Error) -> BackupError,
) -> Result<u32, BackupError> {
    let mut buffer = vec![0; PIECE.min(length) as usize];
    let (mut at, mut crc) = (0, 0);
    while at < length {
        let n = PIECE.min(length - at) as usize;
        let piece = &mut buffer[..n];
        read_exact_at(file, piece, at).map_err(&failed)?;
        crc = crc_of(crc, &[piece]);
        visit(at, piece)?;
        at += n as u64;
    }
    Ok(crc)
}

/// Reads a whole file of a backup and checks it; `visit` gets the bytes before they are known to be
/// right.
pub(super) fn read_checked(
    from: &dyn Disk,
    listed: &BackupFile,
    visit: impl FnMut(u64, &[u8]) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let (dir, name) = (from.describe(), &listed.stored);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => BackupError::damaged(&dir, name, "it is missing"),
        _ => BackupError::io(&dir, name, error),
    };
    let file = from.open(name, OpenMode::Read).map_err(failed)?;
    let found = file.len().map_err(failed)?;
    if found != listed.length {
        let why = format!("it has {found} bytes, {} were written", listed.length);
        return Err(BackupError::damaged(&dir, name, why));
    }
    if read_through(&*file, listed.length, visit, failed)? != listed.crc {
        return Err(BackupError::damaged(&dir, name, "its checksum does not match"));
    }
    Ok(())
}

/// Creates a file, in the place of one that an interrupted attempt has left.
pub(super) fn create(disk: &dyn Disk, name: &str) -> io::Result<std::sync::Arc<dyn File>> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    disk.open(name, OpenMode::Create)
}
