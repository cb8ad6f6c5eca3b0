//! Writes payload in order, as blocks with checksums, in large writes.

use leftfold_io::File;

use super::layout::{BLOCK, FileHead, PAYLOAD, block_crc};
use crate::error::IndexError;

/// Bytes per write.
const PIECE: usize = 64 * BLOCK;

/// An empty file to be written, which the caller syncs afterwards.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// The file.
    pub file: &'a dyn File,
    /// The identity of the new file.
    pub head: FileHead,
}

/// A destination of blocks.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8], offset: u64) -> Result<(), IndexError>;

    /// Returns the error of content that cannot be written.
    fn unwritable(&self, what: &'static str) -> IndexError;
}

impl Sink for Target<'_> {
    fn put(&mut self, bytes: &[u8], offset: u64) -> Result<(), IndexError> {
        self.file.write_at(bytes, offset).map_err(|source| IndexError::io(self.name, source))
    }

    fn unwritable(&self, what: &'static str) -> IndexError {
        IndexError::Unwritable { file: self.name.to_owned(), what }
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8], offset: u64) -> Result<(), IndexError> {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        self.resize(self.len().max(end), 0);
        if let Some(target) = self.get_mut(start..end) {
            target.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn unwritable(&self, what: &'static str) -> IndexError {
        IndexError::Unwritable { file: "an index in memory".to_owned(), what }
    }
}

/// A run of consecutive blocks under construction.
pub(super) struct Run {
    salt: u32,
    /// Complete blocks, and the payload of an incomplete one.
    blocks: Vec<u8>,
    /// The number of the first block in `blocks`.
    number: u64,
}

impl Run {
    /// Begins a run at a block.
    pub(super) fn new(salt: u32, number: u64) -> Self {
        Run { salt, blocks: Vec::new(), number }
    }

    /// Returns the position of the next byte, in payload.
    pub(super) fn position(&self) -> u64 {
        let (whole, rest) = (self.blocks.len() / BLOCK, self.blocks.len() % BLOCK);
        (self.number + whole as u64) * PAYLOAD as u64 + rest as u64
    }

    pub(super) fn write(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), IndexError> {
        while !bytes.is_empty() {
            let room = PAYLOAD - self.blocks.len() % BLOCK;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.blocks.extend_from_slice(now);
            if now.len() == room {
                self.end_block();
            }
            if self.blocks.len() >= PIECE {
                self.flush(sink)?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Pads the last block with zeros, writes it and returns the number of the next block.
    pub(super) fn finish(&mut self, sink: &mut impl Sink) -> Result<u64, IndexError> {
        let rest = self.blocks.len() % BLOCK;
        if rest > 0 {
            self.blocks.resize(self.blocks.len() + PAYLOAD - rest, 0);
            self.end_block();
        }
        self.flush(sink)?;
        Ok(self.number)
    }

    fn end_block(&mut self) {
        let number = self.number + (self.blocks.len() / BLOCK) as u64;
        let start = self.blocks.len() - PAYLOAD;
        let crc = block_crc(self.salt, number, self.blocks.get(start..).unwrap_or_default());
        self.blocks.extend_from_slice(&crc.to_le_bytes());
    }

    fn flush(&mut self, sink: &mut impl Sink) -> Result<(), IndexError> {
        if !self.blocks.is_empty() {
            sink.put(&self.blocks, self.number * BLOCK as u64)?;
            self.number += (self.blocks.len() / BLOCK) as u64;
            self.blocks.clear();
        }
        Ok(())
    }

    /// Returns the number of blocks written since block `number`.
    pub(super) fn blocks_from(&self, number: u64) -> u64 {
        self.number - number
    }
}
