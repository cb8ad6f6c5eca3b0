use std::sync::Arc;

use bytes::Bytes;

use crate::error::ReadError;
use crate::format::{Extension, FrameHeader, SegmentHeader, extensions};
use crate::log::Shared;
use crate::segment::Segment;
use crate::walk::{Record, Walk};

/// A segment is read in pieces of this size, or of the longest frame.
const WINDOW: u64 = 1 << 20;

/// A whole frame, every checksum checked.
#[derive(Debug, Clone)]
pub struct FrameView {
    /// Where it begins in its segment's file.
    pub offset: u64,
    /// Its head.
    pub header: FrameHeader,
    /// Its records, in order.
    pub records: Vec<Record>,
    extensions: Bytes,
}

impl FrameView {
    /// Its extensions.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        extensions(&self.extensions)
    }
}

/// Goes from frame to frame over the bytes of a segment and checks everything.
pub(crate) struct Frames {
    bytes: Bytes,
    /// Where `bytes` begin in the segment.
    base: u64,
    salt: u32,
    at: usize,
    next_position: u64,
    commit_time: i64,
}

impl Frames {
    /// `bytes` are a segment's from its start on; the first frame begins at `at`.
    pub(crate) fn new(
        bytes: Bytes,
        salt: u32,
        at: u64,
        next_position: u64,
        commit_time: i64,
    ) -> Self {
        Frames { bytes, base: 0, salt, at: at as usize, next_position, commit_time }
    }

    /// Where the next frame begins or would begin.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The next frame begins with these bytes.
    pub(crate) fn go_on_with(&mut self, bytes: Bytes) {
        (self.base, self.at, self.bytes) = (self.offset(), 0, bytes);
    }

    pub(crate) fn next_position(&self) -> u64 {
        self.next_position
    }

    pub(crate) fn commit_time(&self) -> i64 {
        self.commit_time
    }

    /// The next frame, or why there is none that is whole.
    pub(crate) fn next(&mut self) -> Result<FrameView, &'static str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let header = FrameHeader::parse(rest, self.salt, self.offset())?;
        if rest.len() < header.total() {
            return Err("a frame is cut short");
        }
        if header.count.get() > 0 && header.first_position.get() < self.next_position {
            return Err("a frame's position comes after a later one");
        }
        if header.commit_time.get() < self.commit_time {
            return Err("a frame's commit time is earlier than the one before");
        }
        let frame = self.view(header)?;
        self.at += frame.header.total();
        self.commit_time = frame.header.commit_time.get();
        if let Some(last) = frame.records.last() {
            self.next_position = last.position + 1;
        }
        Ok(frame)
    }

    fn view(&self, header: FrameHeader) -> Result<FrameView, &'static str> {
        let start = self.at + header.to_records();
        let end = self.at + header.total();
        let (first, commit) = (header.first_position.get(), header.commit_time.get());
        let offset = self.base + start as u64;
        let mut walk = Walk::new(self.bytes.slice(start..end), offset, self.salt, first, commit);
        let mut records = Vec::new();
        while let Some(record) = walk.next()? {
            records.push(record);
        }
        if records.len() as u64 != u64::from(header.count.get()) {
            return Err("a frame does not have as many records as it says");
        }
        let extensions = self.bytes.slice(self.at + FrameHeader::SIZE..start);
        Ok(FrameView { offset: self.offset(), header, records, extensions })
    }
}

/// The durable frames of a segment, read piece by piece.
pub(crate) struct SegmentFrames<'a> {
    shared: &'a Shared,
    segment: Arc<Segment>,
    frames: Frames,
    /// Up to where the segment has been read.
    read: u64,
    window: u64,
    end: u64,
}

impl Shared {
    pub(crate) fn frames_of(&self, segment: &Arc<Segment>) -> Result<SegmentFrames<'_>, ReadError> {
        self.frames_upto(segment, self.data_end(segment)?)
    }

    /// The frames before an offset at which one ends.
    pub(crate) fn frames_upto(
        &self,
        segment: &Arc<Segment>,
        end: u64,
    ) -> Result<SegmentFrames<'_>, ReadError> {
        let header = self.header_of(segment)?;
        let (first, floor) = (header.first_position.get(), header.commit_floor.get());
        let mut frames = Frames::new(Bytes::new(), segment.salt, SegmentHeader::SIZE, first, floor);
        (frames.base, frames.at) = (SegmentHeader::SIZE, 0);
        Ok(SegmentFrames {
            shared: self,
            segment: segment.clone(),
            frames,
            read: SegmentHeader::SIZE,
            window: WINDOW,
            end,
        })
    }
}

impl SegmentFrames<'_> {
    /// The next frame, all its checksums checked.
    pub(crate) fn next(&mut self) -> Result<Option<FrameView>, ReadError> {
        while self.frames.offset() < self.end {
            match self.frames.next() {
                Ok(frame) => return Ok(Some(frame)),
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
        self.frames.go_on_with(self.shared.read(&self.segment, from, self.read)?);
        Ok(())
    }
}
