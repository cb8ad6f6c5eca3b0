//! Where a sealed segment's blocks lie.

use std::ops::RangeInclusive;

use zstd::zstd_safe::DDict;

use crate::error::ReadError;
use crate::format::{BlockEntry, CompressedEntry, MAX_RECORD, SegmentFooter, SegmentHeader};
use crate::segment::Segment;

/// No block is longer than this: the bytes after which one is closed, and a longest record.
const MAX_BLOCK: u64 = MAX_RECORD as u64 + (1 << 20);

/// A sealed segment's tables.
pub(crate) struct Table {
    pub(crate) blocks: Vec<BlockEntry>,
    /// Where the frames end (before compression).
    pub(crate) data_end: u64,
    /// How many records there are.
    pub(crate) records: u64,
    pub(super) compressed: Option<CompressedBlocks>,
    bytes: usize,
}

/// How the blocks of a compressed segment are stored.
pub(super) struct CompressedBlocks {
    pub(super) entries: Vec<CompressedEntry>,
    pub(super) dictionary: Option<DDict<'static>>,
}

impl Table {
    pub(super) fn new(
        footer: &SegmentFooter,
        bytes: &[u8],
        positions: RangeInclusive<u64>,
    ) -> Result<Self, &'static str> {
        let tables = footer.parse_tables(bytes)?;
        let dictionary = match tables.dictionary {
            [] => None,
            bytes => Some(DDict::try_create(bytes).ok_or("the segment's dictionary is damaged")?),
        };
        let compressed = footer
            .is_compressed()
            .then(|| CompressedBlocks { entries: tables.compressed.to_vec(), dictionary });
        let table = Table {
            blocks: tables.blocks.to_vec(),
            data_end: footer.data_end.get(),
            records: footer.records.get(),
            compressed,
            bytes: bytes.len() + tables.dictionary.len(),
        };
        table.check(footer)?;
        let mut firsts = table.blocks.iter().map(|block| block.first_position.get());
        // A segment with checkpoint moves only has a block, but no position.
        let inside = |at: u64| positions.contains(&at) || at == *positions.start();
        if !firsts.clone().is_sorted_by(|a, b| a < b) || !firsts.all(inside) {
            return Err("the segment's blocks do not follow each other");
        }
        Ok(table)
    }

    /// Blocks must follow each other, and compressed ones be stored one after the other.
    fn check(&self, footer: &SegmentFooter) -> Result<(), &'static str> {
        let offsets = self.blocks.iter().map(|block| block.offset.get()).chain([self.data_end]);
        let mut before = SegmentHeader::SIZE;
        for offset in offsets {
            if offset < before || (self.compressed.is_some() && offset - before > MAX_BLOCK) {
                return Err("the segment's blocks do not follow each other");
            }
            before = offset;
        }
        let Some(compressed) = &self.compressed else { return Ok(()) };
        let mut stored = SegmentHeader::SIZE;
        for entry in &compressed.entries {
            if entry.stored_at.get() != stored {
                return Err("the segment's compressed blocks do not follow each other");
            }
            stored += u64::from(entry.stored_bytes.get());
        }
        let starts_right =
            self.blocks.first().is_none_or(|block| block.offset.get() == SegmentHeader::SIZE);
        if stored != footer.tables_at() || !starts_right {
            return Err("the segment's compressed blocks are not all there");
        }
        Ok(())
    }

    /// Bytes in memory.
    pub(crate) fn weight(&self) -> u64 {
        self.bytes as u64
    }

    pub(super) fn end_of(&self, block: usize) -> u64 {
        self.blocks.get(block + 1).map_or(self.data_end, |next| next.offset.get())
    }

    /// Bytes of a block's content.
    pub(super) fn length_of(&self, block: usize) -> u64 {
        self.end_of(block) - self.blocks[block].offset.get()
    }

    pub(super) fn damage(
        &self,
        segment: &Segment,
        compressed: &CompressedBlocks,
        block: usize,
        what: &str,
    ) -> ReadError {
        let position = self.blocks[block].first_position.get();
        ReadError::Damaged(segment.damage(
            compressed.entries[block].stored_at.get(),
            position,
            what,
        ))
    }
}
