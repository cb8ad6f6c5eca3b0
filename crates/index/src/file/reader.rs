use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use leftfold_io::{Disk, File, OpenMode, read_exact_at};
use zerocopy::{FromZeros, IntoBytes};

use super::cache::IndexCache;
use super::layout::{BLOCK, FileHead, Header, PAYLOAD, block_crc};
use super::read_ahead::ReadAhead;
use crate::error::IndexError;

/// A sealed part. Holds nothing but its header in memory; the rest comes by block, through a
/// cache that all files share.
pub struct IndexFile {
    name: String,
    number: u64,
    head: FileHead,
    pub(super) header: Header,
    /// How many whole blocks it has.
    blocks: u64,
    file: Arc<dyn File>,
    cache: Arc<IndexCache>,
    /// The disk to remove it from when nobody reads it any more.
    retired: OnceLock<Arc<dyn Disk>>,
}

impl IndexFile {
    /// Opens a file that must be this store's and this number's.
    pub fn open(
        disk: &dyn Disk,
        name: &str,
        head: FileHead,
        cache: Arc<IndexCache>,
    ) -> Result<Arc<Self>, IndexError> {
        let failed = |source| IndexError::io(name, source);
        let file = disk.open(name, OpenMode::Read).map_err(failed)?;
        let blocks = file.len().map_err(failed)? / BLOCK as u64;
        let mut opened = IndexFile {
            name: name.to_owned(),
            number: cache.enter(),
            head,
            header: Header::new_zeroed(),
            blocks,
            file,
            cache,
            retired: OnceLock::new(),
        };
        let mut header = Header::new_zeroed();
        opened.read(0, header.as_mut_bytes())?;
        if !header.is_sound(&head, blocks * PAYLOAD as u64) {
            return Err(opened.damaged(0, "its header is not the one that was expected"));
        }
        opened.header = header;
        Ok(Arc::new(opened))
    }

    /// What it is called on the disk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first position that it covers.
    pub fn first(&self) -> u64 {
        self.head.first
    }

    /// The last position that it covers; one less than the first if it covers none.
    pub fn last(&self) -> u64 {
        self.head.last
    }

    /// The bytes that it keeps for whoever is above.
    pub fn attachment(&self) -> Result<Vec<u8>, IndexError> {
        let section = self.header.attachment;
        // It is not longer than the file: that was seen when the header was read.
        let mut bytes = vec![0; section.length.get() as usize];
        ReadAhead::default().read(self, section.at.get(), &mut bytes)?;
        Ok(bytes)
    }

    /// Says that nothing names the file any more: it is removed from the disk when the last that
    /// holds it lets go, be it a reader or a backup. Until then it is read as ever. No other file
    /// may get its name in the meantime. If it can't be removed, or the process ends before, it is
    /// litter, which is removed at the next opening of the store; for the same reason the
    /// directory is not synced.
    pub fn retire(&self, disk: Arc<dyn Disk>) {
        // Whoever says it a second time says nothing new.
        _ = self.retired.set(disk);
    }

    /// How many positions it covers: each offset is less.
    pub(super) fn positions(&self) -> u64 {
        self.head.positions()
    }

    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(super) fn version(&self) -> u32 {
        self.header.version.get()
    }

    /// Reads payload, block by block.
    pub(super) fn read(&self, mut at: u64, mut to: &mut [u8]) -> Result<(), IndexError> {
        while !to.is_empty() {
            let block = self.block(at / PAYLOAD as u64)?;
            let rest = block.get((at % PAYLOAD as u64) as usize..PAYLOAD).unwrap_or_default();
            let n = rest.len().min(to.len());
            let (now, later) = to.split_at_mut(n);
            now.copy_from_slice(&rest[..n]);
            (at, to) = (at + n as u64, later);
        }
        Ok(())
    }

    fn block(&self, number: u64) -> Result<Bytes, IndexError> {
        if let Some(block) = self.cache.get(self.number, number) {
            return Ok(block);
        }
        let mut block = vec![0; BLOCK];
        self.read_blocks(number, &mut block)?;
        let block = Bytes::from(block);
        self.cache.put(self.number, number, block.clone());
        Ok(block)
    }

    /// Reads blocks from one on, not through the cache, and checks each.
    pub(super) fn read_blocks(&self, first: u64, to: &mut [u8]) -> Result<(), IndexError> {
        let offset = first.saturating_mul(BLOCK as u64);
        read_exact_at(&*self.file, to, offset).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged_at(offset, "the file is cut short"),
            _ => IndexError::io(&self.name, source),
        })?;
        for (number, block) in (first..).zip(to.chunks_exact(BLOCK)) {
            let (payload, crc) = block.split_at(PAYLOAD);
            if block_crc(self.head.salt(), number, payload).to_le_bytes() != crc {
                let offset = number * BLOCK as u64;
                return Err(self.damaged_at(offset, "a block's checksum does not match"));
            }
        }
        Ok(())
    }

    /// Checks the blocks of the whole file.
    pub(super) fn check_blocks(&self) -> Result<(), IndexError> {
        const AT_ONCE: u64 = 64;
        let len = self.file.len().map_err(|source| IndexError::io(&self.name, source))?;
        let blocks = len.div_ceil(BLOCK as u64);
        let mut bytes = vec![0; AT_ONCE.min(blocks) as usize * BLOCK];
        for first in (0..blocks).step_by(AT_ONCE as usize) {
            let n = AT_ONCE.min(blocks - first) as usize;
            self.read_blocks(first, bytes.get_mut(..n * BLOCK).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Something makes no sense though the checksums match; where is said in payload.
    pub(super) fn damaged(&self, at: u64, what: &'static str) -> IndexError {
        let payload = PAYLOAD as u64;
        self.damaged_at((at / payload).saturating_mul(BLOCK as u64) + at % payload, what)
    }

    fn damaged_at(&self, offset: u64, what: &'static str) -> IndexError {
        IndexError::Damaged { file: self.name.clone(), offset, what }
    }
}

impl Drop for IndexFile {
    fn drop(&mut self) {
        if let Some(disk) = self.retired.get() {
            // There is nobody to tell, and nothing is lost: see `retire`.
            _ = disk.remove(&self.name);
        }
    }
}
