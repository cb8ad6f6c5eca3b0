use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::layout::BLOCK;

/// Checked blocks of index files, shared by all files of a store and bounded in bytes.
pub struct IndexCache {
    blocks: Cache<(u64, u32), Bytes, ByLength>,
    files: AtomicU64,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<(u64, u32), Bytes> for ByLength {
    fn weight(&self, _: &(u64, u32), bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

impl IndexCache {
    /// A cache of at most so many bytes.
    pub fn new(bytes: u64) -> Self {
        let blocks = Cache::with_weighter(bytes as usize / BLOCK, bytes, ByLength);
        IndexCache { blocks, files: AtomicU64::new(0) }
    }

    /// A number for a newly opened file.
    pub(super) fn enter(&self) -> u64 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn get(&self, file: u64, block: u32) -> Option<Bytes> {
        self.blocks.get(&(file, block))
    }

    pub(super) fn put(&self, file: u64, block: u32, bytes: Bytes) {
        self.blocks.insert((file, block), bytes);
    }
}
