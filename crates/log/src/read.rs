use std::sync::Arc;

use bytes::Bytes;
use leftfold_io::{File, OpenMode, read_exact_at};

use crate::error::ReadError;
use crate::format::{BlockEntry, SegmentFooter, SegmentHeader};
use crate::frames::{FrameView, Frames};
use crate::log::{Log, Shared};
use crate::segment::{Body, Segment};
use crate::walk::{Record, Walk};

/// Blocks longer than this (one huge record) are not kept in memory.
const CACHED_BLOCK_LIMIT: usize = 1 << 20;

/// One of a segment's blocks, ready to be read.
pub(crate) struct BlockAt {
    pub(crate) segment: Arc<Segment>,
    pub(crate) index: usize,
    pub(crate) entry: BlockEntry,
    pub(crate) end: u64,
    /// Whether nothing will be added to it.
    pub(crate) complete: bool,
}

impl Log {
    /// Calls `visit` with every durable frame of a segment, in order, all checksums checked.
    pub fn each_frame(
        &self,
        segment: u64,
        mut visit: impl FnMut(FrameView),
    ) -> Result<(), ReadError> {
        let segments = self.shared.segments.load();
        let Some(segment) = segments.iter().find(|found| found.id == segment) else {
            return Ok(());
        };
        let name = segment.name();
        let damaged = |offset, position, what: &str| {
            ReadError::Damaged(segment.damage(offset, position, what))
        };
        let (file, end) = self.shared.data_of(segment)?;
        let mut bytes = vec![0; end as usize];
        read_exact_at(&*file, &mut bytes, 0).map_err(|error| ReadError::io(&name, error))?;
        let store = self.shared.header.store_id;
        let header = SegmentHeader::parse(&bytes, store, segment.id)
            .map_err(|what| damaged(0, segment.first_position, what))?;
        let (first, floor) = (header.first_position.get(), header.commit_floor.get());
        let mut frames = Frames::new(bytes.into(), segment.salt, SegmentHeader::SIZE, first, floor);
        while frames.offset() < end {
            match frames.next() {
                Ok(frame) => visit(frame),
                Err(what) => {
                    return Err(damaged(frames.offset(), frames.next_position(), what));
                }
            }
        }
        Ok(())
    }

    /// The first position whose commit time is not earlier; one past the head if there is none.
    pub fn position_at_commit_time(&self, time: i64) -> Result<u64, ReadError> {
        let head = self.head().position;
        let segments = self.shared.segments.load_full();
        for segment in segments.iter() {
            let blocks = self.shared.blocks_of(segment)?;
            let found = blocks.partition_point(|block| block.commit_max.get() < time);
            if found == blocks.len() {
                continue;
            }
            let Some(block) = self.shared.block(segment, found)? else { continue };
            let mut walk = self.shared.walk(&block)?;
            while let Some(record) = step(&block, &mut walk, 0)? {
                if record.commit_time >= time || record.position > head {
                    return Ok(record.position.min(head + 1));
                }
            }
        }
        Ok(head + 1)
    }

    /// Fetches records by position.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher { log: self.clone(), current: None }
    }
}

/// Fetches records by position; cheap when they lie near each other in ascending order.
pub struct Fetcher {
    log: Log,
    current: Option<(BlockAt, Walk)>,
}

impl Fetcher {
    /// The record at a durable position, or none if there is none.
    pub fn get(&mut self, position: u64) -> Result<Option<Record>, ReadError> {
        if position == 0 || position > self.log.head().position {
            return Ok(None);
        }
        if let Some((block, walk)) = &mut self.current
            && walk.position() <= position
            && let Some(record) = step(block, walk, position)?
            && record.position == position
        {
            return Ok(Some(record));
        }
        self.current = None;
        let Some(block) = self.log.shared.block_with(position)? else { return Ok(None) };
        let mut walk = self.log.shared.walk(&block)?;
        let record = step(&block, &mut walk, position)?;
        self.current = Some((block, walk));
        Ok(record.filter(|record| record.position == position))
    }
}

