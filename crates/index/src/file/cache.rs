use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::layout::BLOCK;

/// A file's number and a block's.
type Place = (u64, u64);

/// Checked blocks of index files, shared by all files of a store and bounded in bytes.
pub struct IndexCache {
    blocks: Cache<Place, Bytes, ByLength>,
    files: AtomicU64,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<Place, Bytes> for ByLength {
    fn weight(&self, _: &Place, bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

impl IndexCache {
    /// A cache of at most so many bytes.
    pub fn new(bytes: u64) -> Self {
        let blocks = Cache::with_weighter(bytes as usize / BLOCK, bytes, ByLength);
        IndexCache { blocks, files: AtomicU64::new(0) }
    }

    /// How many blocks were asked for and found in memory, and how many were not.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.blocks.hits(), self.blocks.misses())
    }

    /// A number for a newly opened file.
    pub(super) fn enter(&self) -> u64 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn get(&self, file: u64, block: u64) -> Option<Bytes> {
        self.blocks.get(&(file, block))
    }

    pub(super) fn put(&self, file: u64, block: u64, bytes: Bytes) {
        self.blocks.insert((file, block), bytes);
    }
}
