//! Where a sealed segment's blocks lie, and how their content is got.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use leftfold_io::{File, OpenMode, read_exact_at};
use zstd::zstd_safe::DDict;

use crate::error::ReadError;
use crate::format::{BlockEntry, MAX_RECORD, PackedEntry, SegmentFooter, SegmentHeader, crc_of};
use crate::log::Shared;
use crate::packing::{is_of, unpack};
use crate::read::BlockAt;
use crate::segment::{Body, Segment};

/// No block is longer than this: the bytes after which one is closed, and a longest record.
const MAX_BLOCK: u64 = MAX_RECORD as u64 + (1 << 20);

/// A sealed segment's tables.
pub(crate) struct Table {
    pub(crate) blocks: Vec<BlockEntry>,
    /// Where the frames end (before packing).
    pub(crate) data_end: u64,
    packed: Option<Packed>,
    bytes: usize,
}

struct Packed {
    entries: Vec<PackedEntry>,
    dictionary: Option<DDict<'static>>,
}

impl Table {
    fn new(
        footer: &SegmentFooter,
        bytes: &[u8],
        positions: RangeInclusive<u64>,
    ) -> Result<Self, &'static str> {
        let tables = footer.parse_tables(bytes)?;
        let dictionary = match tables.dictionary {
            [] => None,
            bytes => Some(DDict::try_create(bytes).ok_or("the segment's dictionary is damaged")?),
        };
        let packed =
            footer.is_packed().then(|| Packed { entries: tables.packed.to_vec(), dictionary });
        let table = Table {
            blocks: tables.blocks.to_vec(),
            data_end: footer.data_end.get(),
            packed,
            bytes: bytes.len() + tables.dictionary.len(),
        };
        table.check(footer)?;
        let mut firsts = table.blocks.iter().map(|block| block.first_position.get());
        // A segment that has moves of checkpoints only has a block, and no position.
        let inside = |at: u64| positions.contains(&at) || at == *positions.start();
        if !firsts.clone().is_sorted_by(|a, b| a < b) || !firsts.all(inside) {
            return Err("the segment's blocks do not follow each other");
        }
        Ok(table)
    }

    /// Blocks must follow each other, and packed ones be stored one after the other.
    fn check(&self, footer: &SegmentFooter) -> Result<(), &'static str> {
        let offsets = self.blocks.iter().map(|block| block.offset.get()).chain([self.data_end]);
        let mut before = SegmentHeader::SIZE;
        for offset in offsets {
            if offset < before || (self.packed.is_some() && offset - before > MAX_BLOCK) {
                return Err("the segment's blocks do not follow each other");
            }
            before = offset;
        }
        let Some(packed) = &self.packed else { return Ok(()) };
        let mut stored = SegmentHeader::SIZE;
        for entry in &packed.entries {
            if entry.stored_at.get() != stored {
                return Err("the segment's packed blocks do not follow each other");
            }
            stored += u64::from(entry.stored_bytes.get());
        }
        let starts_right =
            self.blocks.first().is_none_or(|block| block.offset.get() == SegmentHeader::SIZE);
        if stored != footer.tables_at() || !starts_right {
            return Err("the segment's packed blocks are not all there");
        }
        Ok(())
    }

    /// Bytes in memory.
    pub(crate) fn weight(&self) -> u64 {
        self.bytes as u64
    }

    fn end_of(&self, block: usize) -> u64 {
        self.blocks.get(block + 1).map_or(self.data_end, |next| next.offset.get())
    }

    /// Bytes of a block's content.
    fn length_of(&self, block: usize) -> u64 {
        self.end_of(block) - self.blocks[block].offset.get()
    }

    fn damage(&self, segment: &Segment, packed: &Packed, block: usize, what: &str) -> ReadError {
        let position = self.blocks[block].first_position.get();
        ReadError::Damaged(segment.damage(packed.entries[block].stored_at.get(), position, what))
    }
}

impl Shared {
    pub(crate) fn file_of(&self, segment: &Segment) -> Result<Arc<dyn File>, ReadError> {
        if let Some(body) = segment.open_body() {
            return Ok(body.file.clone());
        }
        let key = (segment.id, segment.generation);
        if let Some(file) = self.files.get(&key) {
            return Ok(file);
        }
        let name = segment.name();
        let opened = self.disk.open(&name, OpenMode::Read);
        let file = opened.map_err(|error| ReadError::io(&name, error))?;
        self.files.insert(key, file.clone());
        Ok(file)
    }

    fn read_stored(&self, segment: &Segment, from: u64, to: u64) -> Result<Bytes, ReadError> {
        let file = self.file_of(segment)?;
        let failed = |error| ReadError::io(&segment.name(), error);
        // What a table says is not believed before memory is taken for it.
        if to > file.len().map_err(failed)? || to < from {
            return Err(damaged(segment, from, "the file is cut short"));
        }
        let length = (to - from) as usize;
        self.buffers.filled(length, |bytes| read_exact_at(&*file, bytes, from).map_err(failed))
    }

