use leftfold_log::{LogOptions, Packing};

use leftfold_api::{Limits, Origin};

/// How a store is opened and how much memory it may use.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a store is created where there is none.
    pub create: bool,
    /// The log's.
    pub log: LogOptions,
    /// How sealed segments are stored.
    pub packing: Packing,
    /// In the background at most so many bytes a second are read to be written again (packed,
    /// scavenged, merged), so that those in the foreground have the disk to themselves.
    pub upkeep_bytes_per_second: u64,
    /// Bytes of events kept in memory that were read one by one, as those of a stream are.
    pub event_cache_bytes: u64,
    /// Bytes of index blocks kept in memory.
    pub index_cache_bytes: u64,
    /// How many streams' last versions are kept in memory beside those of the open segment.
    pub head_cache: usize,
    /// Threads that read for async callers.
    pub read_threads: usize,
    /// What an event, an append or a page may hold.
    pub limits: Limits,
    /// The store that this one is a partition of, if any: checkpoints hold that store's cursors,
    /// which it checks itself.
    pub partition_of: Option<Origin>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            create: true,
            log: LogOptions::default(),
            packing: Packing::default(),
            upkeep_bytes_per_second: 64 << 20,
            event_cache_bytes: 32 << 20,
            index_cache_bytes: 64 << 20,
            head_cache: 100_000,
            read_threads: 2,
            limits: Limits::default(),
            partition_of: None,
        }
    }
}
