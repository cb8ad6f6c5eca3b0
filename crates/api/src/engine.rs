//! What a server asks of a store beyond [`EventStore`](crate::EventStore).
//!
//! A server holds an `Arc<dyn Engine>` and serves any engine: the embedded store, the cluster, a
//! store of the tests. What an administrator does is a trait of its own, [`Administration`]: its
//! calls block and read files, so a server runs them on threads that nothing else waits for.

use std::path::Path;

use crate::append::{Append, Appended};
use crate::cursor::Cursor;
use crate::erased::{BoxFuture, ErasedStore};
use crate::error::{AppendError, Coded, Failure, Invalid, ReadError};
use crate::query::Query;
use crate::time::Timestamp;

/// A store that a server can serve.
pub trait Engine: ErasedStore {
    /// Appends as [`EventStore::append`](crate::EventStore::append) does, for a task that has its
    /// thread to itself: the engine may write and sync on that thread and block it.
    fn append_here(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Appends events of a server's own to system streams: their streams and types begin with `$`,
    /// and they have neither tags nor a correlation, so that users' queries never yield them.
    ///
    /// # Errors
    /// Those of an append; `name_invalid` for a user's stream or type, or one of the store's own;
    /// `tag_invalid` for a tag or a correlation.
    fn append_system(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Returns a query with every named index replaced by the query that defines it now.
    ///
    /// # Errors
    /// `index_unknown` or `index_building`.
    fn expand(&self, query: &Query) -> Result<Query, Invalid>;

    /// Returns what the engine has counted since it was opened. Reads no file.
    fn meters(&self) -> Meters;

    /// Returns why nothing is written any more, if a write or an fsync has failed.
    fn failure(&self) -> Option<Failure>;

    /// Returns what an administrator can do.
    fn administration(&self) -> &dyn Administration;
}

/// Hears how many of how many units of work are done.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// An error of administration, with its code.
pub type AdministrationError = Box<dyn Coded + Send + Sync>;

/// What an administrator does with a store. Each call blocks until it is done.
pub trait Administration: Send + Sync {
    /// Returns the store's size and state.
    fn stat(&self) -> Result<Stat, ReadError>;

    /// Closes the open segment and waits until all maintenance is done.
    fn seal(&self) -> Result<(), Failure>;

    /// Removes the payloads of all events that retention has dropped.
    fn scavenge(&self, progress: Progress<'_>) -> Result<ScavengeReport, ReadError>;

    /// Returns what [`Administration::scavenge`] would remove now.
    fn reclaimable(&self) -> Result<ScavengeReport, ReadError>;

    /// Backs the store up into a directory that is empty or holds earlier backups of this store.
    fn backup(
        &self,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<BackupReport, AdministrationError>;
}

/// A store's size and state.
#[derive(Debug, Clone)]
pub struct Stat {
    /// The store's id; it never changes.
    pub store_id: u128,
    /// When the store was created.
    pub created: Timestamp,
    /// Events, which is the last position.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Named indexes.
    pub indexes: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Sealed segments.
    pub sealed: u64,
    /// Compressed segments.
    pub compressed: u64,
    /// Bytes of the log, without what is preallocated.
    pub log_bytes: u64,
    /// Bytes of index files.
    pub index_bytes: u64,
    /// Index files.
    pub index_files: u64,
    /// Why maintenance has failed, if it has.
    pub maintenance_failure: Option<Failure>,
}

/// What a store has counted since it was opened.
#[derive(Debug, Clone)]
pub struct Meters {
    /// Appends of each turn of the writer, which one write and one fsync serve.
    pub batches: Histogram,
    /// Microseconds of each fsync.
    pub syncs: Histogram,
    /// Hits and misses of the cache of log blocks.
    pub log_cache: (u64, u64),
    /// Hits and misses of the cache of index blocks.
    pub index_cache: (u64, u64),
    /// The last durable position.
    pub position: u64,
}

/// What a meter has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// The sum of all values.
    pub sum: u64,
    /// The number of values in each bucket: bucket n holds values above 2^(n-1), up to 2^n.
    pub counts: Vec<u64>,
}

/// What scavenging removed, or could remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScavengeReport {
    /// Segments that were looked at.
    pub segments: u64,
    /// Events that lost their payloads.
    pub events: u64,
    /// Bytes of these payloads, before compression.
    pub payload_bytes: u64,
    /// Bytes by which the files became shorter; 0 where nothing was written.
    pub file_bytes: u64,
}

/// What a backup copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The number of the backup in its directory, from 1.
    pub number: u64,
    /// Behind the last event in it.
    pub head: Cursor,
    /// Files that were copied.
    pub files_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Files that an earlier backup has copied.
    pub files_kept: u64,
    /// Their bytes.
    pub bytes_kept: u64,
    /// Index files that are missing or damaged, and so are not in the backup: opening the restored
    /// store makes them again from the log.
    pub files_left_out: u64,
}
