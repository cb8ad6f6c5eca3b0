use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::layout::BLOCK;

/// A file's number and a block's.
type BlockId = (u64, u64);

/// Checked blocks of index files, shared by all files of a store and bounded in bytes.
pub struct IndexCache {
    blocks: Cache<BlockId, Bytes, ByLength>,
    files: AtomicU64,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<BlockId, Bytes> for ByLength {
    fn weight(&self, _: &BlockId, bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

impl IndexCache {
    /// Creates a cache of at most `bytes` bytes.
    pub fn new(bytes: u64) -> Self {
        let blocks = Cache::with_weighter(bytes as usize / BLOCK, bytes, ByLength);
        IndexCache { blocks, files: AtomicU64::new(0) }
    }

    /// Returns how many requested blocks were in the cache, and how many were not.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.blocks.hits(), self.blocks.misses())
    }

    /// Returns a number for a newly opened file.
    pub(super) fn register_file(&self) -> u64 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn get(&self, file: u64, block: u64) -> Option<Bytes> {
        self.blocks.get(&(file, block))
    }

    pub(super) fn put(&self, file: u64, block: u64, bytes: Bytes) {
        self.blocks.insert((file, block), bytes);
    }
}
