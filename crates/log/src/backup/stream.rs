//! A backup as one stream of bytes, from one machine to another: what [`super::receive`] takes.
//!
//! | part | content, little-endian |
//! |---|---|
//! | head | `LFCOPY01`, store id (16), incarnation (16), bytes of all segments and index files (8) |
//! | each file | bytes of its name (2), of itself (8), its name in a store, itself, CRC-32C of itself (4) |
//! | end | ten zeros |
//!
//! `STORE` and `MANIFEST` come last. The manifest names the other files.

use bytes::Bytes;

use super::error::BackupError;
use super::take::{BackupSummary, Destination, Guide};
use crate::format::{BackupFile, BackupList, StoreHeader};
use crate::log::Log;
use crate::manifest::LiveFile;

pub(super) const MAGIC: [u8; 8] = *b"LFCOPY01";
/// Bytes of the head.
pub(super) const HEAD: usize = 48;
/// Bytes before the name of a file; all zero at the end.
pub(super) const FILE_HEAD: usize = 10;
/// Bytes of a piece at most.
const PIECE: usize = 256 << 10;

/// Takes the next bytes of a stream; may wait. If it returns false, the stream ends before its end.
pub type Sink<'a> = &'a mut dyn FnMut(Bytes) -> bool;

impl Log {
    /// Sends a backup as a stream of pieces. Segments are checked before they are sent. `others` are as those of
    /// [`Log::backup`].
    pub fn send_backup(
        &self,
        others: &[LiveFile],
        guide: &mut dyn Guide,
        sink: Sink<'_>,
    ) -> Result<BackupSummary, BackupError> {
        let header = &self.catalog().identity.header;
        self.back_up(others, guide, |_, total| Stream::begin(sink, header, total))
    }
}

/// The stream, as a destination of a backup.
struct Stream<'a> {
    sink: Sink<'a>,
    nothing: BackupList,
}

impl<'a> Stream<'a> {
    fn begin(sink: Sink<'a>, header: &StoreHeader, total: u64) -> Result<Self, BackupError> {
        let mut stream = Stream { sink, nothing: BackupList::default() };
        let (id, incarnation) = (header.store_id, header.incarnation);
        stream.send(&[&MAGIC[..], &id, &incarnation, &total.to_le_bytes()].concat())?;
        Ok(stream)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        for piece in bytes.chunks(PIECE) {
            if !(self.sink)(Bytes::copy_from_slice(piece)) {
                return Err(BackupError::Stopped);
            }
        }
        Ok(())
    }
}

impl Destination for Stream<'_> {
    fn last(&self) -> &BackupList {
        &self.nothing
    }

    fn has(&self, _listed: &BackupFile) -> bool {
        false
    }

    fn begin(&mut self, file: &BackupFile) -> Result<(), BackupError> {
        let name = file.restored.as_bytes();
        let name_length = (name.len() as u16).to_le_bytes();
        self.send(&[&name_length[..], &file.length.to_le_bytes(), name].concat())
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), BackupError> {
        self.send(piece)
    }

    fn end(&mut self, crc: u32) -> Result<(), BackupError> {
        self.send(&crc.to_le_bytes())
    }

    fn finish(&mut self, _list: &BackupList) -> Result<(), BackupError> {
        self.send(&[0; FILE_HEAD])
    }
}
