use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use leftfold_io::{Disk, File, OpenMode, read_exact_at};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::block::BlockKey;
use super::table::{CompressedBlocks, Table};
use crate::buffers::Buffers;
use crate::compression::{decompress, has_content_length};
use crate::error::ReadError;
use crate::format::{SegmentFooter, SegmentHeader, crc_of};
use crate::options::LogOptions;
use crate::segment::{Body, Segment};

/// Shorter reads are made without a look at the length of the file.
const UNCHECKED_LENGTH: u64 = 1 << 20;

/// Reads the content of segments. It knows none by itself: its callers name them.
pub(crate) struct SegmentReader {
    disk: Arc<dyn Disk>,
    store_id: [u8; 16],
    pub(super) blocks: Cache<BlockKey, Bytes, ByLength>,
    tables: Cache<(u64, u32), Arc<Table>, ByLength>,
    files: Cache<(u64, u32), Arc<dyn File>>,
    buffers: Buffers,
}

#[derive(Clone)]
pub(crate) struct ByLength;

impl Weighter<BlockKey, Bytes> for ByLength {
    fn weight(&self, _: &BlockKey, bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

impl Weighter<(u64, u32), Arc<Table>> for ByLength {
    fn weight(&self, _: &(u64, u32), table: &Arc<Table>) -> u64 {
        table.weight()
    }
}

impl SegmentReader {
    pub(crate) fn new(disk: Arc<dyn Disk>, store_id: [u8; 16], options: &LogOptions) -> Self {
        let cache = options.cache_bytes;
        SegmentReader {
            blocks: Cache::with_weighter((cache >> 13) as usize, cache, ByLength),
            tables: Cache::with_weighter(64, cache / 4, ByLength),
            files: Cache::new(options.open_files),
            buffers: Buffers::default(),
            disk,
            store_id,
        }
    }

    /// Returns how many blocks were asked for and found in memory, and how many were not.
    pub(crate) fn cache_hits_and_misses(&self) -> (u64, u64) {
        (self.blocks.hits(), self.blocks.misses())
    }

    /// Forgets the file and the tables of a segment that another generation has replaced.
    pub(crate) fn forget(&self, segment: &Segment) {
        self.files.remove(&(segment.id, segment.generation));
        self.tables.remove(&(segment.id, segment.generation));
    }

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
        let cut_short = || damaged(segment, from, "the file is cut short");
        let Some(length) = to.checked_sub(from) else { return Err(cut_short()) };
        // A table may be damaged: a great length is checked before memory is allocated.
        if length > UNCHECKED_LENGTH && to > file.len().map_err(failed)? {
            return Err(cut_short());
        }
        self.buffers.filled(length as usize, |bytes| {
            read_exact_at(&*file, bytes, from).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => cut_short(),
                _ => failed(error),
            })
        })
    }

    pub(crate) fn header_of(&self, segment: &Segment) -> Result<SegmentHeader, ReadError> {
        let bytes = self.read_stored(segment, 0, SegmentHeader::SIZE)?;
        let header = SegmentHeader::parse(&bytes, self.store_id, segment.id);
        match header {
            Ok(header) if header.generation.get() == segment.generation => Ok(header),
            Ok(_) => Err(damaged(segment, 0, "the file is another generation of the segment")),
            Err(what) => Err(damaged(segment, 0, what)),
        }
    }

    /// Where a segment's durable frames end (before compression).
    pub(crate) fn data_end(&self, segment: &Segment) -> Result<u64, ReadError> {
        match &segment.body {
            Body::Open(body) => Ok(body.durable_end()),
            Body::Sealed { .. } => Ok(self.table(segment)?.data_end),
        }
    }

    /// The content of a segment between two offsets (before compression).
    pub(crate) fn read(&self, segment: &Segment, from: u64, to: u64) -> Result<Bytes, ReadError> {
        if segment.open_body().is_none() {
            let table = self.table(segment)?;
            if let Some(compressed) = &table.compressed {
                return self.read_compressed(segment, &table, compressed, [from, to]);
            }
        }
        self.read_stored(segment, from, to)
    }

    fn read_compressed(
        &self,
        segment: &Segment,
        table: &Table,
        compressed: &CompressedBlocks,
        [from, to]: [u64; 2],
    ) -> Result<Bytes, ReadError> {
        let upto = |offset| table.blocks.partition_point(|block| block.offset.get() <= offset);
        let (first, end) = (upto(from).saturating_sub(1), upto(to.saturating_sub(1)));
        let entries = compressed.entries.get(first..end).unwrap_or_default();
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
                Err(what) => Err(table.damage(segment, compressed, block, what)),
            }
        });
        let pieces: Vec<_> = pieces.collect::<Result<_, _>>()?;
        let length = (table.end_of(end - 1) - origin) as usize;
        let dictionary = compressed.dictionary.as_ref();
        let damage = |block, what| table.damage(segment, compressed, block, what);
        let content = match &pieces[..] {
            // Its buffer is not cleared first.
            [(block, piece)] => {
                let mut content = Vec::with_capacity(length);
                decompress(piece, dictionary, &mut content, length)
                    .map_err(|what| damage(*block, what))?;
                Bytes::from(content)
            }
            pieces => self.buffers.filled(length, |mut rest| {
                for (block, piece) in pieces {
                    let length = table.length_of(*block) as usize;
                    let (to, later) = rest.split_at_mut(length);
                    decompress(piece, dictionary, to, length)
                        .map_err(|what| damage(*block, what))?;
                    rest = later;
                }
                Ok(())
            })?,
        };
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

/// Checks a compressed block before memory is allocated for its content.
fn check_piece(piece: &[u8], crc: u32, salt: u32, content: u64) -> Result<(), &'static str> {
    if crc_of(salt, &[piece]) != crc {
        return Err("a compressed block's checksum does not match");
    }
    match has_content_length(piece, content) {
        true => Ok(()),
        false => Err("a compressed block has another length than the segment's tables say"),
    }
}

pub(crate) fn damaged(segment: &Segment, offset: u64, what: &str) -> ReadError {
    ReadError::Damaged(segment.damage(offset, segment.first_position, what))
}
