use std::sync::Arc;

use bytes::Bytes;

use super::stored::SegmentReader;
use crate::blocks::BLOCK_BYTES;
use crate::error::ReadError;
use crate::format::BlockEntry;
use crate::prefetch::FileRange;
use crate::segment::{Body, Segment};
use crate::walk::{Record, Walk};

/// Longer blocks (of one huge record) are not cached.
const CACHED_BLOCK_LIMIT: usize = 1 << 20;

/// A block's key in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BlockKey {
    segment: u64,
    generation: u32,
    offset: u64,
    end: u64,
}

/// One of a segment's blocks, ready to be read.
pub(crate) struct Block {
    pub(crate) segment: Arc<Segment>,
    pub(crate) index: usize,
    pub(crate) entry: BlockEntry,
    pub(crate) end: u64,
    /// The first position of the block behind it in its segment, if there is one.
    pub(crate) next_position: Option<u64>,
    /// Whether nothing will be added to it.
    pub(crate) complete: bool,
}

impl Block {
    /// Returns the next record of a walk over this block, at or after a position.
    pub(crate) fn next_record(
        &self,
        walk: &mut Walk,
        position: u64,
    ) -> Result<Option<Record>, ReadError> {
        walk.next_from(position).map_err(|what| {
            ReadError::Damaged(self.segment.damage(walk.offset(), walk.position(), what))
        })
    }

    /// Whether a position lies in it.
    pub(crate) fn holds(&self, position: u64) -> bool {
        let is_before_end = match self.next_position {
            Some(next) => position < next,
            None => position <= self.segment.last_position(),
        };
        self.entry.first_position.get() <= position && is_before_end
    }

    /// Its key in the cache. When its segment is sealed it is joined with others, and has another one.
    fn key(&self) -> BlockKey {
        let (segment, generation) = (self.segment.id, self.segment.generation);
        BlockKey { segment, generation, offset: self.entry.offset.get(), end: self.end }
    }
}

/// Returns the index of the last segment that begins at or before a position.
pub(crate) fn segment_index(segments: &[Arc<Segment>], position: u64) -> Option<usize> {
    segments.partition_point(|segment| segment.first_position <= position).checked_sub(1)
}

impl SegmentReader {
    /// Passes a segment's blocks of this moment to `look`, and where its durable frames end.
    pub(crate) fn with_blocks<T>(
        &self,
        segment: &Segment,
        look: impl FnOnce(&[BlockEntry], u64) -> T,
    ) -> Result<T, ReadError> {
        Ok(match &segment.body {
            Body::Open(body) => {
                let end = body.durable_end();
                look(&body.blocks.read().entries, end)
            }
            Body::Sealed { .. } => {
                let table = self.table(segment)?;
                look(&table.blocks, table.data_end)
            }
        })
    }

    /// Returns the index of the first segment that ends at or after a commit time. Commit times never fall
    /// from one segment to the next, so half of the segments are left out at each step.
    pub(crate) fn segment_at_commit_time(
        &self,
        segments: &[Arc<Segment>],
        time: i64,
    ) -> Result<usize, ReadError> {
        let (mut from, mut to) = (0, segments.len());
        while from < to {
            let middle = from + (to - from) / 2;
            // A segment without records has no times: the one before it decides.
            let mut last = None;
            for segment in segments[from..=middle].iter().rev() {
                last = self.with_blocks(segment, |blocks, _| {
                    blocks.last().map(|block| block.commit_max.get())
                })?;
                if last.is_some() {
                    break;
                }
            }
            match last.is_some_and(|last| last >= time) {
                true => to = middle,
                false => from = middle + 1,
            }
        }
        Ok(from)
    }

    /// Returns the block with a position, of these segments.
    pub(crate) fn block_with(
        &self,
        segments: &[Arc<Segment>],
        position: u64,
    ) -> Result<Option<Block>, ReadError> {
        let Some(at) = segment_index(segments, position) else { return Ok(None) };
        let segment = &segments[at];
        let index = self.block_index(segment, position)?;
        index.map_or(Ok(None), |index| self.block(segment, index))
    }

