//! The events that a plan leads to.

use std::collections::VecDeque;

use leftfold_api::{Failure, Query, ReadError, Recorded};
use leftfold_index::{IndexError, Matches, Order};
use leftfold_log::{Direction, Fetcher, Scan, ScanRange};

use super::core::Core;
use super::events::{Cached, recorded};
use crate::plan::Plan;

/// The events that a plan leads to, one after the other.
pub(crate) enum Candidates {
    Postings(Listed),
    Scan(Scan),
}

impl Candidates {
    pub(crate) fn next(&mut self) -> Result<Option<Recorded>, ReadError> {
        match self {
            Candidates::Scan(scan) => Ok(scan.next()?.map(recorded).transpose()?),
            Candidates::Postings(listed) => listed.next(),
        }
    }
}

/// Events by position. Once one had to be read from a file, those that come next are announced, so that
/// the disk reads them at the same time and not one after the other.
pub(crate) struct Listed {
    matches: Matches,
    fetcher: Fetcher,
    cached: Cached,
    /// What was taken from the matches already, and whether it is in another block than the one before.
    ahead: VecDeque<(Result<u64, IndexError>, bool)>,
    /// How many of those are.
    blocks: usize,
    /// Whether the matches have no more.
    ended: bool,
}

impl Listed {
    /// Positions that are looked at ahead.
    const MOST: usize = 64;

    fn new(matches: Matches, fetcher: Fetcher, cached: Cached) -> Self {
        Listed { matches, fetcher, cached, ahead: VecDeque::new(), blocks: 0, ended: false }
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
        self.look_ahead();
        fetch(position, &mut self.fetcher, &self.cached).map(Some)
    }

    fn look_ahead(&mut self) {
        while self.blocks < self.fetcher.ahead() && self.ahead.len() < Self::MOST && !self.ended {
            match self.matches.next() {
                Ok(Some(position)) => {
                    let is_new = !self.cached.has(position) && self.fetcher.announce(position);
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

fn fetch(position: u64, fetcher: &mut Fetcher, cached: &Cached) -> Result<Recorded, ReadError> {
    // What lies beside the last one is as near as the cache.
    let beside = fetcher.is_beside(position);
    if !beside && let Some(event) = cached.get(position) {
        return Ok(event);
    }
    match fetcher.get(position)? {
        // Scattered events must not each keep a whole block in memory.
        Some(record) => {
            let event = recorded(record.detached())?;
            if !beside {
                cached.keep(&event);
            }
            Ok(event)
        }
        None => {
            let what = "the index knows it, the log does not";
            Err(Failure::Record { position, what }.into())
        }
    }
}

impl Core {
    /// What a plan leads to between two positions, both included and not beyond the durable head.
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
                Candidates::Postings(Listed::new(matches, self.log.fetcher(), self.events.now()))
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
