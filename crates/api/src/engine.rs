//! The interface of a store for a server, beyond [`EventStore`](crate::EventStore).
//!
//! A server holds an `Arc<dyn Engine>` and serves any engine: the embedded store, the cluster, or a store
//! of the tests. Administration is a separate trait, [`Administration`]: its calls block and read files,
//! so a server runs them on their own threads.

use std::path::Path;

use bytes::Bytes;

use crate::append::{Append, Appended};
use crate::cluster::Cluster;
use crate::cursor::Cursor;
use crate::erased::{BoxFuture, ErasedStore};
use crate::error::{AppendError, Coded, Failure, Invalid, ReadError};
use crate::query::Query;
use crate::read::{Page, Read};
use crate::time::Timestamp;

/// A store that a server can serve.
pub trait Engine: ErasedStore {
    /// Appends as [`EventStore::append`](crate::EventStore::append) does, for a task that has its
    /// thread to itself: the engine may write and sync on that thread and block it.
    fn append_here(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Reads as [`EventStore::read`](crate::EventStore::read) does, for a task that has its thread to itself:
    /// the engine may read files on that thread and block it for a short page.
    fn read_here(&self, read: Read) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.erased_read(read)
    }

    /// Appends a server's own events to system streams. Their streams and types begin with `$`, and they
    /// have neither tags nor a correlation, so that users' queries never yield them.
    ///
    /// # Errors
    /// Those of an append; `name_invalid` for a stream or type of a user or of the store itself;
    /// `tag_invalid` for a tag or a correlation.
    fn append_system(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Returns a query with every named index replaced by the query that defines it now.
    ///
    /// # Errors
    /// `index_unknown` or `index_building`.
    fn expand(&self, query: &Query) -> Result<Query, Invalid>;

    /// Returns what the engine has counted since it was opened. Reads no file.
    fn meters(&self) -> Meters;

    /// Returns why the store writes no more, if a write or an fsync has failed.
    fn failure(&self) -> Option<Failure>;

    /// Returns the interface for administration.
    fn administration(&self) -> &dyn Administration;

    /// Returns the cluster that the engine is a node of, if it is one.
    fn cluster(&self) -> Option<&dyn Cluster> {
        None
    }

    /// Returns what gives copies of the store to other nodes, if the engine does.
    fn copies(&self) -> Option<&dyn Copies> {
        None
    }
}

/// Takes the next bytes of a copy; may wait. If it returns false, no more are wanted.
pub type CopySink<'a> = &'a mut dyn FnMut(Bytes) -> bool;

/// Gives copies of a store to other nodes of a cluster.
pub trait Copies: Send + Sync {
    /// Sends the files of the store as they are at this moment. Blocks, and holds the files until it is done.
    ///
    /// # Errors
    /// There is no copy that can be given, it can't be read, or the sink returned false.
    fn send_copy(&self, sink: CopySink<'_>) -> Result<(), AdministrationError>;
}

/// A callback that gets the number of units of work that are done, and of all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// An error of administration, with its code.
pub type AdministrationError = Box<dyn Coded + Send + Sync>;

/// The administration of a store. Each call blocks until it is done.
pub trait Administration: Send + Sync {
    /// Returns the store's size and state.
    fn stat(&self) -> Result<Stat, ReadError>;

    /// Closes the open segment and waits until all maintenance is done.
    fn seal(&self) -> Result<(), Failure>;

