//! Snapshots: states stored beside the log, so that a load need not start from the first event.
//!
//! A snapshot is a cache, never the truth. It names the last event that it includes, and a load
//! reads that event first. The snapshot is discarded if another event is there (the store was
//! restored from a backup, the stream was truncated, or the file belongs to another store), if its
//! bytes are damaged, or if it has another version of the state's shape or logic. Then the state is
//! folded from the first event. Losing snapshots costs only time.

mod format;
mod memory;
#[cfg(feature = "redb")]
mod redb;

#[cfg(feature = "redb")]
pub use self::redb::RedbSnapshots;
pub(crate) use format::{Anchor, Snapshot};
pub use memory::MemorySnapshots;
use thiserror::Error;

/// Stores snapshots. Both calls are short and run on the caller's thread.
pub trait Snapshots: Send + Sync + 'static {
    /// Returns the bytes that were last saved under a key.
    fn load(&self, key: &str) -> Result<Option<Vec<u8>>, SnapshotError>;

    /// Saves bytes under a key, and replaces the previous ones.
    fn save(&self, key: &str, snapshot: &[u8]) -> Result<(), SnapshotError>;
}

/// The error for a snapshot that can't be saved or loaded. Commands work without it, but slower.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("snapshots: {message}")]
pub struct SnapshotError {
    /// What went wrong.
    pub message: String,
}

impl<T: Snapshots + ?Sized> Snapshots for std::sync::Arc<T> {
    fn load(&self, key: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        (**self).load(key)
    }

    fn save(&self, key: &str, snapshot: &[u8]) -> Result<(), SnapshotError> {
        (**self).save(key, snapshot)
    }
}
