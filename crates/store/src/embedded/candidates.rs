//! Candidates: the events that a plan leads to.

use std::collections::VecDeque;

use leftfold_api::{Failure, Query, ReadError, Recorded};
use leftfold_index::{IndexError, Matches, Order};
use leftfold_log::{Direction, Fetcher, Scan, ScanRange};

use super::core::Core;
use super::events::{EventCacheView, decode_event};
use crate::plan::Plan;

/// Iterates over the events that a plan leads to.
pub(crate) enum Candidates {
    Postings(PostingEvents),
    Scan(Scan),
}

impl Candidates {
    pub(crate) fn next(&mut self) -> Result<Option<Recorded>, ReadError> {
        match self {
            Candidates::Scan(scan) => Ok(scan.next()?.map(decode_event).transpose()?),
            Candidates::Postings(events) => events.next(),
        }
    }
}

/// Reads the events of postings. After the first read of a file, the next blocks are announced to the
/// disk, so that it reads them in parallel.
pub(crate) struct PostingEvents {
    matches: Matches,
    fetcher: Fetcher,
    cached: EventCacheView,
    /// Positions that were read ahead, each with whether its block was announced for it.
    ahead: VecDeque<(Result<u64, IndexError>, bool)>,
    /// The number of announced blocks in `ahead`.
    blocks: usize,
    /// Whether the matches have ended.
    ended: bool,
}

impl PostingEvents {
    /// The most positions that are read ahead.
    const MAX_AHEAD: usize = 64;

    fn new(matches: Matches, fetcher: Fetcher, cached: EventCacheView) -> Self {
        PostingEvents { matches, fetcher, cached, ahead: VecDeque::new(), blocks: 0, ended: false }
    }

    fn next(&mut self) -> Result<Option<Recorded>, ReadError> {
        let position = match self.ahead.pop_front() {
            Some((position, is_new)) => {
                self.blocks -= usize::from(is_new);
                Some(position?)
            }
            None if self.ended => None,
            None => self.matches.next()?,
        };
        let Some(position) = position else { return Ok(None) };
        self.read_ahead();
        fetch(position, &mut self.fetcher, &self.cached).map(Some)
    }

    fn read_ahead(&mut self) {
        while self.blocks < self.fetcher.ahead()
            && self.ahead.len() < Self::MAX_AHEAD
            && !self.ended
        {
            match self.matches.next() {
                Ok(Some(position)) => {
                    let is_new = !self.fetcher.is_announced(position)
                        && !self.cached.contains(position)
                        && self.fetcher.announce(position);
                    self.blocks += usize::from(is_new);
                    self.ahead.push_back((Ok(position), is_new));
                }
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ahead.push_back((Err(error), false));
                    self.ended = true;
                }
            }
        }
    }
}

fn fetch(
    position: u64,
    fetcher: &mut Fetcher,
    cached: &EventCacheView,
) -> Result<Recorded, ReadError> {
    // An event beside the last one is in memory, as fast as the cache.
    let beside = fetcher.is_beside(position);
    if !beside && let Some(event) = cached.get(position) {
        return Ok(event);
    }
    match fetcher.get(position)? {
        // A scattered event must not keep its whole block in memory.
        Some(record) => {
            let event = decode_event(record)?.detached();
            if !beside {
                cached.insert(&event);
            }
            Ok(event)
        }
        None => {
            let what = "the index lists this position, but the log has no event there";
            Err(Failure::Record { position, what }.into())
        }
    }
}

impl Core {
    /// Returns the candidates of a plan between two positions, both included. The range must not exceed
    /// the durable head.
    pub(crate) fn candidates(
        &self,
        plan: &Plan,
        expanded: &Query,
        [from, to]: [u64; 2],
        toward: Order,
    ) -> Result<Candidates, ReadError> {
        Ok(match &plan.postings {
            Some(postings) => {
                let matches = self.index.set.load().matches(postings, [from, to], toward)?;
                Candidates::Postings(PostingEvents::new(
                    matches,
                    self.log.fetcher(),
                    self.events.view(),
                ))
            }
            None => {
                let direction = match toward {
                    Order::Ascending => Direction::Forward,
                    Order::Descending => Direction::Backward,
                };
                let range = ScanRange { from, to, times: expanded.span() };
                Candidates::Scan(self.log.scan(range, direction))
            }
        })
    }
}
