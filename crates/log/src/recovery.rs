//! Reads a segment that was not sealed, and repairs its tail after a crash.
//!
//! The tail of the open segment may be torn: frames that were being written when the power failed.
//! None of them was acknowledged, because an acknowledgement follows the sync of the whole batch.
//! So the log ends before the first frame that is not whole, unless a mark in any whole frame, before
//! or after it, lies beyond it. Such a mark proves that the frame was synced, so it is damaged, and
//! damage is never cut off.
//!
//! A log whose batches are confirmed elsewhere may also end with whole frames that were never confirmed.
//! Such a log is opened with [`Keep::Marked`], which cuts off all behind the furthest mark.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use leftfold_io::{File, read_exact_at};

use crate::blocks::Blocks;
use crate::error::{Damage, OpenError};
use crate::format::{FRAME_MAGIC, FrameHeader, SegmentHeader};
use crate::frames::Frames;
use crate::manifest::LiveFile;
use crate::options::Keep;
use crate::segment::{Segment, salt_of};
use crate::term::{Term, TermOrder};

/// Zeros are written in pieces of this size.
const ZEROS: usize = 1 << 20;

/// The content of a segment that is not sealed.
pub(crate) struct Recovered {
    pub(crate) blocks: Blocks,
    /// Where the whole frames end.
    pub(crate) end: u64,
    pub(crate) next_position: u64,
    pub(crate) commit_time: i64,
    /// The furthest synced mark.
    pub(crate) mark: u64,
    /// The term of the writer of the last frame; 0 if it is not known.
    pub(crate) last_term: u16,
    /// The file's bytes.
    bytes: Bytes,
}

/// Reads the segment; `data_end` is known if it was closed. `term` is that of the open segment.
pub(crate) fn examine(
    store_id: [u8; 16],
    live: &LiveFile,
    file: &Arc<dyn File>,
    data_end: Option<u64>,
    term: Term,
    keep: Keep,
) -> Result<Recovered, OpenError> {
    let name = live.name();
    let damage = |offset, position, what: &str| {
        OpenError::Damaged(Damage { file: name.clone(), offset, position, what: what.to_owned() })
    };
    let bytes = read_all(&**file).map_err(|error| OpenError::io(&name, error))?;
    let header = SegmentHeader::parse(&bytes, store_id, live.id)
        .map_err(|what| damage(0, live.first, what))?;
    if header.first_position.get() != live.first {
        return Err(damage(0, live.first, "the segment's header names another first position"));
    }
    if header.generation.get() != live.generation {
        return Err(damage(0, live.first, "the file is another generation of the segment"));
    }
    let salt = salt_of(store_id, live.id);
    let frames_end = data_end.map_or(bytes.len(), |end| end as usize);
    let Some(data) = bytes.get(..frames_end) else {
        return Err(damage(bytes.len() as u64, live.first, "the file is cut short"));
    };
    let (first, floor) = (header.first_position.get(), header.commit_floor.get());
    let data = bytes.slice_ref(data);
    let frames_upto =
        |end: usize| Frames::new(data.slice(..end), salt, SegmentHeader::SIZE, first, floor);
    let (mut frames, mut order) = (frames_upto(data.len()), TermOrder::of_segment(live.id, term));
    let walked = walk_frames(&mut frames, &mut order);
    let Walked { mut blocks, mark, marked_end, what } =
        walked.map_err(|(offset, position, what)| damage(offset, position, what))?;
    let whole_end = frames.offset();
    let mark_beyond =
        mark_beyond(bytes.get(whole_end as usize..).unwrap_or_default(), whole_end, salt);
    let known = mark.max(mark_beyond).max(data_end.unwrap_or(0));
    let is_copy = keep == Keep::Marked && data_end.is_none();
    if known > whole_end && !is_copy {
        return Err(damage(whole_end, frames.next_position(), what));
    }
    // Where a copy has lost bytes it ends: all frames before are confirmed, and the rest is elsewhere.
    if is_copy && marked_end < whole_end && known <= whole_end {
        frames = frames_upto(marked_end as usize);
        // The frames were walked before, so their terms are in order.
        let kept = walk_frames(&mut frames, &mut TermOrder::default());
        blocks = kept.map_err(|(offset, position, what)| damage(offset, position, what))?.blocks;
    }
    Ok(Recovered {
        blocks,
        end: frames.offset(),
        next_position: frames.next_position(),
        commit_time: frames.commit_time(),
        mark,
        last_term: order.last(),
        bytes,
    })
}

