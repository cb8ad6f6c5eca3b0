use std::collections::VecDeque;

use leftfold_api::{Cursor, Timestamp};

use super::journal::LowMark;

/// The events that were started and are not finished, in the order of the log; tracks the low mark.
#[derive(Debug)]
pub(crate) struct Window {
    low: LowMark,
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    low: LowMark,
    /// When the event was committed.
    committed: Timestamp,
    settled: bool,
}

impl Window {
    pub(crate) fn at(low: LowMark) -> Self {
        Window { low, first: 0, entries: VecDeque::new() }
    }

    /// Adds the next event; returns the number by which it is settled.
    pub(crate) fn admit(&mut self, position: u64, cursor: Cursor, committed: Timestamp) -> u64 {
        let low = LowMark { cursor, position };
        self.entries.push_back(Entry { low, committed, settled: false });
        self.first + self.entries.len() as u64 - 1
    }

    /// Sets whether an event is finished. It can be unsettled until its entry is dropped.
    pub(crate) fn settle(&mut self, number: u64, settled: bool) {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            entry.settled = settled;
        }
    }

    /// Returns the low mark: the event up to which all are settled.
    pub(crate) fn low(&self) -> LowMark {
        let settled = self.entries.iter().take_while(|entry| entry.settled);
        settled.last().map_or(self.low.clone(), |entry| entry.low.clone())
    }

    /// Drops the entries up to a low mark that is durable.
    pub(crate) fn drop_upto(&mut self, low: LowMark) {
        while self.entries.front().is_some_and(|entry| entry.low.position <= low.position) {
            self.entries.pop_front();
            self.first += 1;
        }
        self.low = low;
    }

    /// Returns when the first unsettled event was committed.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.entries.iter().find(|entry| !entry.settled).map(|entry| entry.committed)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_mark_stops_at_the_first_unsettled_event() {
        let mut window = Window::at(LowMark::START);
        let numbers: Vec<u64> =
            [4, 6, 9].map(|at| window.admit(at, Cursor::START, Timestamp(0))).into();
        window.settle(numbers[1], true);
        assert_eq!(window.low().position, 0);
        window.settle(numbers[0], true);
        assert_eq!(window.low().position, 6);
        window.settle(numbers[1], false);
        assert_eq!(window.low().position, 4);
        window.drop_upto(window.low());
        window.settle(numbers[1], true);
        window.settle(numbers[2], true);
        assert_eq!((window.low().position, window.len()), (9, 2));
    }
}
