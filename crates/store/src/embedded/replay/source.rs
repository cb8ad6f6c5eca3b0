//! Reads a chunk: what the query yields of it and retention has not dropped.

use leftfold_index::Order;

use super::schedule::{Failed, Filled};
use crate::embedded::candidates::Candidates;
use crate::embedded::core::Core;
use crate::embedded::retention::Visibility;
use crate::plan::Plan;
use crate::replay::{Replay, ReplayError};
use leftfold_api::{Query, ReadError, Recorded};

/// What is read, seen from one moment: every thread sees the same.
pub(super) struct Source<'a> {
    pub(super) core: &'a Core,
    expanded: Query,
    plan: Plan,
    /// From and to, both included.
    pub(super) range: [u64; 2],
    visibility: Visibility,
    chunk_bytes: usize,
}

/// One thread's reading.
pub(super) struct Reader<'a> {
    source: &'a Source<'a>,
    /// Remembers what is kept of streams.
    visibility: Visibility,
    /// As many items the pieces of the last chunk had, about.
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
    /// Reads a range until its end or until that takes too much memory; `take` puts an event to
    /// the items of its partitions.
    pub(super) fn read<T, E>(
        &mut self,
        [from, to]: [u64; 2],
        partitions: usize,
        take: impl Fn(Recorded, &mut [Vec<T>]) -> Result<(), Failed<ReplayError<E>>>,
    ) -> Filled<T, ReplayError<E>> {
        let pieces = (0..partitions).map(|_| Vec::with_capacity(self.piece_len)).collect();
        let mut filled = Filled { pieces, upto: from - 1, bytes: 0, failure: None };
        match self.read_into(&mut filled, [from, to], take) {
            Ok(true) => filled.upto = to,
            Ok(false) => {}
            Err(error) => filled.failure = Some(((filled.upto + 1, 0), error.into())),
        }
        let items: usize = filled.pieces.iter().map(Vec::len).sum();
        // A piece more or less by half is common.
        self.piece_len = items.div_ceil(partitions) * 3 / 2;
        filled
    }

    /// Whether it came to the end.
    fn read_into<T, E>(
        &mut self,
        filled: &mut Filled<T, E>,
        range: [u64; 2],
        take: impl Fn(Recorded, &mut [Vec<T>]) -> Result<(), Failed<E>>,
    ) -> Result<bool, ReadError> {
        let mut candidates = self.candidates(range)?;
        while let Some(event) = candidates.next()? {
            // Whoever keeps an event of many that were looked at must not keep the others; so
            // those that are passed over count too.
            filled.bytes += event.size() + size_of::<T>();
            let position = event.position();
            if let Some(event) = self.wanted(event)?
                && let Err(failed) = take(event, &mut filled.pieces)
            {
                filled.failure = Some(failed);
                return Ok(false);
            }
            filled.upto = position;
            if filled.bytes >= self.source.chunk_bytes {
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
        let wanted = plan.exact || expanded.matches(&event);
        Ok((wanted && self.visibility.shows(core, &event)?).then_some(event))
    }
}
