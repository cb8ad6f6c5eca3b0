//! What is left of a segment, and how two files of it complete each other.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::DamagedBytes;
use crate::format::{Extension, extensions};
use crate::manifest::LiveFile;
use crate::walk::Record;

/// A segment as far as it could be salvaged.
pub struct Salvaged {
    /// The segment.
    pub live: LiveFile,
    /// Damaged bytes; empty if the segment is whole.
    pub damage: Vec<DamagedBytes>,
    /// Its frames in order, including those of lost positions.
    pub frames: Vec<SalvagedFrame>,
    /// Its last position; one less than its first if it has none.
    pub last: u64,
    /// The last commit time in it, or before it.
    pub commit_time: i64,
    /// No commit time in it is earlier.
    pub(super) floor: i64,
    /// Where its frames end, as far as they were read.
    pub(super) end: u64,
    /// The length of its file.
    pub(super) file: u64,
}

/// A frame, or positions whose frame header is lost too.
#[derive(Clone)]
pub struct SalvagedFrame {
    /// The position of its first record.
    pub first: u64,
    /// When it was written; if its header is lost, when the frame before it was.
    pub commit_time: i64,
    /// The frame's records; `None` for a lost one.
    pub records: Vec<Option<Record>>,
    /// Whether its header is whole.
    pub has_head: bool,
    pub(super) append_id: u128,
    pub(super) extensions: Bytes,
}

impl SalvagedFrame {
    /// Its extensions.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        extensions(&self.extensions)
    }
}

impl SalvagedFrame {
    /// Positions whose frame is lost, too.
    pub(super) fn lost(positions: RangeInclusive<u64>, commit_time: i64) -> Self {
        let records = positions.clone().map(|_| None).collect();
        let first = *positions.start();
        let (append_id, extensions) = (0, Bytes::new());
        SalvagedFrame { first, commit_time, records, has_head: false, append_id, extensions }
    }

    /// The last position.
    fn last(&self) -> u64 {
        (self.first + self.records.len() as u64).saturating_sub(1)
    }

    fn is_same(&self, other: &SalvagedFrame) -> bool {
        let head = |frame: &SalvagedFrame| {
            (frame.first, frame.commit_time, frame.append_id, frame.records.len())
        };
        let content = |record: &Option<Record>| {
            record.as_ref().map(|record| (record.time, record.bytes.clone()))
        };
        let mut pairs = self.records.iter().zip(&other.records);
        head(self) == head(other)
            && self.extensions == other.extensions
            && pairs.all(|(a, b)| content(a) == content(b))
    }

    /// Returns the frame with what another file of the segment has of it: lost records, or the frames
    /// where only positions were known.
    fn filled_from(mut self, other: &Salvaged) -> Vec<SalvagedFrame> {
        let last = self.last();
        if self.has_head {
            let theirs = other.frames.iter().find(|frame| frame.first == self.first);
            for (record, theirs) in
                self.records.iter_mut().zip(theirs.iter().flat_map(|f| &f.records))
            {
                *record = record.take().or_else(|| theirs.clone());
            }
            return vec![self];
        }
        let (mut filled, mut next, mut time) = (Vec::new(), self.first, self.commit_time);
        let with_head = other.frames.iter().filter(|frame| frame.has_head);
        for frame in with_head.filter(|frame| frame.last() <= last && !frame.records.is_empty()) {
            if frame.first < next || frame.commit_time < time {
                continue;
            }
            if frame.first > next {
                filled.push(SalvagedFrame::lost(next..=frame.first - 1, time));
            }
            (next, time) = (frame.last() + 1, frame.commit_time);
            filled.push(frame.clone());
        }
        if next <= last {
            filled.push(SalvagedFrame::lost(next..=last, time));
        }
        filled
    }
}

impl Salvaged {
    /// The positions whose records are lost.
    pub fn lost(&self) -> impl Iterator<Item = u64> {
        self.frames.iter().flat_map(|frame| {
            let numbered = (frame.first..).zip(&frame.records);
            numbered.filter(|(_, record)| record.is_none()).map(|(position, _)| position)
        })
    }

    /// Whether all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.lost().next().is_none()
    }

    /// Whether another one begins with the same frames.
    pub(super) fn is_prefix_of(&self, longer: &Salvaged) -> bool {
        let pairs = self.frames.iter().zip(&longer.frames);
        self.frames.len() <= longer.frames.len() && pairs.into_iter().all(|(a, b)| a.is_same(b))
    }

    /// Takes what is lost here from another file of the same segment.
    pub(super) fn fill_from(&mut self, other: &Salvaged) {
        if self.last < other.last {
            self.frames.push(SalvagedFrame::lost(self.last + 1..=other.last, self.commit_time));
            self.last = other.last;
        }
        let frames = std::mem::take(&mut self.frames);
        self.frames = frames.into_iter().flat_map(|frame| frame.filled_from(other)).collect();
        let times = self.frames.iter().map(|frame| frame.commit_time);
        self.commit_time = times.max().unwrap_or(self.commit_time).max(self.commit_time);
    }

    /// The records that are left.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.frames.iter().flat_map(|frame| frame.records.iter().flatten())
    }
}
