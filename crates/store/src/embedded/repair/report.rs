use std::ops::RangeInclusive;

use leftfold_log::repair::{DamagedBytes, Outcome};

/// The report of a repair.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    /// The number of events that can be read.
    pub events: u64,
    /// Sentences on what is wrong with `STORE` and `MANIFEST`, which are made again from the segments.
    pub faults: Vec<String>,
    /// The damaged bytes.
    pub damaged: Vec<DamagedBytes>,
    /// The lost events, in the order of the log.
    pub lost: Vec<LostEvent>,
    /// Whether checkpoint moves may be lost.
    pub checkpoints_uncertain: bool,
    /// The files to which replaced ones were copied; empty if nothing was changed.
    pub quarantined: Vec<String>,
    /// The outcome of an earlier repair that was cut off and has been finished.
    pub finished: Option<Outcome>,
}

impl RepairReport {
    /// Whether there is anything to repair.
    pub fn has_findings(&self) -> bool {
        !self.damaged.is_empty() || !self.faults.is_empty()
    }

    /// The number of events that there were.
    pub fn events_before(&self) -> u64 {
        self.events + self.lost.len() as u64
    }

    /// The lost positions, in ranges.
    pub fn lost_ranges(&self) -> Vec<RangeInclusive<u64>> {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for LostEvent { position, .. } in &self.lost {
            match ranges.last_mut() {
                Some(range) if range.end() + 1 == *position => *range = *range.start()..=*position,
                _ => ranges.push(*position..=*position),
            }
        }
        ranges
    }
}

/// An event that was lost by damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostEvent {
    /// Its position.
    pub position: u64,
    /// Its stream and its version, if they are known.
    pub stream: Option<(String, u64)>,
    /// Whether the position is certain. If not, the version is lost, but its position may be that of
    /// another lost event nearby.
    pub certain: bool,
}
