use crate::error::IndexError;
use crate::list::List;
use crate::walk::Order;

/// Seeks in one list, in ascending or descending order.
pub(crate) struct Walker {
    list: List,
    order: Order,
    /// The current chunk and its number; `None` before the first seek.
    chunk: Vec<u32>,
    number: Option<usize>,
    /// The index in the chunk where the last seek ended.
    at: usize,
}

impl Walker {
    pub(crate) fn new(list: List, order: Order) -> Self {
        Walker { list, order, chunk: Vec::new(), number: None, at: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len
    }

    /// Returns the first posting at or behind `target` in this order. Targets must not go back.
    pub(crate) fn seek(&mut self, target: u64) -> Result<Option<u64>, IndexError> {
        let offset = match (self.order, target.checked_sub(self.list.first)) {
            (Order::Ascending, offset) => match u32::try_from(offset.unwrap_or_default()) {
                Ok(offset) => self.later(offset)?,
                Err(_) => None,
            },
            (Order::Descending, Some(offset)) => {
                self.earlier(u32::try_from(offset).unwrap_or(u32::MAX))?
            }
            (Order::Descending, None) => None,
        };
        Ok(offset.map(|offset| self.list.first + u64::from(offset)))
    }

    /// Returns the first offset that is at least `target`.
    fn later(&mut self, target: u32) -> Result<Option<u32>, IndexError> {
        if self.chunk.last().is_none_or(|last| *last < target) {
            let low = self.number.unwrap_or(0);
            let high = self.gallop_later(target, low)?;
            self.load(self.list.last_led(target, [low, high])?.unwrap_or(low))?;
            if self.chunk.last().is_some_and(|last| *last < target) {
                // The target lies between two chunks.
                self.load(self.number.map_or(0, |number| number + 1))?;
            }
        }
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        self.at += first_at_least(rest, target);
        Ok(self.chunk.get(self.at).copied())
    }

    /// Returns the last offset that is at most `target`.
    fn earlier(&mut self, target: u32) -> Result<Option<u32>, IndexError> {
        if self.chunk.first().is_none_or(|first| *first > target) {
            let high = self.number.unwrap_or(self.list.chunks());
            let low = self.gallop_earlier(target, high)?;
            let Some(number) = self.list.last_led(target, [low, high])? else { return Ok(None) };
            self.load(number)?;
        }
        let n = self.chunk.partition_point(|offset| *offset <= target);
        Ok(n.checked_sub(1).and_then(|last| self.chunk.get(last).copied()))
    }

    /// Returns a chunk at or behind the target; a jump over n chunks reads about 2 log n of them.
    fn gallop_later(&self, target: u32, low: usize) -> Result<usize, IndexError> {
        let (chunks, mut step) = (self.list.chunks(), 1);
        while low + step < chunks && self.list.leader(low + step)? <= target {
            step *= 2;
        }
        Ok(chunks.min(low + step))
    }

    fn gallop_earlier(&self, target: u32, high: usize) -> Result<usize, IndexError> {
        let mut step = 1;
        while step < high && self.list.leader(high - step)? > target {
            step *= 2;
        }
        Ok(high.saturating_sub(step))
    }

    fn load(&mut self, number: usize) -> Result<(), IndexError> {
        if self.number != Some(number) {
            // If loading fails, there is no current chunk.
            self.number = None;
            self.chunk.clear();
            self.list.chunk(number, &mut self.chunk)?;
            (self.number, self.at) = (Some(number), 0);
        }
        Ok(())
    }
}

/// Returns the index of the first offset that is at least `target`, usually near the beginning.
fn first_at_least(offsets: &[u32], target: u32) -> usize {
    let mut end = 1;
    while offsets.get(end - 1).is_some_and(|offset| *offset < target) {
        end *= 2;
    }
    let start = end / 2;
    let between = offsets.get(start..end.min(offsets.len())).unwrap_or_default();
    start.min(offsets.len()) + between.partition_point(|offset| *offset < target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galloping_finds_what_a_binary_search_finds() {
        for length in 0..40_u32 {
            let offsets: Vec<u32> = (0..length).map(|n| n * 3 + 1).collect();
            for target in 0..length * 3 + 3 {
                let plain = offsets.partition_point(|offset| *offset < target);
                assert_eq!(first_at_least(&offsets, target), plain, "{target} in {length}");
            }
        }
    }
}
