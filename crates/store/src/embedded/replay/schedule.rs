//! Decides the next task of each thread.
//!
//! The range is split into chunks while it is read, so that chunks have about the same bytes. A chunk is in
//! memory from the start of its read until the last partition has passed it, and the number of chunks is
//! bounded. The first chunk can always be applied and the next one always read, so there is no deadlock.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::{Condvar, Mutex};

use crate::replay::Replay;

/// The assumed size of an event until some were read.
const FIRST_EVENT_BYTES: usize = 256;
/// The chunks that each thread may have ahead of those being applied, in addition to the one it reads.
const AHEAD: usize = 2;

/// An event's position, and the number of one of its keys.
pub(super) type KeyedPosition = (u64, usize);

/// An error, and its place in the order of the log.
pub(super) type ReplayFailure<E> = (KeyedPosition, E);

/// The schedule that the threads of a replay share. Items `T` are applied to states `S`.
pub(super) struct Schedule<S, T, E> {
    state: Mutex<State<S, T, E>>,
    changed: Condvar,
}

struct State<S, T, E> {
    /// The last position to read and apply. An error lowers it.
    end: u64,
    /// The first position that is in no chunk yet.
    next: u64,
    /// The number of positions that the next chunk covers.
    span: u64,
    /// The wanted bytes of a chunk.
    chunk_bytes: usize,
    /// Ranges that chunks had no room for: from and to.
    remainders: BTreeMap<u64, u64>,
    /// The chunks in memory, by their first position.
    chunks: BTreeMap<u64, Chunk<T>>,
    room: usize,
    partitions: Vec<Partition<S>>,
    /// Idle partitions that have items to apply, each after the first position of the chunk.
    ready: BTreeSet<(u64, usize)>,
    failure: Option<ReplayFailure<E>>,
    abandoned: bool,
}

struct Chunk<T> {
    to: u64,
    /// The items of each partition; `None` while the chunk is being read.
    pieces: Option<Vec<Vec<T>>>,
    /// The number of partitions that have not passed the chunk.
    left: usize,
}

struct Partition<S> {
    /// `None` while a thread has it.
    state: Option<S>,
    /// The first position of the chunk that it has to pass next.
    at: u64,
}

/// A task of a thread.
pub(super) enum Task<S, T> {
    /// Read a range of positions, both included.
    Read([u64; 2]),
    /// Apply items to a partition's state.
    Apply(Piece<S, T>),
}

/// Items for a partition.
pub(super) struct Piece<S, T> {
    partition: usize,
    pub(super) state: S,
    pub(super) items: Vec<T>,
}

/// The content of a chunk that was read.
pub(super) struct ChunkContent<T, E> {
    /// The items of each partition.
    pub(super) pieces: Vec<Vec<T>>,
    /// The last position that was read.
    pub(super) upto: u64,
    /// About how many bytes of memory were read.
    pub(super) bytes: usize,
    /// The error that stopped the read, if any.
    pub(super) failure: Option<ReplayFailure<E>>,
}

