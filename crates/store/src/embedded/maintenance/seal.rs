use leftfold_index::Target;
use leftfold_log::{Compression, SegmentInfo};

use super::ClosedSegment;
use super::files::{failed, live_file};
use crate::embedded::core::Core;
use crate::embedded::open::{INDEX, covers, file_head, open_file};
use leftfold_api::Failure;

impl Core {
    /// Writes a closed segment's index file, then lets the segment be sealed. After a crash between the two,
    /// the segment is sealed at the next opening.
    pub(super) fn write_index(&self, closed: &ClosedSegment) -> Result<(), Failure> {
        let SegmentInfo { id, first, last, .. } = closed.segment;
        let live = live_file(INDEX, id, 0, [first, last]);
        let (name, head) = (live.name(), file_head(self, &live));
        let index = self.index.set.load_full();
        let live = self.write_file(live, |file| {
            let target = Target { name: &name, file, head };
            Ok::<_, Failure>(Some(index.write_part(&closed.active, target, &closed.checkpoints)?))
        })?;
        drop(index);
        let live = live.ok_or_else(crate::embedded::closed)?;
        let file = open_file(self, &live)?;
        // A file that covered this segment and others was unusable: each of them is made again.
        self.log
            .replace_files(|old| old.kind == INDEX && covers(old, id), &[live])
            .map_err(|error| failed("adopting an index file", &error))?;
        self.index.set.rcu(|index| index.with_file(&closed.active, file.clone()));
        self.maintenance.queue_merge();
        // A job of its own: if it is done again, the index file, which is in use now, is not.
        self.maintenance.queue_seal(id);
        Ok(())
    }

    /// Seals a segment that has its index file.
    pub(super) fn seal(&self, segment: u64) -> Result<(), Failure> {
        self.log.seal(segment).map_err(|error| failed("sealing a segment", &error))?;
        if self.maintenance.compression != Compression::Off {
            self.maintenance.queue_compression(segment);
        }
        Ok(())
    }
}
