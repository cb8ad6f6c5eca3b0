use leftfold_log::{Metered, Packing};

use super::core::Core;
use crate::error::{Failure, ReadError};
use crate::time::Timestamp;

/// A store's size and state.
#[derive(Debug, Clone)]
pub struct Stat {
    /// Names the store for ever.
    pub store_id: u128,
    /// When it was created.
    pub created: Timestamp,
    /// Events, and the last position.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Named indexes.
    pub indexes: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Those of them that are sealed.
    pub sealed: u64,
    /// Those of them that are packed.
    pub packed: u64,
    /// Bytes of the log, without what is preallocated.
    pub log_bytes: u64,
    /// Bytes of index files.
    pub index_bytes: u64,
    /// Index files.
    pub index_files: u64,
    /// What went wrong in the background, if anything did.
    pub upkeep_failure: Option<Failure>,
}

/// What a store has done since it was opened.
#[derive(Debug, Clone)]
pub struct Meters {
    /// Appends of each turn of the writer, which one write and one sync serve.
    pub batches: Metered,
    /// Microseconds of each sync.
    pub syncs: Metered,
    /// Blocks of the log that were found in memory, and those that were not.
    pub log_cache: (u64, u64),
    /// Blocks of the index that were found in memory, and those that were not.
    pub index_cache: (u64, u64),
    /// The last durable position.
    pub position: u64,
}

pub(crate) fn meters(core: &Core) -> Meters {
    Meters {
        batches: core.log.batches(),
        syncs: core.log.syncs(),
        log_cache: core.log.cache_hits_and_misses(),
        index_cache: core.index_cache.hits_and_misses(),
        position: core.log.head().position,
    }
}

pub(crate) fn stat(core: &Core) -> Result<Stat, ReadError> {
    let head = core.log.head().position;
    let (header, segments) = (core.log.header(), core.log.segments());
    let files = core.log.other_files();
    Ok(Stat {
        store_id: u128::from_le_bytes(header.store_id),
        created: Timestamp(header.created.get()),
        events: head,
        streams: core.index.load().count(&core.keys.starts(), head)?,
        checkpoints: core.checkpoints.read().len() as u64,
        indexes: core.named.read().len() as u64,
        segments: segments.len() as u64,
        sealed: segments.iter().filter(|segment| segment.sealed).count() as u64,
        packed: segments.iter().filter(|segment| segment.packing != Packing::Off).count() as u64,
        log_bytes: segments.iter().map(|segment| segment.bytes).sum(),
        index_bytes: files.iter().map(|file| file.length).sum(),
        index_files: files.len() as u64,
        upkeep_failure: core.upkeep.failure(),
    })
}
