//! Replay: folds the events of a query on several threads.
//!
//! Often only events with the same key must be applied in order: those of one stream, one correlation,
//! or one customer named in a tag. [`Embedded::replay`](crate::Embedded::replay) applies the events of
//! each key in the order of the log, and different keys in parallel. If events of different keys depend
//! on each other, use [`Embedded::replay_in_order`](crate::Embedded::replay_in_order): it decodes on
//! several threads and applies on one, in the order of the log.
//!
//! The number of threads changes only the duration: the states, the cursor and the error that stops a
//! replay are always the same.

use thiserror::Error;

use leftfold_api::names;
use leftfold_api::{Coded, Cursor, Invalid, Query, ReadError, Recorded};

/// The most threads of a replay.
const MAX_THREADS: usize = 256;
/// The most partitions of a replay.
const MAX_PARTITIONS: usize = 4_096;
/// The default number of partitions: many more than threads, so that a few busy keys do not leave
/// threads idle.
const PARTITIONS: usize = 64;
/// The default bytes of a chunk: enough that a thread reads for a while, few enough that the chunk is
/// still in the processor's cache when it is applied.
const CHUNK_BYTES: usize = 1 << 20;

/// The events to replay, and how they are distributed over threads.
///
/// ```
/// use leftfold_api::Query;
/// use leftfold_store::{Replay, ReplayKey};
///
/// let replay = Replay::of(Query::category("order")).by(ReplayKey::Tag("customer".to_owned()));
/// ```
#[derive(Debug, Clone)]
pub struct Replay {
    pub(crate) query: Query,
    pub(crate) after: Cursor,
    pub(crate) key: ReplayKey,
    pub(crate) threads: Option<usize>,
    pub(crate) partitions: usize,
    pub(crate) chunk_bytes: usize,
}

/// The key of an event; events with the same key are applied in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReplayKey {
    /// The stream. Every event has one.
    #[default]
    Stream,
    /// The stream's category. Every event has one.
    Category,
    /// The correlation id.
    Correlation,
    /// The value of the tag with this key. An event with several such tags belongs to each value.
    Tag(String),
}

/// The outcome of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayOutcome<S> {
    /// The states, ordered by partition.
    pub states: Vec<S>,
    /// The end of the replayed range: a replay or a subscription after it continues there.
    pub cursor: Cursor,
}

/// Why a replay stopped: the first error in the order of the log, as in a fold on one thread.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The caller's code refused an event.
    #[error("the replay stopped at the event at position {position}: {error}")]
    Stopped {
        /// The event's position.
        position: u64,
        /// The error of the caller's code.
        error: E,
    },
}

impl Replay {
    /// Replays all events of a query, up to the durable head at the start of the replay.
    pub fn of(query: Query) -> Self {
        let (after, key) = (Cursor::START, ReplayKey::default());
        let (partitions, chunk_bytes) = (PARTITIONS, CHUNK_BYTES);
        Replay { query, after, key, threads: None, partitions, chunk_bytes }
    }

    /// Replays only events after a cursor.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = cursor;
        self
    }

    /// Sets the key; the default is the stream.
    /// [`Embedded::replay_in_order`](crate::Embedded::replay_in_order) ignores it.
    #[must_use]
    pub fn by(mut self, key: ReplayKey) -> Self {
        self.key = key;
        self
    }

    /// Sets the number of threads, including the caller's. The default is the number of processors;
    /// use fewer if other callers append or read at the same time.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets the number of partitions, each with a state: 1 to 4,096, by default 64. At most this many
    /// threads apply events at a time, and no more than there are keys.
    #[must_use]
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets the size of a chunk in bytes, exceeded by at most one event; the default is 1 MiB. Each
    /// thread has up to three chunks in memory.
    #[must_use]
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes;
        self
    }

    pub(crate) fn thread_count(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(processors).clamp(1, MAX_THREADS)
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.clamp(1, MAX_PARTITIONS)
    }
}

impl ReplayKey {
    /// Returns the event's n-th key of this kind, counted from 0. Only tags can have several.
    pub(crate) fn nth<'a>(&self, event: &'a Recorded, n: usize) -> Option<&'a str> {
        match self {
            ReplayKey::Tag(name) => {
                let mut values = event.tags().filter(|(key, _)| key == name);
                values.nth(n).map(|(_, value)| value)
            }
            _ if n > 0 => None,
            ReplayKey::Stream => Some(event.stream()),
            ReplayKey::Category => Some(names::category_of(event.stream())),
            ReplayKey::Correlation => event.correlation(),
        }
    }

    /// Checks that an event can have this key.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        match self {
            ReplayKey::Tag(key) if key.is_empty() || key.contains('=') => {
                let message = format!(
                    "{key:?} is not the key of a tag: a key has at least one character and no '='"
                );
                Err(Invalid::new("tag_invalid", message))
            }
            _ => Ok(()),
        }
    }
}

impl<E: Coded> Coded for ReplayError<E> {
    fn code(&self) -> &'static str {
        match self {
            ReplayError::Read(error) => error.code(),
            ReplayError::Stopped { error, .. } => error.code(),
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            ReplayError::Read(error) => error.can_retry(),
            ReplayError::Stopped { error, .. } => error.can_retry(),
        }
    }
}
