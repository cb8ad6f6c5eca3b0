//! Scavenging: removes the metadata and data of events that retention has dropped.
//!
//! A segment with such events is rewritten without their payloads. Everything else stays, so versions,
//! ordinals, conditions and repeats give the same answers as before. The store can be in use; one segment
//! is rewritten at a time, at the speed of maintenance.

use leftfold_log::{Edit, Edited, Record, RewriteError, SegmentInfo};

use super::visibility::Visibility;
use crate::embedded::core::Core;
use crate::embedded::events::decode_event;
use crate::embedded::maintenance::{Throttle, may_train};
use leftfold_api::{Failure, ReadError, Recorded, ScavengeReport};

/// Removes the payloads of dropped events from a segment that is rewritten.
struct Scavenger<'a> {
    core: &'a Core,
    visibility: &'a mut Visibility,
    throttle: Throttle<'a>,
    removed: &'a mut ScavengeReport,
    failure: Option<Failure>,
}

impl Scavenger<'_> {
    fn drops(&mut self, event: &Recorded) -> Result<bool, Failure> {
        Ok(!event.is_scavenged() && !self.visibility.shows(self.core, event)?)
    }
}

impl Edit for Scavenger<'_> {
    fn edit(&mut self, record: &Record) -> Edited {
        let event = decode_event(record.clone());
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
        self.failure.is_none() && self.throttle.wait(bytes)
    }
}

impl Core {
    /// Returns what scavenging would remove now.
    pub(crate) fn reclaimable(&self) -> Result<ScavengeReport, ReadError> {
        let mut visibility = self.visibility(self.log.head().position);
        let mut found = ScavengeReport::default();
        if !visibility.is_unlimited(self)? {
            for segment in self.log.segments() {
                self.count_reclaimable(&segment, &mut visibility, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Whether a segment that is not sealed holds payloads to remove.
    pub(crate) fn has_reclaimable_unsealed(&self) -> Result<bool, ReadError> {
        let mut visibility = self.visibility(self.log.head().position);
        let mut found = ScavengeReport::default();
        if !visibility.is_unlimited(self)? {
            for segment in self.log.segments().iter().filter(|segment| !segment.sealed) {
                self.count_reclaimable(segment, &mut visibility, &mut found)?;
            }
        }
        Ok(found.events > 0)
    }

    /// Adds the dropped events of a segment that still have payloads.
    fn count_reclaimable(
        &self,
        segment: &SegmentInfo,
        visibility: &mut Visibility,
        found: &mut ScavengeReport,
    ) -> Result<(), ReadError> {
        found.segments += 1;
        let mut failed: Result<(), Failure> = Ok(());
        self.log.each_frame(segment.id, |frame| {
            for record in frame.records {
                let one = decode_event(record).and_then(|event| {
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

    /// Removes the payloads of all dropped events in sealed segments.
    pub(crate) fn scavenge(
        &self,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<ScavengeReport, ReadError> {
        let mut visibility = self.visibility(self.log.head().position);
        let mut done = ScavengeReport::default();
        if visibility.is_unlimited(self)? {
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
        done: &mut ScavengeReport,
    ) -> Result<(), ReadError> {
        let _rewriting = self.maintenance.rewriting.lock();
        let mut found = ScavengeReport::default();
        self.count_reclaimable(segment, visibility, &mut found)?;
        done.segments += 1;
        if found.events == 0 {
            return Ok(());
        }
        // The segment may have been compressed since the list was made.
        let current = self.log.segments();
        let compression = current
            .iter()
            .find(|s| s.id == segment.id)
            .map_or(self.maintenance.compression, |s| s.compression);
        let mut removed = *done;
        let throttle = self.maintenance.throttle();
        let mut scavenger =
            Scavenger { core: self, visibility, throttle, removed: &mut removed, failure: None };
        let rewritten = self.log.rewrite(
            segment.id,
            compression.max(self.maintenance.compression),
            &mut scavenger,
        );
        if let Some(failure) = scavenger.failure.take() {
            return Err(failure.into());
        }
        match rewritten {
            Ok(rewritten) => {
                self.events.invalidate();
                removed.file_bytes += rewritten.before.saturating_sub(rewritten.after);
                *done = removed;
                Ok(())
            }
            Err(RewriteError::Stopped) => Err(crate::embedded::closed().into()),
            Err(error) => Err(Failure::from(error).into()),
        }
    }
}
