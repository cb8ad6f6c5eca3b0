//! Scavenging: what retention has dropped loses its metadata and data on the disk.
//!
//! A segment that holds such events is written again without their payloads; all else of it stays,
//! so that versions, ordinals, conditions and repeats answer as before. One segment at a time, in
//! the background's pace, while the store is in use.

use leftfold_log::{Edit, Edited, Record, RewriteError, SegmentInfo};

use super::visibility::Visibility;
use crate::embedded::core::Core;
use crate::embedded::events::recorded;
use crate::embedded::maintenance::{Pace, may_train};
use leftfold_api::{Failure, ReadError, Recorded, Scavenged};

/// Removes payloads from what is written again.
struct Scavenger<'a> {
    core: &'a Core,
    visibility: &'a mut Visibility,
    pace: Pace<'a>,
    removed: &'a mut Scavenged,
    failure: Option<Failure>,
}

impl Scavenger<'_> {
    fn drops(&mut self, event: &Recorded) -> Result<bool, Failure> {
        Ok(!event.is_scavenged() && !self.visibility.shows(self.core, event)?)
    }
}

impl Edit for Scavenger<'_> {
    fn edit(&mut self, record: &Record) -> Edited {
        let event = recorded(record.clone());
        match event.and_then(|event| Ok((self.drops(&event)?, event))) {
            Ok((true, event)) => {
                self.removed.events += 1;
                self.removed.payload_bytes += event.payload_bytes();
                Edited::Replaced(event.scavenged())
            }
            Ok((false, _)) => Edited::Kept,
            Err(failure) => {
                self.failure = Some(failure);
                Edited::Kept
            }
        }
    }

    fn may_train(&self, record: &Record) -> bool {
        may_train(record)
    }

    fn go_on(&mut self, bytes: u64) -> bool {
        self.failure.is_none() && self.pace.go_on(bytes)
    }
}

impl Core {
    /// What scavenging would remove now.
    pub(crate) fn reclaimable(&self) -> Result<Scavenged, ReadError> {
        let mut visibility = self.visibility(self.log.head().position);
        let mut found = Scavenged::default();
        if !visibility.is_unlimited() {
            for segment in self.log.segments() {
                self.look_for_dropped(&segment, &mut visibility, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Whether a segment that is not sealed holds anything to be removed.
    pub(crate) fn drops_of_unsealed(&self) -> Result<bool, ReadError> {
        let mut visibility = self.visibility(self.log.head().position);
        let mut found = Scavenged::default();
        if !visibility.is_unlimited() {
            for segment in self.log.segments().iter().filter(|segment| !segment.sealed) {
                self.look_for_dropped(segment, &mut visibility, &mut found)?;
            }
        }
        Ok(found.events > 0)
    }

    fn look_for_dropped(
        &self,
        segment: &SegmentInfo,
        visibility: &mut Visibility,
        found: &mut Scavenged,
    ) -> Result<(), ReadError> {
        found.segments += 1;
        let mut failed: Result<(), Failure> = Ok(());
        self.log.each_frame(segment.id, |frame| {
            for record in frame.records {
                let one = recorded(record).and_then(|event| {
                    if !event.is_scavenged() && !visibility.shows(self, &event)? {
                        found.events += 1;
                        found.payload_bytes += event.payload_bytes();
                    }
                    Ok(())
                });
                if failed.is_ok() {
                    failed = one;
                }
            }
        })?;
        Ok(failed?)
    }

    /// Removes the payloads of all that retention has dropped, from all sealed segments.
    pub(crate) fn scavenge(
        &self,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Scavenged, ReadError> {
        let mut visibility = self.visibility(self.log.head().position);
        let mut done = Scavenged::default();
        if visibility.is_unlimited() {
            return Ok(done);
        }
        let segments: Vec<_> = self.log.segments().iter().filter(|s| s.sealed).copied().collect();
        for (at, segment) in (0..).zip(&segments) {
            progress(at, segments.len() as u64);
            self.scavenge_segment(segment, &mut visibility, &mut done)?;
        }
        progress(segments.len() as u64, segments.len() as u64);
        Ok(done)
    }

    fn scavenge_segment(
        &self,
        segment: &SegmentInfo,
        visibility: &mut Visibility,
        done: &mut Scavenged,
    ) -> Result<(), ReadError> {
        let _alone = self.maintenance.rewriting.lock();
        let mut found = Scavenged::default();
        self.look_for_dropped(segment, visibility, &mut found)?;
        done.segments += 1;
        if found.events == 0 {
            return Ok(());
        }
        // It may have been packed since the list was made.
        let now = self.log.segments();
        let packing =
            now.iter().find(|s| s.id == segment.id).map_or(self.maintenance.packing, |s| s.packing);
        let mut removed = *done;
        let pace = self.maintenance.pace();
        let mut scavenger =
            Scavenger { core: self, visibility, pace, removed: &mut removed, failure: None };
        let rewritten =
            self.log.rewrite(segment.id, packing.max(self.maintenance.packing), &mut scavenger);
        if let Some(failure) = scavenger.failure.take() {
            return Err(failure.into());
        }
        match rewritten {
            Ok(rewritten) => {
                self.events.outdate();
                removed.file_bytes += rewritten.before.saturating_sub(rewritten.after);
                *done = removed;
                Ok(())
            }
            Err(RewriteError::Stopped) => Err(crate::embedded::closed().into()),
            Err(error) => Err(Failure::from(error).into()),
        }
    }
}
