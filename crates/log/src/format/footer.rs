use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::crc_of;

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

/// Where a compressed block is stored. Its content is what a file that is not compressed has from the
/// offset in its [`BlockEntry`] on.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct CompressedEntry {
    /// Where it begins in the file.
    pub stored_at: U64,
    /// Bytes in the file.
    pub stored_bytes: U32,
    /// Of the stored bytes, from the segment's salt.
    pub crc: U32,
}

const _: () = assert!(size_of::<CompressedEntry>() == CompressedEntry::SIZE);

impl CompressedEntry {
    /// Bytes on disk.
    pub const SIZE: usize = 16;
}

/// The footer's version where blocks are stored as they are.
const PLAIN: u32 = 1;
/// The footer's version where blocks are compressed.
const PACKED: u32 = 2;

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
    /// Where the frames end; before compression, if the file is compressed.
    pub data_end: U64,
    /// How many records there are.
    pub records: U64,
    /// How many frames there are.
    pub frames: U64,
    /// The last commit time in it.
    pub commit_max: I64,
    generation: U32,
    /// Bytes of the dictionary that blocks are compressed with; 0 if there is none.
    pub dictionary: U32,
    /// Where the tables begin; 0 if the file is not compressed: then they begin where the frames end.
    tables: U64,
    blocks_crc: U32,
    crc: U32,
}

const _: () = assert!(size_of::<SegmentFooter>() == SegmentFooter::SIZE);

/// The totals in a footer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) segment: u64,
    pub(crate) first_position: u64,
    pub(crate) last_position: u64,
    pub(crate) data_end: u64,
    pub(crate) records: u64,
    pub(crate) frames: u64,
    pub(crate) commit_max: i64,
    pub(crate) generation: u32,
}

/// How the blocks of a compressed file are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompressedTables<'a> {
    /// Where the tables begin in the file.
    pub(crate) at: u64,
    pub(crate) entries: &'a [CompressedEntry],
    pub(crate) dictionary: &'a [u8],
}

/// The tables before a footer.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// The blocks.
    pub blocks: &'a [BlockEntry],
    /// Where each is stored, if they are compressed.
    pub compressed: &'a [CompressedEntry],
    /// The dictionary that they are compressed with; empty if there is none.
    pub dictionary: &'a [u8],
}

impl SegmentFooter {
    /// Bytes on disk.
    pub const SIZE: usize = 96;

    /// Lays out the tables and the footer behind them.
    pub(crate) fn encode(
        totals: Totals,
        blocks: &[BlockEntry],
        compressed: Option<CompressedTables<'_>>,
    ) -> Vec<u8> {
        let (entries, dictionary) = compressed
            .map_or((&[][..], &[][..]), |compressed| (compressed.entries, compressed.dictionary));
        let tables = [blocks.as_bytes(), entries.as_bytes(), dictionary].concat();
        let mut footer = SegmentFooter {
            magic: MAGIC,
            version: if compressed.is_some() { PACKED } else { PLAIN }.into(),
            blocks: (blocks.len() as u32).into(),
            segment: totals.segment.into(),
            first_position: totals.first_position.into(),
            last_position: totals.last_position.into(),
            data_end: totals.data_end.into(),
            records: totals.records.into(),
            frames: totals.frames.into(),
            commit_max: totals.commit_max.into(),
            generation: totals.generation.into(),
            dictionary: (dictionary.len() as u32).into(),
            tables: compressed.map_or(0, |compressed| compressed.at).into(),
            blocks_crc: crc_of(0, &[&tables]).into(),
            crc: U32::ZERO,
        };
        footer.crc = footer.checksum().into();
        [&tables, footer.as_bytes()].concat()
    }

    /// Reads a footer.
    pub fn parse(bytes: &[u8], segment: u64) -> Result<Self, &'static str> {
        let Ok(footer) = SegmentFooter::read_from_bytes(bytes) else {
            return Err("the segment's footer is cut short");
        };
        if footer.magic != MAGIC || footer.crc.get() != footer.checksum() {
            return Err("the segment's footer is damaged");
        }
        let known = [PLAIN, PACKED].contains(&footer.version.get());
        if footer.segment.get() != segment || !known {
            return Err("the segment's footer belongs to another segment or format version");
        }
        Ok(footer)
    }

    /// Whether blocks are compressed.
    pub fn is_compressed(&self) -> bool {
        self.version.get() == PACKED
    }

    /// Where the tables begin in the file.
    pub fn tables_at(&self) -> u64 {
        if self.is_compressed() { self.tables.get() } else { self.data_end.get() }
    }

    /// Reads the tables: block entries, where compressed blocks are stored, and their dictionary.
    pub fn parse_tables<'a>(&self, bytes: &'a [u8]) -> Result<Tables<'a>, &'static str> {
        if crc_of(0, &[bytes]) != self.blocks_crc.get() {
            return Err("the segment's tables are damaged");
        }
        self.split_tables(bytes)
    }

    /// The tables as they are, damaged or not.
    pub(crate) fn split_tables<'a>(&self, bytes: &'a [u8]) -> Result<Tables<'a>, &'static str> {
        const SHORT: &str = "the segment's tables are cut short";
        let count = self.blocks.get() as usize;
        let blocks = <[BlockEntry]>::ref_from_prefix_with_elems(bytes, count);
        let (blocks, rest) = blocks.map_err(|_| SHORT)?;
        let compressed = if self.is_compressed() { count } else { 0 };
        let compressed = <[CompressedEntry]>::ref_from_prefix_with_elems(rest, compressed);
        let (compressed, dictionary) = compressed.map_err(|_| SHORT)?;
        if dictionary.len() as u64 != u64::from(self.dictionary.get()) {
            return Err(SHORT);
        }
        Ok(Tables { blocks, compressed, dictionary })
    }

    fn checksum(&self) -> u32 {
        crc_of(0, &[&self.as_bytes()[..Self::SIZE - 4]])
    }
}