    /// Returns the index of the last block that begins at or before a position.
    pub(crate) fn block_index(
        &self,
        segment: &Segment,
        position: u64,
    ) -> Result<Option<usize>, ReadError> {
        self.with_blocks(segment, |blocks, _| {
            blocks.partition_point(|block| block.first_position.get() <= position).checked_sub(1)
        })
    }

    pub(crate) fn block(
        &self,
        segment: &Arc<Segment>,
        index: usize,
    ) -> Result<Option<Block>, ReadError> {
        let open = segment.open_body().is_some();
        self.with_blocks(segment, |blocks, data_end| {
            let entry = *blocks.get(index).filter(|entry| entry.offset.get() < data_end)?;
            let behind = blocks.get(index + 1);
            let next_position = behind.map(|next| next.first_position.get());
            let next = behind.map(|next| next.offset.get());
            // What follows in an open segment may not be synced yet.
            let complete = next.map_or(!open, |next| next <= data_end);
            let end = next.unwrap_or(data_end).min(data_end);
            Some(Block { segment: segment.clone(), index, entry, end, next_position, complete })
        })
    }

    /// Returns a walk over a block, from memory if it is there.
    pub(crate) fn walk(&self, block: &Block) -> Result<Walk, ReadError> {
        if let Some(walk) = self.walk_in_memory(block) {
            return Ok(walk);
        }
        let walk = self.walk_once(block)?;
        self.keep(block, &walk);
        Ok(walk)
    }

    /// Returns a walk over a block that is read from its file, and not kept in memory.
    pub(crate) fn walk_once(&self, block: &Block) -> Result<Walk, ReadError> {
        let bytes = self.read(&block.segment, block.entry.offset.get(), block.end)?;
        Ok(walk_of(block, bytes))
    }

    /// Keeps a block in memory.
    pub(crate) fn keep(&self, block: &Block, walk: &Walk) {
        if block.complete && walk.bytes().len() <= CACHED_BLOCK_LIMIT {
            self.blocks.insert(block.key(), walk.bytes().clone());
        }
    }

    pub(crate) fn is_compressed(&self, block: &Block) -> Result<bool, ReadError> {
        let is_open = block.segment.open_body().is_some();
        Ok(!is_open && self.table(&block.segment)?.compressed.is_some())
    }

    pub(crate) fn walk_in_memory(&self, block: &Block) -> Option<Walk> {
        self.blocks.get(&block.key()).map(|bytes| walk_of(block, bytes))
    }

    /// Returns a walk over several blocks of a segment, read at once.
    pub(crate) fn walk_to(&self, first: &Block, end: u64) -> Result<Walk, ReadError> {
        let bytes = self.read(&first.segment, first.entry.offset.get(), end)?;
        Ok(walk_of(first, bytes))
    }

    pub(crate) fn is_in_memory(&self, block: &Block) -> bool {
        self.blocks.contains_key(&block.key())
    }

    /// Returns where a block is stored, or of an open segment where its neighbourhood is: what was written at
    /// the same time is often read at the same time.
    pub(crate) fn stored(&self, block: &Block) -> Result<Option<FileRange>, ReadError> {
        let (segment, offset) = (&block.segment, block.entry.offset.get());
        let end = block.end.max(offset);
        let range = if segment.open_body().is_some() {
            let end = end.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(end);
            offset - offset % BLOCK_BYTES..end
        } else if let Some(compressed) = &self.table(segment)?.compressed {
            let Some(entry) = compressed.entries.get(block.index) else { return Ok(None) };
            let (at, length) = (entry.stored_at.get(), u64::from(entry.stored_bytes.get()));
            at..at.saturating_add(length)
        } else {
            offset..end
        };
        Ok(Some((self.file_of(segment)?, range)))
    }
}

fn walk_of(block: &Block, bytes: Bytes) -> Walk {
    let BlockEntry { first_position, offset, commit_min, .. } = block.entry;
    let salt = block.segment.salt;
    Walk::new(bytes, offset.get(), salt, first_position.get(), commit_min.get())
}
