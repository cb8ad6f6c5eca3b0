//! What a system must be able to do to stand in the tables. One implementation for each is in
//! `systems/`; a server of our own becomes one more.

use std::future::Future;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::process::{self, Usage};
use crate::work::Work;

/// An event to be appended. Its id is given, so that whoever keeps ids has to keep them.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) data: Bytes,
}

/// An event of the data set that reads are measured on.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) stream: String,
    /// Its number in its stream, from 0.
    pub(crate) version: u64,
    /// The value of its tag `owner`.
    pub(crate) owner: String,
    pub(crate) event: Event,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) events: u64,
    /// Bytes of payload that were held in hand.
    pub(crate) bytes: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, payload: usize) {
        self.events += 1;
        self.bytes += payload as u64;
    }
}

/// What a system is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The data set is written, unmeasured: syncs may be rare, as long as closing makes them up.
    Load,
    /// Every acknowledgement waits for its sync.
    Measure,
}

/// Where a system lives.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its data, and nothing else.
    pub(crate) data: PathBuf,
    /// What `get` has brought: servers and scripts.
    pub(crate) cache: PathBuf,
    pub(crate) purpose: Purpose,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// What holds events and indexes.
    pub(crate) data: u64,
    /// What is preallocated, or a journal that is written over again.
    pub(crate) reserve: u64,
}

/// What an append answers and the next one on the same stream or tags expects: a version, a
/// sequence or a position, whatever the system goes by. None before the first.
pub(crate) type Mark = Option<u64>;

/// A store, with whatever processes it needs.
pub(crate) trait System: Sized + Send + Sync + 'static {
    /// What one appender or reader holds: a connection, or a handle.
    type Session: Session;

    /// Why it can't do a work, if it can't; becomes a footnote.
    fn cannot(work: Work) -> Option<&'static str>;

    /// Opens it, which creates it if it is not there, and returns when it answers.
    fn open(place: &Place) -> impl Future<Output = anyhow::Result<Self>>;

    /// One more connection.
    fn session(&self) -> impl Future<Output = anyhow::Result<Self::Session>>;

    /// The first of its server's processes; none if it lives in this one.
    fn server(&self) -> Option<u32> {
        None
    }

    /// What lies on its disk, once it has been loaded and closed.
    fn disk_bytes(place: &Place) -> anyhow::Result<Disk> {
        Ok(Disk { data: process::allocated(&place.data)?, reserve: 0 })
    }

    /// The most memory that it has had resident, ours with its client included.
    fn peak_memory(&self) -> anyhow::Result<u64> {
        process::peak_memory(self.server())
    }

    /// Processor time so far, ours with its client included.
    fn cpu(&self) -> anyhow::Result<Usage> {
        process::cpu(self.server())
    }

    /// Ends it in good order.
    fn close(self) -> impl Future<Output = anyhow::Result<()>>;
}

/// What one appender or reader does. It waits for each answer before it asks again.
pub(crate) trait Session: Send + 'static {
    /// One event, if the stream is where it is expected. Returns when it is durable.
    fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> impl Future<Output = anyhow::Result<Mark>> + Send;

    /// Several events of one stream, all or none, if the stream is where it is expected.
    fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> impl Future<Output = anyhow::Result<Mark>> + Send;

    /// One event with two tags, if no event with both has come after the mark.
    fn append_on_tags(
        &mut self,
        tags: [&str; 2],
        after: Mark,
        event: Event,
    ) -> impl Future<Output = anyhow::Result<Mark>> + Send;

    /// All events of a stream, in order.
    fn read_stream(&mut self, stream: &str) -> impl Future<Output = anyhow::Result<Seen>> + Send;

    /// All events of a category, in the order of the log.
    fn query_category(
        &mut self,
        category: &str,
    ) -> impl Future<Output = anyhow::Result<Seen>> + Send;

    /// All events with a tag `owner`, in the order of the log.
    fn query_tags(&mut self, owner: &str) -> impl Future<Output = anyhow::Result<Seen>> + Send;

    /// Everything, in the order of the log; stops after so many events.
    fn replay(&mut self, limit: u64) -> impl Future<Output = anyhow::Result<Seen>> + Send;

    /// Writes a part of the data set: a hundred events, of one stream or of a hundred.
    fn load(&mut self, chunk: Vec<Loaded>) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// The answer to what `cannot` has already refused.
pub(crate) fn refused<T>() -> anyhow::Result<T> {
    Err(anyhow::anyhow!("this system can't do that"))
}
