use leftfold_log::{Edit, Edited, Record, RewriteError, SegmentInfo};

use super::throttle::Throttle;
use crate::embedded::core::Core;
use crate::embedded::events::decode_event;
use leftfold_api::Failure;

impl Core {
    /// Rewrites a sealed segment with the compression of the options.
    pub(super) fn compress(&self, segment: u64) -> Result<(), Failure> {
        let _rewriting = self.maintenance.rewriting.lock();
        let segments = self.log.segments();
        let wanted = |found: &&SegmentInfo| {
            found.id == segment && found.compression < self.maintenance.compression
        };
        let Some(found) = segments.iter().find(wanted) else { return Ok(()) };
        let mut edit = KeepAll { throttle: self.maintenance.throttle() };
        match self.log.rewrite(found.id, self.maintenance.compression, &mut edit) {
            // A stopped job is done when the store is opened again.
            Ok(_) | Err(RewriteError::Stopped) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Keeps every record as it is.
struct KeepAll<'a> {
    throttle: Throttle<'a>,
}

impl Edit for KeepAll<'_> {
    fn edit(&mut self, _: &Record) -> Edited {
        Edited::Kept
    }

    fn may_train(&self, record: &Record) -> bool {
        may_train(record)
    }

    fn go_on(&mut self, bytes: u64) -> bool {
        self.throttle.wait(bytes)
    }
}

/// Whether a compression dictionary may be trained on a record. It must not contain pieces of an event
/// whose subject may be forgotten later.
pub(crate) fn may_train(record: &Record) -> bool {
    decode_event(record.clone()).is_ok_and(|event| !event.is_forgettable())
}
