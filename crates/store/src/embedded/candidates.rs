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

    /// Says how many events are wanted, which are then read from files in parallel.
    pub(crate) fn expect(&mut self, wanted: usize) {
        if let Candidates::Postings(events) = self {
            events.wanted = Some(wanted);
        }
    }
}

/// Reads the events of postings. If files are needed, the next blocks are announced to the disk before the
/// first of them is read, so that it reads them in parallel.
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
    /// Whether a file was needed.
    reads_files: bool,
    /// How many events are still wanted, if that is known.
    wanted: Option<usize>,
}

impl PostingEvents {
    /// The most positions that are read ahead.
    const MAX_AHEAD: usize = 128;

    /// The most blocks that are announced: with more in parallel, disks did not read faster.
    const MAX_BLOCKS: usize = 32;

    fn new(matches: Matches, fetcher: Fetcher, cached: EventCacheView) -> Self {
        PostingEvents {
            matches,
            fetcher,
            cached,
            ahead: VecDeque::new(),
            blocks: 0,
            ended: false,
            reads_files: false,
            wanted: None,
        }
    }

    fn next(&mut self) -> Result<Option<Recorded>, ReadError> {
        let position = match self.ahead.pop_front() {
            Some((position, is_new)) => {
                self.blocks -= usize::from(is_new);
                Some(position?)
            }
            None if self.ended => None,
            None => self.next_match()?,
        };
        let Some(position) = position else { return Ok(None) };
        // If events are left out, more are wanted than was said; how many is then unknown.
        self.wanted = self.wanted.and_then(|wanted| wanted.checked_sub(1));
        if self.reads_files && self.blocks <= self.most_blocks() / 2 {
            self.read_ahead();
            self.fetcher.begin_announced();
        }
        fetch(position, &mut self.fetcher, &self.cached).map(Some)
    }

    /// Returns the next match. If a file is needed for it, that is announced with those that follow.
    fn next_match(&mut self) -> Result<Option<u64>, IndexError> {
        let position = self.matches.next()?;
        if let Some(position) = position
            && !self.fetcher.is_beside(position)
            && !self.cached.contains(position)
            && !self.fetcher.holds(position)
        {
            self.reads_files = true;
            self.fetcher.announce(position);
        }
        Ok(position)
    }

    /// Returns the most blocks that are announced: if it is unknown how many events are wanted, twice as
    /// many with each block that was read from a file.
    fn most_blocks(&self) -> usize {
        let doubled = 2_usize << self.fetcher.misses().min(Self::MAX_BLOCKS.ilog2());
        if self.wanted.is_some() { Self::MAX_BLOCKS } else { doubled.min(Self::MAX_BLOCKS) }
    }

    fn read_ahead(&mut self) {
        let most = self.wanted.unwrap_or(Self::MAX_AHEAD).min(Self::MAX_AHEAD);
        while self.blocks < self.most_blocks() && self.ahead.len() < most && !self.ended {
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
            if !beside || fetcher.is_in_growing_block() {
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
