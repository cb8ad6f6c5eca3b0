use smallvec::SmallVec;
use zerocopy::IntoBytes;

use crate::blocks::Blocks;
use crate::format::{FLAG_MARK, FrameHeader, RecordPrefix, push_extension};

/// The position and time that an append would get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The position of its first record.
    pub position: u64,
    /// The number of its frame since the log was opened.
    pub ticket: u64,
    /// When it is written, in microseconds since 1970; never earlier than the one before.
    pub commit_time: i64,
    /// The commit time of the frame before.
    pub last_commit_time: i64,
    /// What the clock shows: earlier, if it was set back or was ahead once.
    pub now: i64,
}

/// Builds one frame in the writer's buffer: first its extensions, then its records.
pub struct FrameBuilder<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    /// Where `buffer[0]` will be in the segment's file.
    base: u64,
    salt: u32,
    slot: Slot,
    /// The positions up to this one are passed over, in place of a frame.
    passed: Option<u64>,
    synced_mark: u64,
    append_id: u128,
    term: u16,
    positions_of_empty: u64,
    extensions: usize,
    /// Offset in the buffer, and time, of each record.
    records: SmallVec<[(usize, i64); 4]>,
}

/// Where a buffer of frames will be in a segment's file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BufferLocation {
    /// The offset of its first byte.
    pub(crate) base: u64,
    /// The salt of the segment's checksums.
    pub(crate) salt: u32,
    /// Up to where the segment is known to be synced.
    pub(crate) synced_mark: u64,
}

impl<'a> FrameBuilder<'a> {
    pub(crate) fn new(buffer: &'a mut Vec<u8>, location: BufferLocation, slot: Slot) -> Self {
        let start = buffer.len();
        buffer.resize(start + FrameHeader::SIZE, 0);
        FrameBuilder {
            buffer,
            start,
            base: location.base,
            salt: location.salt,
            slot,
            passed: None,
            synced_mark: location.synced_mark,
            append_id: 0,
            term: 0,
            positions_of_empty: 0,
            extensions: 0,
            records: SmallVec::new(),
        }
    }

    /// Sets the position of its first record and its commit time, for a frame that another log has already.
    /// Neither may be less than the slot's; ignored once there are records.
    pub fn place(&mut self, position: u64, commit_time: i64) {
        if self.records.is_empty() {
            self.slot.position = self.slot.position.max(position);
            self.slot.commit_time = commit_time.max(self.slot.last_commit_time);
        }
    }

    /// Passes over the positions up to this one, in place of a frame: they have no record. Nothing is
    /// written, and what the frame holds is dropped.
    pub fn pass_over(&mut self, last: u64) {
        self.passed = Some(last);
    }

    /// Returns the position up to which it passes over, if it does.
    pub(crate) fn passed(&self) -> Option<u64> {
        self.passed
    }

    /// Returns the position of its first record.
    pub(crate) fn position(&self) -> u64 {
        self.slot.position
    }

    /// Returns the commit time of the frame.
    pub(crate) fn commit_time(&self) -> i64 {
        self.slot.commit_time
    }

    /// Sets the id of the append.
    pub fn append_id(&mut self, id: u128) {
        self.append_id = id;
    }

    /// Sets the term of the writer.
    pub(crate) fn term(&mut self, term: u16) {
        self.term = term;
    }

    /// Sets how many positions it takes if it has no records.
    pub(crate) fn positions_of_empty(&mut self, positions: u64) {
        self.positions_of_empty = positions;
    }

    /// Adds an extension; must come before the records, else it is ignored.
    pub fn extension(&mut self, kind: u16, value: &[u8]) {
        if self.records.is_empty() {
            push_extension(self.buffer, kind, value);
            self.extensions = self.buffer.len() - self.start - FrameHeader::SIZE;
        }
    }

    /// Adds a record with its own time.
    pub fn record(&mut self, time: i64, bytes: &[u8]) {
        self.record_with(time, bytes, |_| {});
    }

    /// Adds a record that `complete` may change in the buffer.
    pub fn record_with(&mut self, time: i64, bytes: &[u8], complete: impl FnOnce(&mut [u8])) {
        let position = self.slot.position + self.records.len() as u64;
        let start = self.buffer.len();
        self.records.push((start, time));
        self.buffer.extend_from_slice(&[0; RecordPrefix::SIZE]);
        self.buffer.extend_from_slice(bytes);
        let (prefix, record) = self.buffer[start..].split_at_mut(RecordPrefix::SIZE);
        complete(record);
        let whole = RecordPrefix::new(self.salt, position, time, record);
        prefix.copy_from_slice(whole.as_bytes());
    }

    /// Removes the frame from the buffer.
    pub(crate) fn abandon(self) {
        self.buffer.truncate(self.start);
    }

    /// Completes the frame and adds its records to the blocks; returns the position that follows.
    pub(crate) fn finish(self, blocks: &mut Blocks) -> u64 {
        let FrameBuilder { buffer, start, slot, records, .. } = self;
        let to_records = FrameHeader::SIZE + self.extensions;
        let next = slot.position
            + match records.len() as u64 {
                0 => self.positions_of_empty,
                count => count,
            };
        // A frame without records says where the next record is.
        let first = if records.is_empty() { next } else { slot.position };
        let mut header =
            FrameHeader::new(first, self.synced_mark, slot.commit_time, self.append_id);
        header.term = self.term.into();
        header.extensions = (self.extensions as u32).into();
        header.records = ((buffer.len() - start - to_records) as u32).into();
        header.count = (records.len() as u32).into();
        if records.is_empty() && self.extensions == 0 {
            header.flags = FLAG_MARK;
        }
        let offset = self.base + start as u64;
        header.seal(self.salt, offset, &buffer[start + FrameHeader::SIZE..start + to_records]);
        buffer[start..start + FrameHeader::SIZE].copy_from_slice(header.as_bytes());
        blocks.frames += 1;
        blocks.commit_max = slot.commit_time;
        for (i, (at, time)) in records.iter().enumerate() {
            let at = if i == 0 { offset } else { self.base + *at as u64 };
            blocks.note(slot.position + i as u64, at, slot.commit_time, *time);
        }
        next
    }
}
