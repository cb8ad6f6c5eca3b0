use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{FORMAT_VERSION, crc_of};

const MAGIC: [u8; 8] = *b"LFSEGEND";

/// Where a block of records begins, and which times lie in it. A block ends where the next begins.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct BlockEntry {
    /// The position of its first record.
    pub first_position: U64,
    /// Where it begins in the file: at that record, or at the frame that the record opens.
    pub offset: U64,
    /// The commit time of its first record.
    pub commit_min: I64,
    /// The commit time of its last record.
    pub commit_max: I64,
    /// The earliest record time in it.
    pub time_min: I64,
    /// The latest record time in it.
    pub time_max: I64,
}

const _: () = assert!(size_of::<BlockEntry>() == BlockEntry::SIZE);

impl BlockEntry {
    /// Bytes on disk.
    pub const SIZE: usize = 48;
}

/// The last bytes of a sealed segment file; the block entries stand before it.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct SegmentFooter {
    magic: [u8; 8],
    version: U32,
    /// How many block entries there are.
    pub blocks: U32,
    /// The segment's number.
    pub segment: U64,
    /// The position of its first record, or where that would be.
    pub first_position: U64,
    /// The position of its last record; one less than the first if there is none.
    pub last_position: U64,
    /// Where the frames end and the block entries begin.
    pub data_end: U64,
    /// How many records there are.
    pub records: U64,
    /// How many frames there are.
    pub frames: U64,
    /// The last commit time in it.
    pub commit_max: I64,
    generation: U32,
    reserved: U32,
    reserved_too: U64,
    blocks_crc: U32,
    crc: U32,
}

const _: () = assert!(size_of::<SegmentFooter>() == SegmentFooter::SIZE);

/// What a footer tells, beside its blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) segment: u64,
    pub(crate) first_position: u64,
    pub(crate) last_position: u64,
    pub(crate) data_end: u64,
    pub(crate) records: u64,
    pub(crate) frames: u64,
    pub(crate) commit_max: i64,
}

impl SegmentFooter {
    /// Bytes on disk.
    pub const SIZE: usize = 96;

    /// Lays out block entries and footer.
    pub(crate) fn encode(totals: Totals, blocks: &[BlockEntry]) -> Vec<u8> {
        let mut footer = SegmentFooter {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            blocks: (blocks.len() as u32).into(),
            segment: totals.segment.into(),
            first_position: totals.first_position.into(),
            last_position: totals.last_position.into(),
            data_end: totals.data_end.into(),
            records: totals.records.into(),
            frames: totals.frames.into(),
            commit_max: totals.commit_max.into(),
            generation: U32::ZERO,
            reserved: U32::ZERO,
            reserved_too: U64::ZERO,
            blocks_crc: crc_of(0, &[blocks.as_bytes()]).into(),
            crc: U32::ZERO,
        };
        footer.crc = footer.checksum().into();
        [blocks.as_bytes(), footer.as_bytes()].concat()
    }

    /// Reads a footer.
    pub fn parse(bytes: &[u8], segment: u64) -> Result<Self, &'static str> {
        let Ok(footer) = SegmentFooter::read_from_bytes(bytes) else {
            return Err("the segment's footer is cut short");
        };
        if footer.magic != MAGIC || footer.crc.get() != footer.checksum() {
            return Err("the segment's footer is damaged");
        }
        if footer.segment.get() != segment || footer.version.get() != FORMAT_VERSION {
            return Err("the segment's footer belongs to another segment or format version");
        }
        Ok(footer)
    }

    /// Reads the block entries that stand before the footer.
    pub fn parse_blocks(&self, bytes: &[u8]) -> Result<Vec<BlockEntry>, &'static str> {
        if crc_of(0, &[bytes]) != self.blocks_crc.get() {
            return Err("the segment's block entries are damaged");
        }
        let Ok(blocks) = <[BlockEntry]>::ref_from_bytes(bytes) else {
            return Err("the segment's block entries are cut short");
        };
        Ok(blocks.to_vec())
    }

    fn checksum(&self) -> u32 {
        crc_of(0, &[&self.as_bytes()[..Self::SIZE - 4]])
    }
}
