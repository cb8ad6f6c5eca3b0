use std::io;
use std::sync::Arc;

use crate::format::SegmentFooter;
use crate::format::footer::Totals;
use crate::log::Shared;
use crate::manifest::SegmentState;
use crate::segment::Segment;

/// Writes the footer where the frames end (a crash before the manifest knows of it leaves a closed
/// segment whose frames are read again), cuts off what was preallocated, and tells the manifest.
pub(crate) fn seal(shared: &Shared, id: u64) -> io::Result<()> {
    let segments = shared.segments.load_full();
    let Some(at) = segments.iter().position(|segment| segment.id == id) else { return Ok(()) };
    let segment = &segments[at];
    let Some(body) = segment.open_body().filter(|_| at + 1 < segments.len()) else {
        return Ok(());
    };
    let (blocks, data_end) = (body.blocks.read().clone(), body.durable_end());
    let last_position = blocks.last_position.max(segment.first_position - 1);
    let totals = Totals {
        segment: id,
        first_position: segment.first_position,
        last_position,
        data_end,
        records: blocks.records,
        frames: blocks.frames,
        commit_max: blocks.commit_max,
        generation: segment.generation,
    };
    let footer = SegmentFooter::encode(totals, &blocks.entries, None);
    let length = data_end + footer.len() as u64;
    body.file.write_at(&footer, data_end)?;
    body.file.set_len(length)?;
    body.file.sync()?;
    let live = segment.live(SegmentState::Sealed, last_position, length);
    shared.manifest.replace(live)?;
    let sealed = Arc::new(Segment::sealed(shared.header.store_id, &live));
    shared.segments.rcu(|segments| {
        let mut segments = Vec::clone(segments);
        if let Some(place) = segments.iter_mut().find(|segment| segment.id == id) {
            *place = sealed.clone();
        }
        segments
    });
    Ok(())
}
