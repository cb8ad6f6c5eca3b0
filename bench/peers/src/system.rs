//! The interface of the measured systems. Each has an implementation in `systems/`.

use std::future::Future;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::process::{self, Usage};
use crate::work::Work;

/// An event to append. Its id is given, so that systems that store ids must store this one.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) data: Bytes,
}

/// An event of the data set for reads.
#[derive(Debug, Clone)]
pub(crate) struct DataSetEvent {
    pub(crate) stream: String,
    /// Its number in its stream, from 0.
    pub(crate) version: u64,
    /// The value of its tag `owner`.
    pub(crate) owner: String,
    pub(crate) event: Event,
}

/// The result of a read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReadResult {
    pub(crate) events: u64,
    /// The bytes of payload that were accessed.
    pub(crate) bytes: u64,
}

impl ReadResult {
    pub(crate) fn add(&mut self, payload: usize) {
        self.events += 1;
        self.bytes += payload as u64;
    }
}

/// What a system is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To write the data set, unmeasured: syncs may be rare, if closing syncs everything.
    Load,
    /// To measure: every acknowledgement waits for its sync.
    Measure,
}

/// The directories of a system.
#[derive(Debug, Clone)]
pub(crate) struct Directories {
    /// The directory of its data, and of nothing else.
    pub(crate) data: PathBuf,
    /// The directory of downloads: servers and scripts.
    pub(crate) cache: PathBuf,
    pub(crate) purpose: Purpose,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// The bytes of events and indexes.
    pub(crate) data: u64,
    /// The bytes that are preallocated, or belong to a journal that is overwritten.
    pub(crate) reserve: u64,
}

/// What an append returns, and the next one on the same stream or tags expects: a version, a
/// sequence or a position, depending on the system. `None` before the first.
pub(crate) type Mark = Option<u64>;

/// A store, with the processes that it needs.
pub(crate) trait System: Sized + Send + Sync + 'static {
    /// The handle of one appender or reader, for example a connection.
    type Session: Session;

    /// Returns why it does not support a workload, as a footnote, or `None`.
    fn cannot(work: Work) -> Option<&'static str>;

    /// Opens the store, creates it if necessary, and returns once it answers.
    fn open(place: &Directories) -> impl Future<Output = anyhow::Result<Self>>;

    /// Opens one more session.
    fn session(&self) -> impl Future<Output = anyhow::Result<Self::Session>>;

    /// Returns the process id of its server, or `None` if it runs in this process.
    fn server(&self) -> Option<u32> {
        None
    }

    /// Returns the bytes on disk after a load and a close.
    fn disk_bytes(place: &Directories) -> anyhow::Result<Disk> {
        Ok(Disk { data: process::allocated(&place.data)?, reserve: 0 })
    }

    /// Returns the peak of its resident memory, this process included.
    fn peak_memory(&self) -> anyhow::Result<u64> {
        process::peak_memory(self.server())
    }

    /// Returns its processor time so far, this process included.
    fn cpu(&self) -> anyhow::Result<Usage> {
        process::cpu(self.server())
    }

    /// Closes it in an orderly way.
    fn close(self) -> impl Future<Output = anyhow::Result<()>>;
}

/// The operations of one appender or reader, which waits for each answer.
pub(crate) trait Session: Send + 'static {
    /// Appends one event if the stream is at the expected mark. Returns when it is durable.
    fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> impl Future<Output = anyhow::Result<Mark>> + Send;

    /// Appends several events of one stream, all or none, if the stream is at the expected mark.
    fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> impl Future<Output = anyhow::Result<Mark>> + Send;

    /// Appends one event with two tags, if no event with both has come after the mark.
    fn append_on_tags(
        &mut self,
        tags: [&str; 2],
        after: Mark,
        event: Event,
    ) -> impl Future<Output = anyhow::Result<Mark>> + Send;

    /// Reads all events of a stream, in order.
    fn read_stream(
        &mut self,
        stream: &str,
    ) -> impl Future<Output = anyhow::Result<ReadResult>> + Send;

    /// Reads all events of a category, in the order of the log.
    fn query_category(
        &mut self,
        category: &str,
    ) -> impl Future<Output = anyhow::Result<ReadResult>> + Send;

    /// Reads all events with a tag `owner`, in the order of the log.
    fn query_tags(
        &mut self,
        owner: &str,
    ) -> impl Future<Output = anyhow::Result<ReadResult>> + Send;

    /// Reads all events in the order of the log, and stops after `limit` events.
    fn replay(&mut self, limit: u64) -> impl Future<Output = anyhow::Result<ReadResult>> + Send;

    /// Writes a chunk of the data set: a hundred events, of one stream or of a hundred.
    fn load(&mut self, chunk: Vec<DataSetEvent>)
    -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Returns the error for an operation that `cannot` excludes.
pub(crate) fn refused<T>() -> anyhow::Result<T> {
    Err(anyhow::anyhow!("this system can't do that"))
}
