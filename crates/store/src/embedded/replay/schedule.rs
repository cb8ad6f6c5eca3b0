//! Which thread does what next.
//!
//! The range is cut into chunks as it is read, so each chunk holds about as many bytes, whatever
//! the query yields of it. A chunk is in memory from when a thread begins to read it until the last
//! partition has passed it; there is room for so many. The first of them can always be applied and
//! the next always read, so none waits for one behind it.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::{Condvar, Mutex};

use crate::replay::Replay;

/// As large events are taken to be until some were read.
const FIRST_EVENT_BYTES: usize = 256;
/// So many chunks each thread may have ahead of what is applied, beside one that is being read.
const AHEAD: usize = 2;

/// An event's position, and which of its keys.
pub(super) type Place = (u64, usize);

/// A failure, and where in the order of the log it stands.
pub(super) type Failed<E> = (Place, E);

/// What is shared by the threads of a replay: states `S`, to which items `T` are applied.
pub(super) struct Schedule<S, T, E> {
    state: Mutex<State<S, T, E>>,
    changed: Condvar,
}

struct State<S, T, E> {
    /// Nothing is read or applied after this position; a failure brings it nearer.
    end: u64,
    /// From here on nothing has been cut into chunks.
    next: u64,
    /// So many positions the next chunk covers.
    span: u64,
    /// So many bytes a chunk should come to.
    chunk_bytes: usize,
    /// What chunks had no room for: from and to.
    rests: BTreeMap<u64, u64>,
    /// By the first position that they cover.
    chunks: BTreeMap<u64, Chunk<T>>,
    room: usize,
    partitions: Vec<Partition<S>>,
    /// Partitions that are idle and have something to apply, with where that begins.
    ready: BTreeSet<(u64, usize)>,
    failure: Option<Failed<E>>,
    abandoned: bool,
}

struct Chunk<T> {
    to: u64,
    /// For each partition its items; none while the chunk is being read.
    pieces: Option<Vec<Vec<T>>>,
    /// So many partitions have yet to pass.
    left: usize,
}

struct Partition<S> {
    /// None while a thread has it.
    state: Option<S>,
    /// Where the chunk begins that it has not passed.
    at: u64,
}

/// What a thread is to do.
pub(super) enum Task<S, T> {
    /// Read from a position to another, both included.
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

/// What was read.
pub(super) struct Filled<T, E> {
    /// For each partition its items.
    pub(super) pieces: Vec<Vec<T>>,
    /// The last position that was looked at.
    pub(super) upto: u64,
    /// About how much memory that took.
    pub(super) bytes: usize,
    /// Why the reading stopped, if it failed.
    pub(super) failure: Option<Failed<E>>,
}

impl<S, T, E> Schedule<S, T, E> {
    /// A schedule over a range of positions, both included.
    pub(super) fn new([from, end]: [u64; 2], replay: &Replay, states: Vec<S>) -> Self {
        let partition = |state| Partition { state: Some(state), at: from };
        let state = State {
            end,
            next: from,
            span: (replay.chunk_bytes / FIRST_EVENT_BYTES).max(1) as u64,
            chunk_bytes: replay.chunk_bytes,
            rests: BTreeMap::new(),
            chunks: BTreeMap::new(),
            room: replay.thread_count() * (AHEAD + 1),
            partitions: states.into_iter().map(partition).collect(),
            ready: BTreeSet::new(),
            failure: None,
            abandoned: false,
        };
        Schedule { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What to do next; waits for it. None when all is done. Who does not apply only reads.
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

    /// A range was read.
    pub(super) fn filled(&self, [from, to]: [u64; 2], filled: Filled<T, E>) {
        self.change(|state| state.fill([from, to], filled));
    }

    /// A piece was applied, as far as that went.
    pub(super) fn applied(&self, piece: Piece<S, T>, outcome: Result<(), Failed<E>>) {
        self.change(|state| {
            state.partitions[piece.partition].state = Some(piece.state);
            outcome.unwrap_or_else(|failed| state.fail(failed));
            state.pass(piece.partition);
        });
    }

    /// Lets all threads stop: one of them has panicked.
    pub(super) fn abandon(&self) {
        self.change(|state| state.abandoned = true);
    }

    fn change(&self, change: impl FnOnce(&mut State<S, T, E>)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// The states, or the failure that comes first in the log.
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

    /// The first range that nobody has begun to read.
    fn take_range(&mut self) -> Option<[u64; 2]> {
        if self.chunks.len() >= self.room {
            return None;
        }
        let range = match self.rests.pop_first() {
            Some((from, to)) => [from, to],
            None if self.next > self.end => return None,
            None => [self.next, self.next.saturating_add(self.span - 1).min(self.end)],
        };
        let [from, to] = range;
        self.next = self.next.max(to.saturating_add(1));
        self.chunks.insert(from, Chunk { to, pieces: None, left: self.partitions.len() });
        Some(range)
    }

    fn fill(&mut self, [from, to]: [u64; 2], filled: Filled<T, E>) {
        // After a failure what lies behind it is not wanted any more.
        let Some(chunk) = self.chunks.get_mut(&from) else { return };
        if filled.failure.is_none() && filled.upto < to {
            chunk.to = filled.upto;
            self.rests.insert(filled.upto + 1, to);
        }
        self.span = span_after(self.span, chunk.to - from + 1, [filled.bytes, self.chunk_bytes]);
        chunk.pieces = Some(filled.pieces);
        if let Some(failed) = filled.failure {
            self.fail(failed);
        }
        (0..self.partitions.len()).for_each(|partition| self.pass(partition));
    }

    /// Lets a partition that is idle pass all chunks that have nothing (more) for it.
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

    /// Notes a failure; of several the first in the log stays. All that comes before it is still
    /// applied, since that may fail too.
    fn fail(&mut self, failed: Failed<E>) {
        if self.failure.as_ref().is_some_and(|(place, _)| *place <= failed.0) {
            return;
        }
        self.end = self.end.min(failed.0.0);
        let end = self.end;
        self.rests.retain(|from, _| *from <= end);
        self.chunks.retain(|from, _| *from <= end);
        self.ready.retain(|(at, _)| *at <= end);
        self.failure = Some(failed);
    }
}

/// How many positions the next chunk should cover, after one came to so many bytes where so many
/// were wanted. It aims below that, since what does not fit is read by another chunk. Chunks are
/// read side by side, so each moves the span by no more than twice.
fn span_after(span: u64, covered: u64, [bytes, wanted]: [usize; 2]) -> u64 {
    let aim = u128::from(covered) * (wanted as u128 * 3 / 4) / bytes.max(1) as u128;
    u64::try_from(aim).unwrap_or(u64::MAX).clamp((span / 2).max(1), span.saturating_mul(2))
}
