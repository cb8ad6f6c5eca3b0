use std::time::Duration;

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After `fdatasync` returned. The default.
    #[default]
    Synced,
    /// After the write; a sync follows within this time. A crash of the machine (not of the process)
    /// may lose appends that were acknowledged in between. Readers still see only what is synced.
    Relaxed(Duration),
}

/// How sealed segments are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u32)]
pub enum Compression {
    /// Not compressed: read fastest.
    Off = 0,
    /// Compressed quickly, in blocks of 16 KiB. The default.
    #[default]
    Fast = 1,
    /// Compressed well, in blocks of 64 KiB, with a dictionary where that pays.
    Small = 2,
}

/// What an opening keeps of the frames at the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// All whole frames. The default.
    #[default]
    Whole,
    /// Only what a mark says is durable. For a log whose batches are confirmed elsewhere: a whole frame
    /// that was never confirmed may be in no other copy.
    Marked,
}

/// What makes stores copies of one another: their cursors and keys are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Names the store.
    pub store_id: [u8; 16],
    /// Names its history.
    pub incarnation: [u8; 16],
    /// The key of every keyed hash.
    pub hash_key: [u8; 16],
}

/// The layout of a log and its limits on memory.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment is closed when the next append would make it longer than this, in bytes.
    pub segment_bytes: u64,
    /// The open segment's file is extended by this many zeros ahead of the writer, so that a sync
    /// need not write the file's length too.
    pub preallocate: u64,
    /// At most this many bytes of appends wait for the writer.
    pub queue_bytes: usize,
    /// After this long without appends, the log writes a mark of how far it is synced.
    pub idle: Duration,
    /// When an append is acknowledged.
    pub durability: Durability,
    /// The identity that a created store gets and an existing one must have; any if `None`.
    pub identity: Option<Identity>,
    /// What an opening keeps of the frames behind the last mark.
    pub keep: Keep,
    /// At most this many bytes of blocks are kept in memory for reads.
    pub cache_bytes: u64,
    /// At most this many files are kept open.
    pub open_files: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            segment_bytes: 64 << 20,
            preallocate: 4 << 20,
            queue_bytes: 64 << 20,
            idle: Duration::from_millis(20),
            durability: Durability::Synced,
            identity: None,
            keep: Keep::Whole,
            cache_bytes: 64 << 20,
            open_files: 256,
        }
    }
}
