//! Pages of many partitions, merged into one.

use std::collections::VecDeque;

use leftfold_api::{Direction, Page, Recorded};

use super::{Part, Shared};

/// The pages of all partitions, to be merged by commit time.
pub(super) struct Merge<'a, S> {
    shared: &'a Shared<S>,
    direction: Direction,
    pages: Vec<PartitionPage>,
}

struct PartitionPage {
    events: VecDeque<Recorded>,
    /// Where the partition's page ended.
    end: u64,
    more: bool,
}

impl<'a, S: Part> Merge<'a, S> {
    pub(super) fn new(shared: &'a Shared<S>, direction: Direction) -> Self {
        Merge { shared, direction, pages: Vec::new() }
    }

    /// Adds the page of the next partition.
    pub(super) fn add(&mut self, page: Page) {
        let partition = self.pages.len();
        let end = page.cursor.position().unwrap_or_default();
        self.shared.note(partition, end);
        let is_shown = |event: &Recorded| !self.shared.is_copy(partition, event.stream());
        let events = page.events.into_iter().filter(is_shown).collect();
        self.pages.push(PartitionPage { events, end, more: page.more });
    }

    /// Merges the pages into one. It ends early where the next event of a partition is not known.
    pub(super) fn finish(mut self, limit: usize) -> Page {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while events.len() < limit && bytes < self.shared.limits.page_bytes {
            if self.pages.iter().any(|page| page.events.is_empty() && page.more) {
                break;
            }
            let Some(event) = self.pop() else { break };
            bytes += event.size();
            events.push(event);
        }
        let next: Vec<_> = self.pages.iter().map(|page| page.next(self.direction)).collect();
        let cursor = match self.direction {
            Direction::Forward => self.shared.cursor(&next),
            Direction::Backward => self.shared.backward_cursor(&next),
        };
        let more = self.pages.iter().any(|page| page.more || !page.events.is_empty());
        Page { events, cursor, more }
    }

    /// Takes the event that comes first in the direction of the read.
    fn pop(&mut self) -> Option<Recorded> {
        let fronts = self.pages.iter_mut().filter(|page| !page.events.is_empty());
        let time = |page: &&mut PartitionPage| page.events.front().map(Recorded::commit_time);
        // Of equal times the lower partition comes first, backward the higher one.
        let page = match self.direction {
            Direction::Forward => fronts.min_by_key(time),
            Direction::Backward => fronts.max_by_key(time),
        };
        page?.events.pop_front()
    }
}

impl PartitionPage {
    /// Returns the position that goes into the cursor: forward the last one that was passed,
    /// backward the next one to be looked at.
    fn next(&self, direction: Direction) -> u64 {
        match (direction, self.events.front()) {
            (Direction::Forward, Some(event)) => event.position().saturating_sub(1),
            (Direction::Forward, None) => self.end,
            (Direction::Backward, Some(event)) => event.position(),
            (Direction::Backward, None) if self.more => self.end.saturating_sub(1),
            (Direction::Backward, None) => 0,
        }
    }
}
