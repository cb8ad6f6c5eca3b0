//! Snapshots: states kept beside the log, so that a load need not start from the first event.
//!
//! A snapshot is a memo, never the truth. It names the last event that it holds; whoever takes it up
//! reads that event first, and where another event stands there (the store was restored from a backup,
//! the stream was truncated, the file belongs to another store) it is thrown away, and the state is
//! folded from the first event. So it is if the bytes are damaged or belong to another version of the
//! state's shape or logic. Losing all of them costs time and nothing else.

mod format;
mod memory;
mod redb;

pub use self::redb::RedbSnapshots;
pub(crate) use format::{Anchor, Snapshot};
pub use memory::MemorySnapshots;
use thiserror::Error;

/// Where snapshots are kept. Both calls are short and run on the caller's thread.
pub trait Snapshots: Send + Sync + 'static {
    /// What was kept last under a key.
    fn load(&self, key: &str) -> Result<Option<Vec<u8>>, SnapshotError>;

    /// Keeps bytes under a key, in the place of what was there.
    fn save(&self, key: &str, snapshot: &[u8]) -> Result<(), SnapshotError>;
}

/// Snapshots can't be kept. Commands go on without them, only slower.
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
