use leftfold_log::SegmentInfo;

use super::sum::{Adder, Sum};
use super::{Verified, Work};
use crate::embedded::core::Core;
use crate::embedded::events::recorded;
use crate::embedded::indexes::IndexList;
use crate::embedded::rebuild::Rebuilt;
use leftfold_api::{Field, Recorded};
use std::collections::BTreeMap;

impl Work<'_> {
    /// Checks every frame and event of a segment; adds up the postings that it should have.
    pub(super) fn segment(&self, segment: &SegmentInfo, verified: &mut Verified) -> Sum {
        let mut named = self.named_before(segment.first);
        let (mut adder, mut next) = (Adder::default(), segment.first);
        let read = self.core.log.each_frame(segment.id, |frame| {
            verified.frames += 1;
            for record in frame.records {
                // What came after this began belongs to nobody's sum.
                if record.position > segment.last {
                    return;
                }
                if record.position != next {
                    verified
                        .found(format!("position {next} is missing before {}", record.position));
                }
                next = record.position + 1;
                verified.events += 1;
                match recorded(record) {
                    Ok(event) => {
                        // What the index knows of a lost event may be more than what stands in its
                        // place.
                        match event.is_lost() {
                            true => verified.lost += 1,
                            false => check(self.core, &event, verified),
                        }
                        named.event(&event, &mut adder);
                    }
                    Err(error) => verified.found(error.to_string()),
                }
            }
        });
        if let Err(error) = read {
            verified.found(error.to_string());
        }
        adder.sum
    }

    /// The named indexes as they were before a position.
    fn named_before(&self, position: u64) -> Rebuilt {
        let (keys, indexes) = (self.core.keys, IndexList::default());
        let mut rebuilt = Rebuilt { keys, checkpoints: BTreeMap::new(), indexes, lost: false };
        let before = self.changes.iter().flatten().take_while(|(at, _)| *at < position);
        before.for_each(|(at, change)| rebuilt.change(*at, change));
        rebuilt
    }
}

/// The event must hold the digest of what it says, and be found by its version and its id.
fn check(core: &Core, event: &Recorded, verified: &mut Verified) {
    let index = core.index.set.load();
    let (position, head) = (event.position(), core.log.head().position);
    if !event.digest_is_right(&core.log.header().hash_key) {
        verified.found(format!("the event at position {position} does not fit its own digest"));
    }
    let stream = core.keys.of(Field::Stream, event.stream());
    let by_version = index.nth(&stream, event.version(), head);
    let mut check = |found: Result<Option<u64>, _>, by: &str| match found {
        Ok(Some(found)) if found == position || by == "id" && found < position => {}
        Ok(found) => verified.found(format!(
            "the event at position {position} is not found by its {by}: the index says {found:?}"
        )),
        Err(error) => {
            let error: leftfold_index::IndexError = error;
            verified.found(error.to_string());
        }
    };
    check(by_version, "version");
    check(index.first(&core.keys.event(&stream, event.id()), head), "id");
}
