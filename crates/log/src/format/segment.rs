use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{FORMAT_VERSION, crc_of};

const MAGIC: [u8; 8] = *b"LFSEGMNT";

/// The first bytes of a segment file. Frames follow it.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct SegmentHeader {
    magic: [u8; 8],
    version: U32,
    /// The generation of the segment; 0 is the original.
    pub generation: U32,
    /// The store that the segment belongs to.
    pub store_id: [u8; 16],
    /// The segment's number, from 1.
    pub segment: U64,
    /// The position that its first event has or would have.
    pub first_position: U64,
    /// No commit time in the segment is earlier.
    pub commit_floor: I64,
    reserved: U32,
    crc: U32,
}

const _: () = assert!(size_of::<SegmentHeader>() == SegmentHeader::SIZE as usize);

impl SegmentHeader {
    /// Bytes on disk, and the offset of the first frame.
    pub const SIZE: u64 = 64;

    /// A header of generation 0.
    pub fn new(store_id: [u8; 16], segment: u64, first_position: u64, commit_floor: i64) -> Self {
        Self::of_generation(0, store_id, [segment, first_position], commit_floor)
    }

    /// A header of any generation, for a segment of this number and first position.
    pub fn of_generation(
        generation: u32,
        store_id: [u8; 16],
        [segment, first_position]: [u64; 2],
        commit_floor: i64,
    ) -> Self {
        let mut header = SegmentHeader {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            generation: generation.into(),
            store_id,
            segment: segment.into(),
            first_position: first_position.into(),
            commit_floor: commit_floor.into(),
            reserved: U32::ZERO,
            crc: U32::ZERO,
        };
        header.crc = header.checksum().into();
        header
    }

    /// Reads a header and checks that it is this store's segment of this number.
    pub fn parse(bytes: &[u8], store_id: [u8; 16], segment: u64) -> Result<Self, &'static str> {
        let header = Self::read(bytes)?;
        if header.store_id != store_id || header.segment.get() != segment {
            return Err("the file holds another store's or another segment's data");
        }
        Ok(header)
    }

    /// Reads a header of any store and segment.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let Ok((header, _)) = SegmentHeader::read_from_prefix(bytes) else {
            return Err("the segment's header is cut short");
        };
        if header.magic != MAGIC || header.crc.get() != header.checksum() {
            return Err("the segment's header is damaged");
        }
        if header.version.get() != FORMAT_VERSION {
            return Err("the segment has a format version that this release does not read");
        }
        Ok(header)
    }

    fn checksum(&self) -> u32 {
        crc_of(0, &[&self.as_bytes()[..Self::SIZE as usize - 4]])
    }
}
