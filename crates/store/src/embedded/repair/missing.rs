use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use leftfold_index::Key;

use super::LOST_STREAM;
use crate::keys::Keys;
use leftfold_api::{Field, Recorded};

/// Versions that are missing between the events of a stream, where positions were lost that no
/// index tells of.
#[derive(Default)]
pub(super) struct Missing {
    /// The lost positions, in order.
    positions: Vec<u64>,
    /// Of each stream the last version so far, and its position.
    streams: HashMap<Key, (u64, u64)>,
    gaps: Vec<Gap>,
}

/// A stream's missing versions, somewhere between two positions.
struct Gap {
    stream: String,
    versions: std::ops::Range<u64>,
    between: (u64, u64),
}

impl Missing {
    pub(super) fn among(positions: Vec<u64>) -> Self {
        Missing { positions, ..Missing::default() }
    }

    /// The next event that is left.
    pub(super) fn meet(&mut self, keys: &Keys, event: &Recorded) {
        if self.positions.is_empty() || event.stream() == LOST_STREAM {
            return;
        }
        let (position, version) = (event.position(), event.version());
        let key = keys.of(Field::Stream, event.stream());
        let before = self.streams.insert(key, (version, position));
        let (next, after) = before.map_or((0, 0), |(version, position)| (version + 1, position));
        let between = (after, position);
        if version > next && self.lost_in(between) > 0 {
            let stream = event.stream().to_owned();
            self.gaps.push(Gap { stream, versions: next..version, between });
        }
    }

    fn lost_in(&self, (after, before): (u64, u64)) -> usize {
        let upto = |end: u64| self.positions.partition_point(|position| *position < end);
        upto(before) - upto(after + 1)
    }

    /// Gives the missing versions places among the lost positions, beside those that are known: that
    /// with the least room left goes first, which finds places for all if there are any.
    pub(super) fn places<'a>(
        self,
        known: impl Iterator<Item = &'a (String, u64)>,
    ) -> BTreeMap<u64, ((String, u64), bool)> {
        let known: HashSet<_> = known.collect();
        let mut waiting: Vec<_> = Vec::new();
        for gap in &self.gaps {
            let versions = gap.versions.clone().map(|version| (gap.stream.clone(), version));
            let unknown: Vec<_> = versions.filter(|missing| !known.contains(missing)).collect();
            // With as many places as versions, each has its own.
            let certain = unknown.len() == self.lost_in(gap.between);
            let (after, before) = gap.between;
            waiting.extend(unknown.into_iter().map(|missing| (after, before, missing, certain)));
        }
        waiting.sort();
        let mut waiting = waiting.into_iter().peekable();
        let (mut ready, mut places) = (BinaryHeap::new(), BTreeMap::new());
        for position in &self.positions {
            while let Some((_, before, missing, certain)) =
                waiting.next_if(|(after, ..)| after < position)
            {
                ready.push(Reverse((before, missing, certain)));
            }
            while let Some(Reverse((before, missing, certain))) = ready.pop() {
                if before > *position {
                    places.insert(*position, (missing, certain));
                    break;
                }
            }
        }
        places
    }
}