/// The whole frames of a segment.
struct Walked {
    blocks: Blocks,
    /// The furthest mark in them.
    mark: u64,
    /// Where the frames end that lie before that mark, with the marks that follow them.
    marked_end: u64,
    /// Why they end.
    what: &'static str,
}

/// Reads the whole frames. Fails at a frame of an earlier writer behind those of a later one.
fn walk_frames(
    frames: &mut Frames,
    order: &mut TermOrder,
) -> Result<Walked, (u64, u64, &'static str)> {
    let (mut blocks, mut mark) = (Blocks::default(), 0);
    let mut marked_end = SegmentHeader::SIZE;
    // The frames behind the furthest mark so far: where each begins and ends.
    let mut unmarked: VecDeque<(u64, u64)> = VecDeque::new();
    loop {
        match frames.next() {
            Ok(frame) => {
                let checked = order.check(frame.offset, frame.header.term.get());
                checked.map_err(|what| (frame.offset, frame.header.first_position.get(), what))?;
                mark = mark.max(frame.header.synced_mark.get());
                while let Some((_, end)) = unmarked.pop_front_if(|(begin, _)| *begin < mark) {
                    marked_end = end;
                }
                if frame.header.is_mark() && unmarked.is_empty() {
                    marked_end = frames.offset();
                } else {
                    unmarked.push_back((frame.offset, frames.offset()));
                }
                blocks.note_frame(&frame);
            }
            Err(what) => return Ok(Walked { blocks, mark, marked_end, what }),
        }
    }
}

/// Returns the furthest synced mark in any frame header after the end of the whole frames.
fn mark_beyond(tail: &[u8], whole_end: u64, salt: u32) -> u64 {
    memchr::memmem::find_iter(tail, &FRAME_MAGIC)
        .filter_map(|at| FrameHeader::parse(&tail[at..], salt, whole_end + at as u64).ok())
        .map(|header| header.synced_mark.get())
        .max()
        .unwrap_or(0)
}

/// Makes the recovered frames durable before any reader sees them.
///
/// A whole frame behind the last mark may never have been synced: the process was killed before the
/// sync, or the sync failed and the kernel dropped the dirty pages. So these bytes are written again,
/// not merely synced. The tail becomes zeros: otherwise a whole frame of a torn batch would be valid
/// again behind a new frame as long as the torn one before it.
pub(crate) fn settle(file: &dyn File, recovered: &Recovered) -> std::io::Result<()> {
    let unmarked = recovered.mark.max(SegmentHeader::SIZE).min(recovered.end);
    let frames = recovered.bytes.get(unmarked as usize..recovered.end as usize).unwrap_or_default();
    if !frames.is_empty() {
        file.write_at(frames, unmarked)?;
    }
    clear_tail(file, recovered)?;
    file.sync()
}

fn clear_tail(file: &dyn File, recovered: &Recovered) -> std::io::Result<()> {
    let tail = recovered.bytes.get(recovered.end as usize..).unwrap_or_default();
    let Some(last) = tail.iter().rposition(|byte| *byte != 0) else { return Ok(()) };
    let zeros = vec![0; ZEROS.min(last + 1)];
    for start in (0..=last).step_by(ZEROS) {
        let n = zeros.len().min(last + 1 - start);
        file.write_at(&zeros[..n], recovered.end + start as u64)?;
    }
    Ok(())
}

impl Recovered {
    /// Whether the file still ends as it did when it was read: no other process has written since.
    pub(crate) fn is_end_unchanged(&self, file: &dyn File) -> std::io::Result<bool> {
        let mut now = [0; FrameHeader::SIZE];
        let read = file.read_at(&mut now, self.end)?;
        let rest = self.bytes.get(self.end as usize..).unwrap_or_default();
        Ok(now[..read] == rest[..rest.len().min(now.len())])
    }

    pub(crate) fn into_segment(
        self,
        store_id: [u8; 16],
        live: &LiveFile,
        file: Arc<dyn File>,
    ) -> Segment {
        Segment::open(store_id, [live.id, live.first, self.end], file, self.blocks)
    }
}

pub(crate) fn read_all(file: &dyn File) -> std::io::Result<Bytes> {
    let len = usize::try_from(file.len()?).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; len];
    read_exact_at(file, &mut bytes, 0)?;
    Ok(bytes.into())
}
