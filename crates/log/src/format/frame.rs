use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{LAST_POSITION, crc_of};

/// The first four bytes of a frame. No record's length reads as this number.
pub const FRAME_MAGIC: [u8; 4] = *b"LFRM";

/// The longest record; its length must never look like [`FRAME_MAGIC`].
pub const MAX_RECORD: usize = 1 << 27;

const _: () = assert!(MAX_RECORD < u32::from_le_bytes(FRAME_MAGIC) as usize);

const VERSION: u8 = 1;

/// A frame that only carries a synced mark.
pub const FLAG_MARK: u8 = 1;

/// The extension that holds checkpoint moves; its content belongs to the store.
pub const EXTENSION_CHECKPOINTS: u16 = 1;

/// The extension of a frame that holds nothing, and is written only to be confirmed. It has no content.
pub const EXTENSION_BARRIER: u16 = 2;

/// The head of a frame: one append, all or nothing. Extensions and records follow it.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FrameHeader {
    magic: [u8; 4],
    version: u8,
    /// See [`FLAG_MARK`].
    pub flags: u8,
    /// The lower half of the number of the writer's term; 0 if an earlier release wrote the frame.
    pub term: U16,
    /// Bytes of the extensions.
    pub extensions: U32,
    /// Bytes of the records.
    pub records: U32,
    crc: U32,
    /// How many records there are.
    pub count: U32,
    /// The position of the first record; the others follow without gap.
    pub first_position: U64,
    /// All bytes of the segment before this offset are known to be synced.
    pub synced_mark: U64,
    /// When the frame was written, in microseconds since 1970; never earlier than the one before.
    pub commit_time: I64,
    /// Names the append.
    pub append_id: [u8; 16],
}

const _: () = assert!(size_of::<FrameHeader>() == FrameHeader::SIZE);
const CRC_AT: usize = 16;
const _: () = assert!(std::mem::offset_of!(FrameHeader, crc) == CRC_AT);

impl FrameHeader {
    /// Bytes on disk.
    pub const SIZE: usize = 64;

    /// A header yet to be [sealed](FrameHeader::seal) with its checksum.
    pub fn new(first_position: u64, synced_mark: u64, commit_time: i64, append_id: u128) -> Self {
        FrameHeader {
            magic: FRAME_MAGIC,
            version: VERSION,
            flags: 0,
            term: U16::ZERO,
            extensions: U32::ZERO,
            records: U32::ZERO,
            crc: U32::ZERO,
            count: U32::ZERO,
            first_position: first_position.into(),
            synced_mark: synced_mark.into(),
            commit_time: commit_time.into(),
            append_id: append_id.to_le_bytes(),
        }
    }

    /// Sets the checksum of the header and its extensions, at an offset of a salted segment.
    pub fn seal(&mut self, salt: u32, offset: u64, extensions: &[u8]) {
        self.crc = self.checksum(salt, offset, extensions).into();
    }

    /// Reads the header at the start of `bytes`, which lie at `offset`; checks all but the records.
    pub fn parse(bytes: &[u8], salt: u32, offset: u64) -> Result<Self, &'static str> {
        let Ok((header, rest)) = FrameHeader::read_from_prefix(bytes) else {
            return Err("a frame's header is cut short");
        };
        if header.magic != FRAME_MAGIC {
            return Err("there is no frame");
        }
        let extensions = rest.get(..header.extensions.get() as usize);
        let Some(extensions) = extensions else { return Err("a frame's header is cut short") };
        if header.checksum(salt, offset, extensions) != header.crc.get() {
            return Err("a frame's header is damaged");
        }
        if header.version != VERSION {
            return Err("a frame has a version that this release does not read");
        }
        let last = header.first_position.get().checked_add(header.count.get().into());
        if last.is_none_or(|last| last > LAST_POSITION) {
            return Err("a frame has positions that are impossible");
        }
        Ok(header)
    }

    /// Bytes from the frame's start to its first record.
    pub fn to_records(&self) -> usize {
        Self::SIZE + self.extensions.get() as usize
    }

    /// Bytes of the whole frame.
    pub fn total(&self) -> usize {
        self.to_records() + self.records.get() as usize
    }

    /// Whether the frame only carries a synced mark.
    pub fn is_mark(&self) -> bool {
        self.flags & FLAG_MARK != 0
    }

    fn checksum(&self, salt: u32, offset: u64, extensions: &[u8]) -> u32 {
        let bytes = self.as_bytes();
        let parts = [&offset.to_le_bytes(), &bytes[..CRC_AT], &bytes[CRC_AT + 4..], extensions];
        crc_of(salt, &parts)
    }
}

