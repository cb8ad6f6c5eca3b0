//! Replay: what a query yields, folded on several threads.
//!
//! A fold over a long history need not wait for one thread where only the events of the same thing
//! must be taken in order: those of a stream, of a correlation, of a customer that is named in a
//! tag. [`Embedded::replay`](crate::Embedded::replay) takes the events of each such key in the
//! order of the log, and those of different keys side by side. Where things of different keys must
//! meet, [`Embedded::replay_in_order`](crate::Embedded::replay_in_order) decodes on several threads
//! and applies on one, in the order of the log.
//!
//! How many threads there are changes how long it takes and nothing else: not the states, not the
//! cursor, not which error stops it.

use thiserror::Error;

use leftfold_api::names;
use leftfold_api::{Coded, Cursor, Invalid, Query, ReadError, Recorded};

/// As many threads are made use of.
const MAX_THREADS: usize = 256;
/// As many partitions there may be.
const MAX_PARTITIONS: usize = 4_096;
/// Partitions, unless said otherwise: many more than threads, so that a few busy keys leave the
/// other threads something to do.
const PARTITIONS: usize = 64;
/// Bytes of a chunk, unless said otherwise: enough that who reads it is not soon asked for the
/// next, little enough to be still in the processor's cache when it is folded.
const CHUNK_BYTES: usize = 1 << 20;

/// What is replayed, and how it is shared out.
///
/// ```
/// use leftfold_store::{Query, Replay, ReplayKey};
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

/// What events must have in common to be taken one after the other.
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
    /// The value of the tag of this key. An event with several such tags belongs to each value.
    Tag(String),
}

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed<S> {
    /// The states of the partitions, in their order.
    pub states: Vec<S>,
    /// Up to where the log was gone through: a replay or a subscription after it goes on.
    pub cursor: Cursor,
}

/// Why a replay stopped. Of several reasons it is the one that a fold on one thread would have met:
/// the first in the order of the log.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The caller's own code refused an event.
    #[error("the replay stopped at the event at position {position}: {error}")]
    Stopped {
        /// The event's position.
        position: u64,
        /// What the caller's code said.
        error: E,
    },
}

impl Replay {
    /// All that a query yields, from the beginning to what is durable when the replay starts.
    pub fn of(query: Query) -> Self {
        let (after, key) = (Cursor::START, ReplayKey::default());
        let (partitions, chunk_bytes) = (PARTITIONS, CHUNK_BYTES);
        Replay { query, after, key, threads: None, partitions, chunk_bytes }
    }

    /// Only what comes after a cursor.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = cursor;
        self
    }

    /// By which key it is shared out; by stream, unless said otherwise. Of no meaning to
    /// [`Embedded::replay_in_order`](crate::Embedded::replay_in_order).
    #[must_use]
    pub fn by(mut self, key: ReplayKey) -> Self {
        self.key = key;
        self
    }

    /// On so many threads, the caller's among them; unless said otherwise, on as many as there are
    /// processors. Where others append or read meanwhile, leave them some.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// With so many states (1 to 4,096); 64, unless said otherwise. At most so many threads can
    /// fold at a time, and no more can fold than there are keys.
    #[must_use]
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions;
        self
    }

    /// Reads in chunks of about so many bytes (an event more at most); 1 MiB, unless said
    /// otherwise. Three of them are in memory for each thread.
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
    /// The event's n-th key of this kind, counted from 0. Only tags can be several.
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

    /// Checks that there can be such keys.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        match self {
            ReplayKey::Tag(key) if key.is_empty() || key.contains('=') => {
                let message = format!(
                    "no event has a tag with the key {key:?}: it has at least one character and \
                     no ="
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
