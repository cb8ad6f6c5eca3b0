use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use leftfold_index::Key;

use super::LOST_STREAM;
use crate::keys::Keys;
use leftfold_api::{Field, Recorded};

/// Versions that are missing between the events of streams, at lost positions that no index file lists.
#[derive(Default)]
pub(super) struct MissingVersions {
    /// The lost positions, in order.
    positions: Vec<u64>,
    /// The last version of each stream so far, and its position.
    streams: HashMap<Key, (u64, u64)>,
    gaps: Vec<VersionGap>,
}

/// Missing versions of a stream, at lost positions between two others.
struct VersionGap {
    stream: String,
    versions: std::ops::Range<u64>,
    between: (u64, u64),
}

impl MissingVersions {
    /// Starts with these lost positions.
    pub(super) fn among(positions: Vec<u64>) -> Self {
        MissingVersions { positions, ..MissingVersions::default() }
    }

    /// Adds the next event that is left.
    pub(super) fn add_event(&mut self, keys: &Keys, event: &Recorded) {
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
            self.gaps.push(VersionGap { stream, versions: next..version, between });
        }
    }

    /// Returns the number of lost positions between two others.
    fn lost_in(&self, (after, before): (u64, u64)) -> usize {
        let upto = |end: u64| self.positions.partition_point(|position| *position < end);
        upto(before) - upto(after + 1)
    }

    /// Assigns the missing versions, except known ones, to lost positions. The version with the fewest
    /// positions left goes first, which finds positions for all if possible. The flag of an assignment
    /// says whether it is certain.
    pub(super) fn assign_positions<'a>(
        self,
        known: impl Iterator<Item = &'a (String, u64)>,
    ) -> BTreeMap<u64, ((String, u64), bool)> {
        let known: HashSet<_> = known.collect();
        let mut waiting: Vec<_> = Vec::new();
        for gap in &self.gaps {
            let versions = gap.versions.clone().map(|version| (gap.stream.clone(), version));
            let unknown: Vec<_> = versions.filter(|missing| !known.contains(missing)).collect();
            // With as many lost positions as versions, each assignment is certain.
            let certain = unknown.len() == self.lost_in(gap.between);
            let (after, before) = gap.between;
            waiting.extend(unknown.into_iter().map(|missing| (after, before, missing, certain)));
        }
        waiting.sort();
        let mut waiting = waiting.into_iter().peekable();
        let (mut ready, mut assigned) = (BinaryHeap::new(), BTreeMap::new());
        for position in &self.positions {
            while let Some((_, before, missing, certain)) =
                waiting.next_if(|(after, ..)| after < position)
            {
                ready.push(Reverse((before, missing, certain)));
            }
            while let Some(Reverse((before, missing, certain))) = ready.pop() {
                if before > *position {
                    assigned.insert(*position, (missing, certain));
                    break;
                }
            }
        }
        assigned
    }
}
