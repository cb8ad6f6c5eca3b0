use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use leftfold_io::{Disk, File, OpenMode, read_exact_at};
use zerocopy::{FromZeros, IntoBytes};

use super::cache::IndexCache;
use super::layout::{BLOCK, FileHead, Header, PAYLOAD, block_crc};
use super::read_ahead::ReadAhead;
use crate::error::IndexError;

/// The index file of a sealed part.
///
/// Only its header is in memory. The rest is read by block, through a cache that all files share.
pub struct IndexFile {
    name: String,
    number: u64,
    head: FileHead,
    pub(super) header: Header,
    /// The number of complete blocks.
    blocks: u64,
    file: Arc<dyn File>,
    cache: Arc<IndexCache>,
    /// The disk to remove the file from when its last reader drops it.
    retired: OnceLock<Arc<dyn Disk>>,
}

impl IndexFile {
    /// Opens a file; fails if its header does not match `head`.
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
            number: cache.register_file(),
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
            return Err(opened.damaged(0, "its header is not the expected one"));
        }
        opened.header = header;
        Ok(Arc::new(opened))
    }

    /// Returns the file's name on the disk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the first position that the file covers.
    pub fn first(&self) -> u64 {
        self.head.first
    }

    /// Returns the last position that the file covers; one less than the first if it covers none.
    pub fn last(&self) -> u64 {
        self.head.last
    }

    /// Reads the bytes that the file stores for its caller.
    pub fn attachment(&self) -> Result<Vec<u8>, IndexError> {
        let section = self.header.attachment;
        // Opening checked that the section is not longer than the file.
        let mut bytes = vec![0; section.length.get() as usize];
        ReadAhead::default().read(self, section.at.get(), &mut bytes)?;
        Ok(bytes)
    }

    /// Marks the file for removal when its last holder, a reader or a backup, drops it.
    ///
    /// The caller has removed all references to the file's name. Until the removal the file stays
    /// readable, and no other file may take its name. If the removal fails, or the process ends
    /// first, the file is an orphan, which the next opening of the store removes. So the directory
    /// need not be synced.
    pub fn retire(&self, disk: Arc<dyn Disk>) {
        // A second call has no effect.
        _ = self.retired.set(disk);
    }

    /// Returns the number of positions that the file covers; each offset is less.
    pub(super) fn positions(&self) -> u64 {
        self.head.positions()
    }

    pub(super) fn head(&self) -> FileHead {
        self.head
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

    /// Reads and checks consecutive blocks, without the cache.
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

    /// Checks all blocks of the file.
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

    /// Returns the error of content that is invalid although its checksum matches.
    ///
    /// `at` counts payload, without checksums.
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
            // A failure is harmless, see `retire`.
            _ = disk.remove(&self.name);
        }
    }
}