pub(crate) fn step(
    block: &BlockAt,
    walk: &mut Walk,
    position: u64,
) -> Result<Option<Record>, ReadError> {
    let (offset, at) = (walk.offset(), walk.position());
    walk.next_from(position)
        .map_err(|what| ReadError::Damaged(block.segment.damage(offset, at, what)))
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

    /// A segment's file and where its durable frames end.
    fn data_of(&self, segment: &Segment) -> Result<(Arc<dyn File>, u64), ReadError> {
        let file = self.file_of(segment)?;
        let end = match &segment.body {
            Body::Open(body) => body.synced_end(),
            Body::Sealed { .. } => self.footer(segment)?.data_end.get(),
        };
        Ok((file, end))
    }

    fn read(&self, segment: &Segment, from: u64, to: u64) -> Result<Bytes, ReadError> {
        let mut bytes = vec![0; (to - from) as usize];
        let file = self.file_of(segment)?;
        read_exact_at(&*file, &mut bytes, from)
            .map_err(|error| ReadError::io(&segment.name(), error))?;
        Ok(bytes.into())
    }

    pub(crate) fn footer(&self, segment: &Segment) -> Result<SegmentFooter, ReadError> {
        let Body::Sealed { length, .. } = segment.body else {
            return Err(damaged_footer(segment, 0, "the segment is not sealed"));
        };
        let at = length.saturating_sub(SegmentFooter::SIZE as u64);
        let bytes = self.read(segment, at, length)?;
        SegmentFooter::parse(&bytes, segment.id).map_err(|what| damaged_footer(segment, at, what))
    }

    /// The blocks of a segment; of an open one, a copy of what they are now.
    pub(crate) fn blocks_of(&self, segment: &Segment) -> Result<Arc<Vec<BlockEntry>>, ReadError> {
        let length = match &segment.body {
            Body::Open(body) => return Ok(Arc::new(body.blocks.read().entries.clone())),
            Body::Sealed { length, .. } => *length,
        };
        let key = (segment.id, segment.generation);
        if let Some(blocks) = self.footers.get(&key) {
            return Ok(blocks);
        }
        let footer = self.footer(segment)?;
        let from = footer.data_end.get();
        let to = length.saturating_sub(SegmentFooter::SIZE as u64).max(from);
        let blocks = footer.parse_blocks(&self.read(segment, from, to)?);
        let blocks = Arc::new(blocks.map_err(|what| damaged_footer(segment, from, what))?);
        self.footers.insert(key, blocks.clone());
        Ok(blocks)
    }

    /// The number of the last segment that begins at or before a position.
    pub(crate) fn segment_with(segments: &[Arc<Segment>], position: u64) -> Option<usize> {
        segments.partition_point(|segment| segment.first_position <= position).checked_sub(1)
    }

    fn block_with(&self, position: u64) -> Result<Option<BlockAt>, ReadError> {
        let segments = self.segments.load();
        let Some(at) = Self::segment_with(&segments, position) else { return Ok(None) };
        let segment = &segments[at];
        let index = self.block_index(segment, position)?;
        index.map_or(Ok(None), |index| self.block(segment, index))
    }

    /// The number of the last block that begins at or before a position.
    pub(crate) fn block_index(
        &self,
        segment: &Segment,
        position: u64,
    ) -> Result<Option<usize>, ReadError> {
        let before = |entries: &[BlockEntry]| {
            entries.partition_point(|block| block.first_position.get() <= position).checked_sub(1)
        };
        Ok(match &segment.body {
            Body::Open(body) => before(&body.blocks.read().entries),
            Body::Sealed { .. } => before(&self.blocks_of(segment)?),
        })
    }

    pub(crate) fn block(
        &self,
        segment: &Arc<Segment>,
        index: usize,
    ) -> Result<Option<BlockAt>, ReadError> {
        let pick = |entries: &[BlockEntry], data_end: u64, open: bool| {
            let entry = *entries.get(index).filter(|entry| entry.offset.get() < data_end)?;
            let next = entries.get(index + 1).map(|next| next.offset.get());
            // What follows in an open segment may not be synced yet.
            let complete = next.map_or(!open, |next| next <= data_end);
            let end = next.unwrap_or(data_end).min(data_end);
            Some(BlockAt { segment: segment.clone(), index, entry, end, complete })
        };
        Ok(match &segment.body {
            Body::Open(body) => {
                let end = body.synced_end();
                pick(&body.blocks.read().entries, end, true)
            }
            Body::Sealed { length, .. } => {
                let blocks = self.blocks_of(segment)?;
                let tail = SegmentFooter::SIZE + blocks.len() * BlockEntry::SIZE;
                pick(&blocks, length.saturating_sub(tail as u64), false)
            }
        })
    }

    /// A walk over a block, from memory where possible.
    pub(crate) fn walk(&self, block: &BlockAt) -> Result<Walk, ReadError> {
        let key = (block.segment.id, block.segment.generation, block.index as u32);
        let bytes = match self.blocks.get(&key) {
            Some(bytes) => bytes,
            None => {
                let bytes = self.read(&block.segment, block.entry.offset.get(), block.end)?;
                if block.complete && bytes.len() <= CACHED_BLOCK_LIMIT {
                    self.blocks.insert(key, bytes.clone());
                }
                bytes
            }
        };
        Ok(walk_of(block, bytes))
    }

    /// A walk over several blocks of a segment, read at once.
    pub(crate) fn walk_to(&self, first: &BlockAt, end: u64) -> Result<Walk, ReadError> {
        let bytes = self.read(&first.segment, first.entry.offset.get(), end)?;
        Ok(walk_of(first, bytes))
    }
}

fn walk_of(block: &BlockAt, bytes: Bytes) -> Walk {
    let BlockEntry { first_position, offset, commit_min, .. } = block.entry;
    let salt = block.segment.salt;
    Walk::new(bytes, offset.get(), salt, first_position.get(), commit_min.get())
}

fn damaged_footer(segment: &Segment, offset: u64, what: &str) -> ReadError {
    ReadError::Damaged(segment.damage(offset, segment.first_position, what))
}