    /// Removes the payloads of all events that retention has dropped.
    fn scavenge(&self, progress: Progress<'_>) -> Result<ScavengeReport, ReadError>;

    /// Returns what [`Administration::scavenge`] would remove now.
    fn reclaimable(&self) -> Result<ScavengeReport, ReadError>;

    /// Reads and checks all frames, events and index files, at the speed of maintenance, as long as `go_on`
    /// returns true; it is asked before each file.
    ///
    /// # Errors
    /// `store_closed`: it was stopped, or the store is being closed.
    fn verify(&self, go_on: &mut dyn FnMut() -> bool) -> Result<VerifySummary, ReadError>;

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
    /// The number of events, without bookkeeping.
    pub events: u64,
    /// The number of streams, without those of bookkeeping.
    pub streams: u64,
    /// The number of events of the store's own streams and of reactors.
    pub bookkeeping_events: u64,
    /// The last position.
    pub last_position: u64,
    /// The number of checkpoints.
    pub checkpoints: u64,
    /// The number of checkpoints that there may be.
    pub checkpoints_allowed: u64,
    /// The number of named indexes.
    pub indexes: u64,
    /// The number of segments of the log.
    pub segments: u64,
    /// The number of sealed segments.
    pub sealed: u64,
    /// The number of compressed segments.
    pub compressed: u64,
    /// The bytes of the log, without preallocated space.
    pub log_bytes: u64,
    /// The bytes of index files.
    pub index_bytes: u64,
    /// The number of index files.
    pub index_files: u64,
    /// Why maintenance has failed, if it has.
    pub maintenance_failure: Option<Failure>,
    /// By how many microseconds the clock is behind the last commit time: it was set back, or was ahead
    /// once. Until it is reached again, all appends get that commit time.
    pub clock_behind_micros: u64,
}

/// Returns a warning if the clock is behind the last commit time by more than clocks are corrected by all the
/// time: it was set back, or was ahead once.
pub fn clock_warning(behind_micros: u64) -> Option<String> {
    const TOLERATED_MICROS: u64 = 1_000_000;
    (behind_micros > TOLERATED_MICROS).then(|| {
        let seconds = behind_micros / 1_000_000;
        format!(
            "the clock is {seconds} s behind the last commit time: until it is reached, all appends get that \
             commit time"
        )
    })
}

/// Returns a warning if four fifths of the checkpoints that there may be are made.
pub fn checkpoints_warning(checkpoints: u64, allowed: u64) -> Option<String> {
    // A server of an earlier release does not say how many are allowed.
    (allowed > 0 && checkpoints >= allowed - allowed / 5).then(|| {
        format!(
            "there are {checkpoints} of at most {allowed} checkpoints: delete those that nothing moves any more"
        )
    })
}

/// What a store has counted since it was opened.
#[derive(Debug, Clone, Default)]
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
    /// By how many microseconds the clock is behind the last commit time.
    pub clock_behind_micros: u64,
    /// Why maintenance has failed, or waits: the disk is full.
    pub maintenance_failure: Option<Failure>,
    /// The number of checkpoints.
    pub checkpoints: u64,
    /// The number of checkpoints that there may be.
    pub checkpoints_allowed: u64,
}

/// A histogram of values, by powers of two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The sum of all values.
    pub sum: u64,
    /// The number of values in each bucket: bucket n holds values above 2^(n-1), up to 2^n.
    pub counts: Vec<u64>,
}

/// The payloads that scavenging removed, or could remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScavengeReport {
    /// The number of segments that were read.
    pub segments: u64,
    /// The number of events whose payloads were removed.
    pub events: u64,
    /// The bytes of these payloads, before compression.
    pub payload_bytes: u64,
    /// The bytes by which the files became shorter; 0 if nothing was written.
    pub file_bytes: u64,
}

/// The report of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifySummary {
    /// Frames whose checksums were checked.
    pub frames: u64,
    /// Events that were read, and looked up in the index.
    pub events: u64,
    /// Index files whose blocks were all checked.
    pub index_files: u64,
    /// Placeholders of events that were lost before a repair.
    pub lost: u64,
    /// The number of problems.
    pub problem_count: u64,
    /// The first problems: what is wrong, and where.
    pub problems: Vec<String>,
    /// The named indexes that differ from their queries. Maintenance fills them again.
    pub refilled: Vec<String>,
}

/// The report of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The number of the backup in its directory, from 1.
    pub number: u64,
    /// The cursor behind its last event.
    pub head: Cursor,
    /// The number of files that were copied.
    pub files_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// The number of files that an earlier backup has copied.
    pub files_kept: u64,
    /// Their bytes.
    pub bytes_kept: u64,
    /// The number of index files that are missing or damaged and so not in the backup. Opening the restored
    /// store makes them again from the log.
    pub files_left_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_of_a_clock_that_is_behind_by_more_than_a_correction() {
        assert_eq!([0, 1_000_000].map(clock_warning), [None, None]);
        let warning = clock_warning(3_600_000_000).unwrap();
        assert!(warning.starts_with("the clock is 3600 s behind"), "{warning}");
    }

    #[test]
    fn warns_of_checkpoints_before_there_are_too_many() {
        assert_eq!(
            [(79_999, 100_000), (1, 0)].map(|(n, of)| checkpoints_warning(n, of)),
            [None, None]
        );
        let warning = checkpoints_warning(80_000, 100_000).unwrap();
        assert!(warning.starts_with("there are 80000 of at most 100000 checkpoints"), "{warning}");
    }
}
