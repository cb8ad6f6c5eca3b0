use std::collections::VecDeque;

use leftfold_api::Cursor;

use super::journal::Low;

/// What was begun and is not finished, in the order of the log: says how far all is finished.
#[derive(Debug)]
pub(crate) struct Window {
    low: Low,
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    low: Low,
    settled: bool,
}

impl Window {
    pub(crate) fn at(low: Low) -> Self {
        Window { low, first: 0, entries: VecDeque::new() }
    }

    /// Takes up the next event; gives the number to settle it by.
    pub(crate) fn admit(&mut self, position: u64, cursor: Cursor) -> u64 {
        self.entries.push_back(Entry { low: Low { cursor, position }, settled: false });
        self.first + self.entries.len() as u64 - 1
    }

    /// Whether an event is done with; it may be taken back until it is dropped.
    pub(crate) fn settle(&mut self, number: u64, settled: bool) {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            entry.settled = settled;
        }
    }

    /// How far all is settled.
    pub(crate) fn low(&self) -> Low {
        let settled = self.entries.iter().take_while(|entry| entry.settled);
        settled.last().map_or(self.low.clone(), |entry| entry.low.clone())
    }

    /// Forgets what is settled up to here: that is durable now.
    pub(crate) fn drop_upto(&mut self, low: Low) {
        while self.entries.front().is_some_and(|entry| entry.low.position <= low.position) {
            self.entries.pop_front();
            self.first += 1;
        }
        self.low = low;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_mark_waits_for_the_slowest_and_can_be_taken_back() {
        let mut window = Window::at(Low::START);
        let numbers: Vec<u64> = [4, 6, 9].map(|at| window.admit(at, Cursor::START)).into();
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