/// The prefix of each record.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RecordPrefix {
    /// Bytes of the record, without this prefix.
    pub length: U32,
    crc: U32,
    /// The record's own time, in microseconds since 1970: when the event happened.
    pub time: I64,
}

const _: () = assert!(size_of::<RecordPrefix>() == RecordPrefix::SIZE);

impl RecordPrefix {
    /// Bytes on disk.
    pub const SIZE: usize = 16;

    /// The prefix of a record at a position of a salted segment.
    pub fn new(salt: u32, position: u64, time: i64, record: &[u8]) -> Self {
        let mut prefix = RecordPrefix {
            length: (record.len() as u32).into(),
            crc: U32::ZERO,
            time: time.into(),
        };
        prefix.crc = prefix.checksum(salt, position, record).into();
        prefix
    }

    /// Whether the record is what was written at this position.
    pub fn matches(&self, salt: u32, position: u64, record: &[u8]) -> bool {
        self.checksum(salt, position, record) == self.crc.get()
    }

    fn checksum(&self, salt: u32, position: u64, record: &[u8]) -> u32 {
        let mut head = [0; 20];
        head[..8].copy_from_slice(&position.to_le_bytes());
        head[8..12].copy_from_slice(self.length.as_bytes());
        head[12..].copy_from_slice(self.time.as_bytes());
        crc_of(salt, &[&head, record])
    }
}

/// A typed part of a frame: type, length, value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its kind; see the constants `EXTENSION_*`.
    pub kind: u16,
    /// Its content.
    pub value: &'a [u8],
}

/// Type (2), reserved (2) and length (4) come before an extension's value.
const EXTENSION_HEAD: usize = 8;

/// Appends an extension.
pub fn push_extension(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend_from_slice(&kind.to_le_bytes());
    to.extend_from_slice(&[0; 2]);
    to.extend_from_slice(&(value.len() as u32).to_le_bytes());
    to.extend_from_slice(value);
}

/// Returns the extensions of a frame; ends at the first that is malformed.
pub fn extensions(mut bytes: &[u8]) -> impl Iterator<Item = Extension<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(EXTENSION_HEAD)?;
        let kind = u16::from_le_bytes([head[0], head[1]]);
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let (value, rest) = rest.split_at_checked(length as usize)?;
        bytes = rest;
        Some(Extension { kind, value })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_positions_that_no_log_reaches_is_refused() {
        for (first, good) in [(LAST_POSITION - 1, true), (LAST_POSITION, false), (u64::MAX, false)]
        {
            let mut header = FrameHeader::new(first, 64, 1, 2);
            header.count = 1.into();
            header.seal(5, 100, &[]);
            assert_eq!(FrameHeader::parse(header.as_bytes(), 5, 100).is_ok(), good, "{first}");
        }
    }

    #[test]
    fn a_frame_is_bound_to_its_segment_and_its_offset() {
        let mut header = FrameHeader::new(7, 64, 1, 2);
        let mut extension = Vec::new();
        push_extension(&mut extension, 9, b"value");
        header.extensions = (extension.len() as u32).into();
        header.seal(5, 100, &extension);
        let bytes = [header.as_bytes(), &extension].concat();
        assert_eq!(FrameHeader::parse(&bytes, 5, 100).unwrap().first_position.get(), 7);
        assert!(FrameHeader::parse(&bytes, 6, 100).is_err(), "another segment");
        assert!(FrameHeader::parse(&bytes, 5, 101).is_err(), "another offset");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::parse(&flipped, 5, 100).is_err(), "bit {bit}");
        }
        let found: Vec<_> = extensions(&extension).collect();
        assert_eq!(found, [Extension { kind: 9, value: b"value" }]);
    }

    #[test]
    fn a_record_is_bound_to_its_position() {
        let prefix = RecordPrefix::new(1, 10, 99, b"record");
        assert!(prefix.matches(1, 10, b"record"));
        assert!(!prefix.matches(1, 11, b"record"));
        assert!(!prefix.matches(2, 10, b"record"));
        assert!(!prefix.matches(1, 10, b"recorD"));
    }
}
