use leftfold_log::SegmentInfo;

use super::backfills::BackfillSums;
use super::sum::{Sum, SumBuilder};
use super::{VerifyReport, VerifyRun};
use crate::embedded::core::Core;
use crate::embedded::events::decode_event;
use crate::embedded::indexes::IndexList;
use crate::embedded::rebuild::RebuildState;
use leftfold_api::{Failure, Field, Recorded};
use std::collections::BTreeMap;

impl VerifyRun<'_> {
    /// Checks every frame and event of a segment, and sums the expected postings: of its index file, and of
    /// the backfills of named indexes.
    pub(super) fn segment(
        &self,
        segment: &SegmentInfo,
        report: &mut VerifyReport,
    ) -> (Sum, BackfillSums) {
        let mut named = self.named_before(segment.first);
        let (mut adder, mut next) = (SumBuilder::default(), segment.first);
        let mut backfills = BackfillSums::default();
        let read = self.core.log.each_frame(segment.id, |frame| {
            report.frames += 1;
            for record in frame.records {
                // Events that were written after the start are in no sum.
                if record.position > segment.last {
                    return;
                }
                if record.position != next && !self.core.has_gaps {
                    report.add_problem(format!(
                        "position {next} is missing before {}",
                        record.position
                    ));
                }
                next = record.position + 1;
                report.events += 1;
                match decode_event(record) {
                    Ok(event) => {
                        // The index may list keys of a lost event that its placeholder does not have.
                        match event.is_lost() {
                            true => report.lost += 1,
                            false => check(self.core, &event, report),
                        }
                        named.event(&event, &mut adder);
                        self.backfills.add_event(&self.core.keys, &event, &mut backfills);
                    }
                    Err(error) => report.add_problem(error.to_string()),
                }
            }
        });
        if let Err(error) = read {
            report.add_problem(error.to_string());
        }
        (adder.sum, backfills)
    }

    /// Returns the state with the named indexes as they were before a position.
    fn named_before(&self, position: u64) -> RebuildState {
        let (keys, indexes) = (self.core.keys, IndexList::default());
        let mut rebuilt = RebuildState { keys, checkpoints: BTreeMap::new(), indexes, lost: false };
        let before = self.changes.iter().flatten().take_while(|(at, _)| *at < position);
        before.for_each(|(at, change)| rebuilt.change(*at, change));
        rebuilt
    }
}

/// Checks an event against its digest, and that the index finds it by its version and its id.
fn check(core: &Core, event: &Recorded, report: &mut VerifyReport) {
    let index = core.index.set.load();
    let (position, head) = (event.position(), core.log.head().position);
    if !event.digest_is_right(&core.log.header().hash_key) {
        report.add_problem(format!("the event at position {position} does not match its digest"));
    }
    let stream = core.keys.of(Field::Stream, event.stream());
    let by_version = index.nth(&stream, event.version(), head).map_err(Failure::from);
    // An earlier event may have the same id, or only its fingerprint.
    let by_id = index.find_id(&core.keys.event(&stream, event.id()), [0, position], |found| {
        if found == position {
            return Ok(true);
        }
        let other = core.event_at(found)?;
        let is_same = other.stream() == event.stream() && other.id() == event.id();
        Ok::<_, Failure>(is_same || other.is_lost())
    });
    let mut check = |found: Result<Option<u64>, Failure>, by: &str| match found {
        Ok(Some(found)) if found == position || by == "id" => {}
        Ok(found) => report.add_problem(format!(
            "the event at position {position} is not found by its {by}: the index returns {found:?}"
        )),
        Err(error) => report.add_problem(error.to_string()),
    };
    check(by_version, "version");
    check(by_id, "id");
}
