use leftfold_log::{Edit, Edited, Record, RewriteError, SegmentInfo};

use super::pace::Pace;
use crate::embedded::core::Core;
use crate::embedded::events::recorded;
use leftfold_api::Failure;

impl Core {
    /// Writes a sealed segment again, packed.
    pub(super) fn pack(&self, segment: u64) -> Result<(), Failure> {
        let _alone = self.maintenance.rewriting.lock();
        let segments = self.log.segments();
        let due =
            |found: &&SegmentInfo| found.id == segment && found.packing < self.maintenance.packing;
        let Some(found) = segments.iter().find(due) else { return Ok(()) };
        let mut unchanged = Unchanged { pace: self.maintenance.pace() };
        match self.log.rewrite(found.id, self.maintenance.packing, &mut unchanged) {
            // It is packed when the store is opened again.
            Ok(_) | Err(RewriteError::Stopped) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Packs every record as it is.
struct Unchanged<'a> {
    pace: Pace<'a>,
}

impl Edit for Unchanged<'_> {
    fn edit(&mut self, _: &Record) -> Edited {
        Edited::Kept
    }

    fn may_train(&self, record: &Record) -> bool {
        may_train(record)
    }

    fn go_on(&mut self, bytes: u64) -> bool {
        self.pace.go_on(bytes)
    }
}

/// No dictionary may hold pieces of what can be forgotten later.
pub(crate) fn may_train(record: &Record) -> bool {
    recorded(record.clone()).is_ok_and(|event| !event.is_forgettable())
}
