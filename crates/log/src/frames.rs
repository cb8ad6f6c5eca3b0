use bytes::Bytes;

use crate::format::{Extension, FrameHeader, extensions};
use crate::walk::{Record, Walk};

/// A whole frame, every checksum checked.
#[derive(Debug, Clone)]
pub struct FrameView {
    /// Where it begins in its segment's file.
    pub offset: u64,
    /// Its header.
    pub header: FrameHeader,
    /// Its records, in order.
    pub records: Vec<Record>,
    extensions: Bytes,
}

impl FrameView {
    /// Returns the position of its first record. A frame without records says where the next one is, and has
    /// its own position before, if such frames take any.
    pub fn position(&self, positions_of_empty: u64) -> u64 {
        let first = self.header.first_position.get();
        match self.records.is_empty() {
            true => first.saturating_sub(positions_of_empty),
            false => first,
        }
    }

    /// Its extensions.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        extensions(&self.extensions)
    }
}

/// Reads frame after frame from the bytes of a segment and checks everything.
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

    /// Goes over a segment of which no bytes are read yet; the first frame begins at `base`.
    pub(crate) fn unread(base: u64, salt: u32, next_position: u64, commit_time: i64) -> Self {
        Frames { bytes: Bytes::new(), base, salt, at: 0, next_position, commit_time }
    }

    /// Where the next frame begins or would begin.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Goes on with these bytes, in which the next frame begins.
    pub(crate) fn go_on_with(&mut self, bytes: Bytes) {
        (self.base, self.at, self.bytes) = (self.offset(), 0, bytes);
    }

    pub(crate) fn next_position(&self) -> u64 {
        self.next_position
    }

    pub(crate) fn commit_time(&self) -> i64 {
        self.commit_time
    }

    /// Returns the next frame, or why it is not whole.
    pub(crate) fn next(&mut self) -> Result<FrameView, &'static str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let header = FrameHeader::parse(rest, self.salt, self.offset())?;
        if rest.len() < header.total() {
            return Err("a frame is cut short");
        }
        let first = header.first_position.get();
        if header.count.get() > 0 && first < self.next_position {
            return Err("a frame's position comes after a later one");
        }
        if header.commit_time.get() < self.commit_time {
            return Err("a frame's commit time is earlier than the one before");
        }
        let frame = self.view(header)?;
        self.at += frame.header.total();
        self.commit_time = frame.header.commit_time.get();
        self.next_position = match frame.records.last() {
            Some(last) => last.position + 1,
            // Such a frame says where the next record is, which may be behind a gap.
            None => self.next_position.max(first),
        };
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
