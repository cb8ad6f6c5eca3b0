//! Reads a chunk: the events of the query that retention has not dropped.

use leftfold_index::Order;

use super::schedule::{ChunkContent, ReplayFailure};
use crate::embedded::candidates::Candidates;
use crate::embedded::core::Core;
use crate::embedded::retention::Visibility;
use crate::plan::Plan;
use crate::replay::{Replay, ReplayError};
use leftfold_api::{Query, ReadError, Recorded};

/// The events to read, as of one time: all threads see the same.
pub(super) struct Source<'a> {
    pub(super) core: &'a Core,
    expanded: Query,
    plan: Plan,
    /// From and to, both included.
    pub(super) range: [u64; 2],
    visibility: Visibility,
    chunk_bytes: usize,
}

/// The reader of one thread.
pub(super) struct Reader<'a> {
    source: &'a Source<'a>,
    /// Caches the retention of streams.
    visibility: Visibility,
    /// About the number of items in a piece of the last chunk.
    piece_len: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(core: &'a Core, replay: &Replay) -> Result<Self, ReadError> {
        let head = core.log.head().position;
        let (expanded, plan) = core.resolve(&replay.query)?;
        let chunk_bytes = replay.chunk_bytes;
        let range = [core.position_of(&replay.after)? + 1, head];
        let expanded = expanded.into_owned();
        Ok(Source { core, expanded, plan, range, visibility: core.visibility(head), chunk_bytes })
    }

    pub(super) fn reader(&'a self) -> Reader<'a> {
        Reader { source: self, visibility: self.visibility.clone(), piece_len: 0 }
    }
}

impl Reader<'_> {
    /// Reads a range to its end or until the chunk is full. `take` adds an event to the items of its
    /// partitions.
    pub(super) fn read<T, E>(
        &mut self,
        [from, to]: [u64; 2],
        partitions: usize,
        take: impl Fn(Recorded, &mut [Vec<T>]) -> Result<(), ReplayFailure<ReplayError<E>>>,
    ) -> ChunkContent<T, ReplayError<E>> {
        let pieces = (0..partitions).map(|_| Vec::with_capacity(self.piece_len)).collect();
        let mut content = ChunkContent { pieces, upto: from - 1, bytes: 0, failure: None };
        match self.read_into(&mut content, [from, to], take) {
            Ok(true) => content.upto = to,
            Ok(false) => {}
            Err(error) => content.failure = Some(((content.upto + 1, 0), error.into())),
        }
        let items: usize = content.pieces.iter().map(Vec::len).sum();
        // Pieces often differ by half.
        self.piece_len = items.div_ceil(partitions) * 3 / 2;
        content
    }

    /// Reads into a chunk, and returns whether it reached the end of the range.
    fn read_into<T, E>(
        &mut self,
        content: &mut ChunkContent<T, E>,
        range: [u64; 2],
        take: impl Fn(Recorded, &mut [Vec<T>]) -> Result<(), ReplayFailure<E>>,
    ) -> Result<bool, ReadError> {
        let mut candidates = self.candidates(range)?;
        while let Some(event) = candidates.next()? {
            // An event shares the memory of its block, so events that do not match count too.
            content.bytes += event.size() + size_of::<T>();
            let position = event.position();
            if let Some(event) = self.wanted(event)?
                && let Err(failed) = take(event, &mut content.pieces)
            {
                content.failure = Some(failed);
                return Ok(false);
            }
            content.upto = position;
            if content.bytes >= self.source.chunk_bytes {
                return Ok(position == range[1]);
            }
        }
        Ok(true)
    }

    fn candidates(&self, range: [u64; 2]) -> Result<Candidates, ReadError> {
        let Source { core, plan, expanded, .. } = self.source;
        core.candidates(plan, expanded, range, Order::Ascending)
    }

    fn wanted(&mut self, event: Recorded) -> Result<Option<Recorded>, ReadError> {
        let Source { core, plan, expanded, .. } = self.source;
        let wanted = plan.selects(expanded, &event);
        Ok((wanted && self.visibility.shows(core, &event)?).then_some(event))
    }
}
