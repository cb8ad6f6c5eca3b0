use std::sync::Arc;

use super::stored::SegmentReader;
use crate::error::ReadError;
use crate::format::SegmentHeader;
use crate::frames::{FrameView, Frames};
use crate::segment::Segment;
use crate::term::{Term, TermOrder};

/// A segment is read in pieces of this size, or of the longest frame.
const WINDOW: u64 = 1 << 20;

/// The durable frames of a segment, read piece by piece.
pub(crate) struct SegmentFrames<'a> {
    reader: &'a SegmentReader,
    segment: Arc<Segment>,
    frames: Frames,
    terms: TermOrder,
    /// Up to where the segment has been read.
    read: u64,
    window: u64,
    end: u64,
}

impl SegmentReader {
    pub(crate) fn frames_of(&self, segment: &Arc<Segment>) -> Result<SegmentFrames<'_>, ReadError> {
        self.frames_upto(segment, self.data_end(segment)?)
    }

    /// Returns the frames before an offset at which one ends.
    pub(crate) fn frames_upto(
        &self,
        segment: &Arc<Segment>,
        end: u64,
    ) -> Result<SegmentFrames<'_>, ReadError> {
        let header = self.header_of(segment)?;
        let (first, floor) = (header.first_position.get(), header.commit_floor.get());
        let frames = Frames::unread(SegmentHeader::SIZE, segment.salt, first, floor);
        Ok(SegmentFrames {
            reader: self,
            segment: segment.clone(),
            frames,
            terms: TermOrder::default(),
            read: SegmentHeader::SIZE,
            window: WINDOW,
            end,
        })
    }
}

impl SegmentFrames<'_> {
    /// Lets frames be checked against the term of the store's open segment, too.
    pub(crate) fn expect_term(&mut self, term: Term) {
        self.terms = TermOrder::of_segment(self.segment.id, term);
    }

    /// Returns the next frame; checks all its checksums.
    pub(crate) fn next(&mut self) -> Result<Option<FrameView>, ReadError> {
        while self.frames.offset() < self.end {
            match self.frames.next() {
                Ok(frame) => {
                    let checked = self.terms.check(frame.offset, frame.header.term.get());
                    return match checked {
                        Ok(()) => Ok(Some(frame)),
                        Err(what) => {
                            let position = frame.header.first_position.get();
                            let damage = self.segment.damage(frame.offset, position, what);
                            Err(ReadError::Damaged(damage))
                        }
                    };
                }
                Err(what) if self.read >= self.end => {
                    let (offset, position) = (self.frames.offset(), self.frames.next_position());
                    return Err(ReadError::Damaged(self.segment.damage(offset, position, what)));
                }
                // It may only be cut short by what has been read.
                Err(_) => self.read_on()?,
            }
        }
        Ok(None)
    }

    /// The position behind the last record so far.
    pub(crate) fn next_position(&self) -> u64 {
        self.frames.next_position()
    }

    fn read_on(&mut self) -> Result<(), ReadError> {
        let from = self.frames.offset();
        let unread = self.read - from;
        self.window = if unread >= self.window { self.window * 2 } else { WINDOW };
        self.read = (from + self.window).min(self.end);
        self.frames.go_on_with(self.reader.read(&self.segment, from, self.read)?);
        Ok(())
    }
}