    pub(crate) fn header_of(&self, segment: &Segment) -> Result<SegmentHeader, ReadError> {
        let bytes = self.read_stored(segment, 0, SegmentHeader::SIZE)?;
        let header = SegmentHeader::parse(&bytes, self.header.store_id, segment.id);
        match header {
            Ok(header) if header.generation.get() == segment.generation => Ok(header),
            Ok(_) => Err(damaged(segment, 0, "the file is another generation of the segment")),
            Err(what) => Err(damaged(segment, 0, what)),
        }
    }

    /// Where a segment's durable frames end (before packing).
    pub(crate) fn data_end(&self, segment: &Segment) -> Result<u64, ReadError> {
        match &segment.body {
            Body::Open(body) => Ok(body.durable_end()),
            Body::Sealed { .. } => Ok(self.table(segment)?.data_end),
        }
    }

    /// The content of a segment between two offsets (before packing).
    pub(crate) fn read(&self, segment: &Segment, from: u64, to: u64) -> Result<Bytes, ReadError> {
        if segment.open_body().is_none() {
            let table = self.table(segment)?;
            if let Some(packed) = &table.packed {
                return self.read_packed(segment, &table, packed, [from, to]);
            }
        }
        self.read_stored(segment, from, to)
    }

    /// Says that a block will be read soon.
    pub(crate) fn announce(&self, block: &BlockAt) -> Result<(), ReadError> {
        let (segment, offset) = (&block.segment, block.entry.offset.get());
        let mut stored = (offset, block.end.saturating_sub(offset));
        if segment.open_body().is_none()
            && let Some(packed) = &self.table(segment)?.packed
        {
            let Some(entry) = packed.entries.get(block.index) else { return Ok(()) };
            stored = (entry.stored_at.get(), u64::from(entry.stored_bytes.get()));
        }
        self.file_of(segment)?.will_read(stored.0, stored.1);
        Ok(())
    }

    fn read_packed(
        &self,
        segment: &Segment,
        table: &Table,
        packed: &Packed,
        [from, to]: [u64; 2],
    ) -> Result<Bytes, ReadError> {
        let upto = |offset| table.blocks.partition_point(|block| block.offset.get() <= offset);
        let (first, end) = (upto(from).saturating_sub(1), upto(to.saturating_sub(1)));
        let entries = packed.entries.get(first..end).unwrap_or_default();
        let (Some(head), Some(tail)) = (entries.first(), entries.last()) else {
            return Ok(Bytes::new());
        };
        let start = head.stored_at.get();
        let stored_end = tail.stored_at.get() + u64::from(tail.stored_bytes.get());
        let mut stored = self.read_stored(segment, start, stored_end)?;
        let origin = table.blocks[first].offset.get();
        let pieces = (first..end).zip(entries).map(|(block, entry)| {
            let piece = stored.split_to(entry.stored_bytes.get() as usize);
            match check_piece(&piece, entry.crc.get(), segment.salt, table.length_of(block)) {
                Ok(()) => Ok((block, piece)),
                Err(what) => Err(table.damage(segment, packed, block, what)),
            }
        });
        let pieces: Vec<_> = pieces.collect::<Result<_, _>>()?;
        let length = (table.end_of(end - 1) - origin) as usize;
        let content = self.buffers.filled(length, |mut rest| {
            for (block, piece) in pieces {
                let (to, later) = rest.split_at_mut(table.length_of(block) as usize);
                unpack(&piece, packed.dictionary.as_ref(), to)
                    .map_err(|what| table.damage(segment, packed, block, what))?;
                rest = later;
            }
            Ok(())
        })?;
        let from = (from - origin) as usize;
        let to = ((to - origin) as usize).clamp(from, content.len());
        Ok(content.slice(from..to))
    }

    /// The tables of a sealed segment.
    pub(crate) fn table(&self, segment: &Segment) -> Result<Arc<Table>, ReadError> {
        let Body::Sealed { length, last_position } = segment.body else {
            return Err(damaged(segment, 0, "the segment is not sealed"));
        };
        let key = (segment.id, segment.generation);
        if let Some(table) = self.tables.get(&key) {
            return Ok(table);
        }
        let at = length.saturating_sub(SegmentFooter::SIZE as u64);
        let footer = SegmentFooter::parse(&self.read_stored(segment, at, length)?, segment.id)
            .map_err(|what| damaged(segment, at, what))?;
        let from = footer.tables_at();
        let positions = segment.first_position..=last_position;
        let table = Table::new(&footer, &self.read_stored(segment, from, at)?, positions);
        let table = Arc::new(table.map_err(|what| damaged(segment, from, what))?);
        self.tables.insert(key, table.clone());
        Ok(table)
    }
}

/// What a packed block says is not believed before memory is taken for its content.
fn check_piece(piece: &[u8], crc: u32, salt: u32, content: u64) -> Result<(), &'static str> {
    if crc_of(salt, &[piece]) != crc {
        return Err("a packed block's checksum does not match");
    }
    match is_of(piece, content) {
        true => Ok(()),
        false => Err("a packed block does not have the length that the segment's tables say"),
    }
}

pub(crate) fn damaged(segment: &Segment, offset: u64, what: &str) -> ReadError {
    ReadError::Damaged(segment.damage(offset, segment.first_position, what))
}
