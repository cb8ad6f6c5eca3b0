use std::collections::{BTreeMap, BTreeSet};

use leftfold_api::Cursor;
use uuid::Uuid;

use super::{JournalFact, LaneState, LowMark};

/// The most lanes and positions in one fact, so that no fact is too large for an event: names have
/// up to 1,024 bytes, and reasons are truncated.
const PART: usize = 500;

/// The state of a reactor: the fold of its journal.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// The version of the last fact, or `None` if there is none yet.
    pub(crate) version: Option<u64>,
    /// If the version is not that of a fact that was read: the cursor up to which no fact was found.
    pub(crate) unread_after: Option<Cursor>,
    /// The version of the first fact of the last full state.
    pub(crate) full_state_version: u64,
    pub(crate) low: LowMark,
    /// The positions of finished events beyond `low`.
    pub(crate) done: BTreeSet<u64>,
    pub(crate) lanes: BTreeMap<String, LaneState>,
    pub(crate) control: Cursor,
}

impl Default for Journal {
    fn default() -> Self {
        Journal {
            version: None,
            unread_after: None,
            full_state_version: 0,
            low: LowMark::START,
            done: BTreeSet::new(),
            lanes: BTreeMap::new(),
            control: Cursor::START,
        }
    }
}

impl Journal {
    /// Returns the version of the next fact.
    pub(crate) fn next_version(&self) -> u64 {
        self.version.map_or(0, |version| version + 1)
    }

    pub(crate) fn apply(&mut self, moved: &JournalFact) {
        let version = self.next_version();
        if let Some((0, _)) = moved.whole {
            *self = Journal { full_state_version: version, ..Journal::default() };
        }
        self.version = Some(version);
        self.low = moved.low.clone();
        self.done.extend(&moved.done);
        self.done = self.done.split_off(&(moved.low.position + 1));
        for (lane, held) in &moved.lanes {
            match held {
                Some(held) => _ = self.lanes.insert(lane.clone(), held.clone()),
                None => _ = self.lanes.remove(lane),
            }
        }
        if let Some(control) = moved.control.clone() {
            self.control = control;
        }
    }

    /// Returns the full state as facts that are appended together.
    pub(crate) fn full_state(&self, run: Uuid) -> Vec<JournalFact> {
        let mut parts = vec![JournalFact { control: Some(self.control.clone()), ..self.part(run) }];
        let done: Vec<u64> = self.done.iter().copied().collect();
        parts.extend(
            done.chunks(PART).map(|done| JournalFact { done: done.to_vec(), ..self.part(run) }),
        );
        let held: Vec<_> =
            self.lanes.iter().map(|(lane, held)| (lane.clone(), Some(held.clone()))).collect();
        let held = held.chunks(PART);
        parts.extend(held.map(|lanes| JournalFact { lanes: lanes.to_vec(), ..self.part(run) }));
        let of = parts.len() as u32;
        for (number, part) in (0..).zip(&mut parts) {
            part.whole = Some((number, of));
        }
        parts
    }

    fn part(&self, run: Uuid) -> JournalFact {
        let low = self.low.clone();
        JournalFact { run, low, done: Vec::new(), lanes: Vec::new(), control: None, whole: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::react::journal::HoldState;

    fn moved(low: u64, done: &[u64]) -> JournalFact {
        let low = LowMark { cursor: Cursor::START, position: low };
        let done = done.to_vec();
        JournalFact { run: Uuid::nil(), low, done, lanes: Vec::new(), control: None, whole: None }
    }

    #[test]
    fn apply_drops_positions_below_the_low_mark() {
        let mut journal = Journal::default();
        journal.apply(&moved(1, &[3, 5, 8]));
        journal.apply(&moved(5, &[9]));
        assert_eq!(journal.done, BTreeSet::from([8, 9]));
        assert_eq!(journal.version, Some(1));
    }

    #[test]
    fn a_full_state_folds_to_the_same_journal() {
        let mut journal = Journal::default();
        journal.apply(&moved(7, &(9..2_000).collect::<Vec<_>>()));
        let held = LaneState { after: Cursor::START, head: None, state: HoldState::Behind };
        let lanes = (0..1_200).map(|n| (format!("lane-{n}"), Some(held.clone()))).collect();
        journal.apply(&JournalFact { lanes, ..moved(8, &[]) });
        let mut again = Journal::default();
        again.apply(&moved(1, &[2_500]));
        for part in journal.full_state(Uuid::nil()) {
            let text = serde_json::to_string(&part).unwrap();
            again.apply(&serde_json::from_str(&text).unwrap());
        }
        assert_eq!(again.low, journal.low);
        assert_eq!(again.done, journal.done);
        assert_eq!(again.lanes, journal.lanes);
    }
}
