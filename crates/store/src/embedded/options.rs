use leftfold_log::{Compression, Identity as StoreIdentity, LogOptions};

use leftfold_api::{Limits, Origin};

/// The options of an embedded store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a missing store is created.
    pub create: bool,
    /// The options of the log.
    pub log: LogOptions,
    /// How sealed segments are compressed.
    pub compression: Compression,
    /// The most bytes per second that maintenance reads to compress, merge, scavenge and back up. A limit
    /// leaves the disk to appends and reads.
    pub maintenance_bytes_per_second: u64,
    /// Bytes of the cache of single events, such as those of a stream.
    pub event_cache_bytes: u64,
    /// Bytes of the cache of index blocks.
    pub index_cache_bytes: u64,
    /// Streams whose last versions are cached, in addition to those of the open segment.
    pub head_cache: usize,
    /// Threads that read files for async callers.
    pub read_threads: usize,
    /// The limits on events, appends and pages.
    pub limits: Limits,
    /// The store that this one is a partition of, if any: checkpoints hold that store's cursors,
    /// which it checks itself.
    pub partition_of: Option<Origin>,
    /// The identity that a created store gets, and that an existing one must have; any if `None`. The nodes
    /// of a cluster give equal cursors by it.
    pub identity: Option<StoreIdentity>,
    /// Whether another node owns the store at first: see [`Embedded::set_replica`](crate::Embedded::set_replica).
    pub replica: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            create: true,
            log: LogOptions::default(),
            compression: Compression::default(),
            maintenance_bytes_per_second: 64 << 20,
            event_cache_bytes: 32 << 20,
            index_cache_bytes: 64 << 20,
            head_cache: 100_000,
            read_threads: 2,
            limits: Limits::default(),
            partition_of: None,
            identity: None,
            replica: false,
        }
    }
}
