use std::io;

use crate::format::SegmentFooter;
use crate::format::footer::Totals;
use crate::log::Log;
use crate::manifest::SegmentState;

impl Log {
    /// Seals a closed segment: its blocks and totals go behind its frames, and it never changes
    /// again. Does nothing to a segment that is open or sealed.
    ///
    /// The footer is written where the frames end, what was preallocated is cut off, then the manifest
    /// says that the segment is sealed. A crash before that leaves a closed segment, whose frames are
    /// read again.
    pub fn seal(&self, segment: u64) -> io::Result<()> {
        let catalog = self.catalog();
        let is_last = catalog.segments().last().is_some_and(|last| last.id == segment);
        let Some(segment) = catalog.segment(segment).filter(|_| !is_last) else { return Ok(()) };
        let Some(body) = segment.open_body() else { return Ok(()) };
        let (blocks, data_end) = (body.blocks.read().clone(), body.durable_end());
        let last_position = blocks.last_position.max(segment.first_position - 1);
        let totals = Totals {
            segment: segment.id,
            first_position: segment.first_position,
            last_position,
            data_end,
            records: blocks.records,
            frames: blocks.frames,
            commit_max: blocks.commit_max,
            generation: segment.generation,
        };
        let footer = SegmentFooter::encode(totals, &blocks.sealed(), None);
        let length = data_end + footer.len() as u64;
        catalog.ownership.check()?;
        body.file.write_at(&footer, data_end)?;
        body.file.set_len(length)?;
        body.file.sync()?;
        catalog.replace_with_sealed(segment.live(SegmentState::Sealed, last_position, length))
    }
}
