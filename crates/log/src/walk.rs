use bytes::Bytes;
use zerocopy::FromBytes;

use crate::format::{FRAME_MAGIC, FrameHeader, MAX_RECORD, RecordPrefix};

/// A record as it was written.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its position in the log.
    pub position: u64,
    /// When its frame was written, in microseconds since 1970.
    pub commit_time: i64,
    /// Its own time, in microseconds since 1970.
    pub time: i64,
    /// Whether it is the first record of its frame.
    pub begins_frame: bool,
    /// Its content; a slice of the block that it was read with.
    pub bytes: Bytes,
}

/// Reads record after record, over the frame headers between them.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    bytes: Bytes,
    at: usize,
    /// Where `bytes` begins in its file.
    offset: u64,
    salt: u32,
    position: u64,
    commit_time: i64,
    /// Whether a frame header comes right before the next record.
    at_frame: bool,
}

impl Walk {
    /// `bytes` begin at a frame, or at the record that has this position and commit time.
    pub(crate) fn new(
        bytes: Bytes,
        offset: u64,
        salt: u32,
        position: u64,
        commit_time: i64,
    ) -> Self {
        Walk { bytes, at: 0, offset, salt, position, commit_time, at_frame: false }
    }

    /// All the bytes that it goes over.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The offset in the file of what comes next.
    pub(crate) fn offset(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// The position of the next record, unless a frame with a later one comes first.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the next record at or after a position; checks its checksum.
    pub(crate) fn next_from(&mut self, position: u64) -> Result<Option<Record>, &'static str> {
        while self.enter_frames()? {
            let prefix = self.prefix()?;
            let start = self.at + RecordPrefix::SIZE;
            let end = start + prefix.length.get() as usize;
            if end > self.bytes.len() {
                return Err("a record is cut short");
            }
            // Damage is not passed over, so that `offset` and `position` tell where it is.
            let found = match self.position >= position {
                true => Some(self.record(&prefix, start..end, self.position)?),
                false => None,
            };
            self.at = end;
            self.position += 1;
            self.at_frame = false;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    pub(crate) fn next(&mut self) -> Result<Option<Record>, &'static str> {
        self.next_from(0)
    }

    fn record(
        &self,
        prefix: &RecordPrefix,
        range: std::ops::Range<usize>,
        position: u64,
    ) -> Result<Record, &'static str> {
        let bytes = self.bytes.slice(range);
        if !prefix.matches(self.salt, position, &bytes) {
            return Err("a record's checksum does not match");
        }
        let (commit_time, time) = (self.commit_time, prefix.time.get());
        Ok(Record { position, commit_time, time, begins_frame: self.at_frame, bytes })
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Passes over frame headers; returns false at the end.
    fn enter_frames(&mut self) -> Result<bool, &'static str> {
        while self.rest().starts_with(&FRAME_MAGIC) {
            let header = FrameHeader::parse(self.rest(), self.salt, self.offset())?;
            if header.count.get() > 0 {
                if header.first_position.get() < self.position {
                    return Err("a frame's position comes after a later one");
                }
                self.position = header.first_position.get();
                self.commit_time = header.commit_time.get();
                self.at_frame = true;
            }
            self.at += header.to_records();
        }
        Ok(!self.rest().is_empty())
    }

    fn prefix(&self) -> Result<RecordPrefix, &'static str> {
        match RecordPrefix::read_from_prefix(self.rest()) {
            Ok((prefix, _)) if prefix.length.get() as usize <= MAX_RECORD => Ok(prefix),
            Ok(_) => Err("a record's length is impossible"),
            Err(_) => Err("a record is cut short"),
        }
    }
}