impl<S, T, E> Schedule<S, T, E> {
    /// Returns a schedule for a range of positions, both included.
    pub(super) fn new([from, end]: [u64; 2], replay: &Replay, states: Vec<S>) -> Self {
        let partition = |state| Partition { state: Some(state), at: from };
        let state = State {
            end,
            next: from,
            span: (replay.chunk_bytes / FIRST_EVENT_BYTES).max(1) as u64,
            chunk_bytes: replay.chunk_bytes,
            remainders: BTreeMap::new(),
            chunks: BTreeMap::new(),
            room: replay.thread_count() * (AHEAD + 1),
            partitions: states.into_iter().map(partition).collect(),
            ready: BTreeSet::new(),
            failure: None,
            abandoned: false,
        };
        Schedule { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for the next task. Returns `None` when the replay is done. A thread that does not apply only
    /// gets reads.
    pub(super) fn next(&self, applies: bool) -> Option<Task<S, T>> {
        let mut state = self.state.lock();
        loop {
            if state.abandoned || state.is_done() {
                return None;
            }
            if let Some(piece) = applies.then(|| state.take_piece()).flatten() {
                return Some(Task::Apply(piece));
            }
            if let Some(range) = state.take_range() {
                return Some(Task::Read(range));
            }
            self.changed.wait(&mut state);
        }
    }

    /// Adds a chunk that was read.
    pub(super) fn finish_read(&self, [from, to]: [u64; 2], content: ChunkContent<T, E>) {
        self.change(|state| state.fill([from, to], content));
    }

    /// Takes back the state of a piece that was applied, up to an error if there was one.
    pub(super) fn finish_apply(&self, piece: Piece<S, T>, outcome: Result<(), ReplayFailure<E>>) {
        self.change(|state| {
            state.partitions[piece.partition].state = Some(piece.state);
            outcome.unwrap_or_else(|failed| state.fail(failed));
            state.pass(piece.partition);
        });
    }

    /// Stops all threads, because one of them has panicked.
    pub(super) fn abandon(&self) {
        self.change(|state| state.abandoned = true);
    }

    fn change(&self, change: impl FnOnce(&mut State<S, T, E>)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// Returns the states, or the first error in the order of the log.
    pub(super) fn finish(self) -> Result<Vec<S>, E> {
        let state = self.state.into_inner();
        match state.failure {
            Some((_, error)) => Err(error),
            None => Ok(state.partitions.into_iter().filter_map(|part| part.state).collect()),
        }
    }
}

impl<S, T, E> State<S, T, E> {
    fn is_done(&self) -> bool {
        self.partitions.iter().all(|part| part.state.is_some() && part.at > self.end)
    }

    fn take_piece(&mut self) -> Option<Piece<S, T>> {
        let (at, partition) = self.ready.pop_first()?;
        let pieces = self.chunks.get_mut(&at)?.pieces.as_mut()?;
        let items = std::mem::take(pieces.get_mut(partition)?);
        let state = self.partitions.get_mut(partition)?.state.take()?;
        Some(Piece { partition, state, items })
    }

    /// Takes the next range to read, if there is room for a chunk.
    fn take_range(&mut self) -> Option<[u64; 2]> {
        if self.chunks.len() >= self.room {
            return None;
        }
        let range = match self.remainders.pop_first() {
            Some((from, to)) => [from, to],
            None if self.next > self.end => return None,
            None => [self.next, self.next.saturating_add(self.span - 1).min(self.end)],
        };
        let [from, to] = range;
        self.next = self.next.max(to.saturating_add(1));
        self.chunks.insert(from, Chunk { to, pieces: None, left: self.partitions.len() });
        Some(range)
    }

    fn fill(&mut self, [from, to]: [u64; 2], content: ChunkContent<T, E>) {
        // After an error, later chunks are dropped.
        let Some(chunk) = self.chunks.get_mut(&from) else { return };
        if content.failure.is_none() && content.upto < to {
            chunk.to = content.upto;
            self.remainders.insert(content.upto + 1, to);
        }
        self.span = span_after(self.span, chunk.to - from + 1, [content.bytes, self.chunk_bytes]);
        chunk.pieces = Some(content.pieces);
        if let Some(failed) = content.failure {
            self.fail(failed);
        }
        (0..self.partitions.len()).for_each(|partition| self.pass(partition));
    }

    /// Moves an idle partition past all chunks without items for it.
    fn pass(&mut self, partition: usize) {
        let part = &mut self.partitions[partition];
        while part.state.is_some()
            && part.at <= self.end
            && let Some(chunk) = self.chunks.get_mut(&part.at)
            && let Some(pieces) = &chunk.pieces
        {
            if !pieces[partition].is_empty() {
                self.ready.insert((part.at, partition));
                return;
            }
            let passed = std::mem::replace(&mut part.at, chunk.to + 1);
            chunk.left -= 1;
            if chunk.left == 0 {
                self.chunks.remove(&passed);
            }
        }
    }

    /// Notes an error; the first in the order of the log wins. Earlier items are still applied, since they
    /// may fail too.
    fn fail(&mut self, failed: ReplayFailure<E>) {
        if self.failure.as_ref().is_some_and(|(place, _)| *place <= failed.0) {
            return;
        }
        self.end = self.end.min(failed.0.0);
        let end = self.end;
        self.remainders.retain(|from, _| *from <= end);
        self.chunks.retain(|from, _| *from <= end);
        self.ready.retain(|(at, _)| *at <= end);
        self.failure = Some(failed);
    }
}

/// Returns how many positions the next chunk should cover, given the positions and bytes of the last one
/// and the wanted bytes. It aims below the wanted bytes, since events that do not fit need another chunk.
/// Chunks are read in parallel, so each changes the span at most by a factor of two.
fn span_after(span: u64, covered: u64, [bytes, wanted]: [usize; 2]) -> u64 {
    let aim = u128::from(covered) * (wanted as u128 * 3 / 4) / bytes.max(1) as u128;
    u64::try_from(aim).unwrap_or(u64::MAX).clamp((span / 2).max(1), span.saturating_mul(2))
}
