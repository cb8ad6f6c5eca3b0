use std::sync::Arc;

use bytes::Bytes;

use crate::error::ReadError;
use crate::format::BlockEntry;
use crate::frames::FrameView;
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

impl BlockAt {
    /// What it is known by in memory.
    fn key(&self) -> (u64, u32, u32) {
        (self.segment.id, self.segment.generation, self.index as u32)
    }
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
        let mut frames = self.shared.frames_of(segment)?;
        while let Some(frame) = frames.next()? {
            visit(frame);
        }
        Ok(())
    }

    /// Returns the first position whose commit time is not earlier, or one past the head.
    pub fn position_at_commit_time(&self, time: i64) -> Result<u64, ReadError> {
        let head = self.head().position;
        let segments = self.shared.segments.load_full();
        let first = self.shared.segment_at_commit_time(&segments, time)?;
        // What is in the first one may not be durable yet.
        for segment in segments.iter().skip(first) {
            let found = self.shared.with_blocks(segment, |blocks, _| {
                let found = blocks.partition_point(|block| block.commit_max.get() < time);
                (found < blocks.len()).then_some(found)
            })?;
            let Some(found) = found else { continue };
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
        Fetcher { log: self.clone(), current: None, misses: 0, announced: None }
    }
}

/// Fetches records by position; cheap when they lie near each other in ascending order.
pub struct Fetcher {
    log: Log,
    current: Option<(BlockAt, Walk)>,
    /// Blocks that had to be read from files.
    misses: u32,
    /// The segment and the number of the block that was announced last.
    announced: Option<(u64, usize)>,
}

impl Fetcher {
    /// How many blocks beyond the next one are worth announcing: none while all is in memory, and the
    /// more the longer it is not.
    pub fn ahead(&self) -> usize {
        /// More blocks at a time were read no faster.
        const MOST: usize = 16;
        if self.misses == 0 { 0 } else { MOST.min(1 << self.misses.min(MOST.ilog2())) }
    }

    /// Says that a position will be fetched soon, so that the system begins to read its block; whether
    /// it is another block than the last one. What is in the way is told when it is fetched.
    pub fn announce(&mut self, position: u64) -> bool {
        let shared = &self.log.shared;
        let Ok(Some(block)) = shared.block_with(position) else { return false };
        let place = Some((block.segment.id, block.index));
        if self.announced == place {
            return false;
        }
        self.announced = place;
        if !shared.blocks.contains_key(&block.key()) {
            _ = shared.announce(&block);
        }
        true
    }

    /// Whether a position comes a few records after the one that was fetched last.
    pub fn is_beside(&self, position: u64) -> bool {
        /// Stepping over so many records costs about as much as finding another block.
        const A_FEW: u64 = 8;
        let next = self.current.as_ref().map(|(_, walk)| walk.position());
        next.is_some_and(|next| (next..next + A_FEW).contains(&position))
    }

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
        let shared = &self.log.shared;
        let Some(block) = shared.block_with(position)? else { return Ok(None) };
        let mut walk = match shared.walk_in_memory(&block) {
            Some(walk) => walk,
            None => {
                self.misses = self.misses.saturating_add(1);
                shared.walk(&block)?
            }
        };
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
    walk.next_from(position).map_err(|what| {
        ReadError::Damaged(block.segment.damage(walk.offset(), walk.position(), what))
    })
}

impl Shared {
    /// Looks at a segment's blocks as they are now, and at where its durable frames end.
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

    /// The number of the last segment that begins at or before a position.
    pub(crate) fn segment_with(segments: &[Arc<Segment>], position: u64) -> Option<usize> {
        segments.partition_point(|segment| segment.first_position <= position).checked_sub(1)
    }

    /// The number of the first segment that ends at or after a commit time. Commit times never fall
    /// from one segment to the next, so half of the segments are left out at each step.
    fn segment_at_commit_time(
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
        self.with_blocks(segment, |blocks, _| {
            blocks.partition_point(|block| block.first_position.get() <= position).checked_sub(1)
        })
    }

    pub(crate) fn block(
        &self,
        segment: &Arc<Segment>,
        index: usize,
    ) -> Result<Option<BlockAt>, ReadError> {
        let open = segment.open_body().is_some();
        self.with_blocks(segment, |blocks, data_end| {
            let entry = *blocks.get(index).filter(|entry| entry.offset.get() < data_end)?;
            let next = blocks.get(index + 1).map(|next| next.offset.get());
            // What follows in an open segment may not be synced yet.
            let complete = next.map_or(!open, |next| next <= data_end);
            let end = next.unwrap_or(data_end).min(data_end);
            Some(BlockAt { segment: segment.clone(), index, entry, end, complete })
        })
    }

    /// A walk over a block, from memory where possible.
    pub(crate) fn walk(&self, block: &BlockAt) -> Result<Walk, ReadError> {
        if let Some(walk) = self.walk_in_memory(block) {
            return Ok(walk);
        }
        let bytes = self.read(&block.segment, block.entry.offset.get(), block.end)?;
        if block.complete && bytes.len() <= CACHED_BLOCK_LIMIT {
            self.blocks.insert(block.key(), bytes.clone());
        }
        Ok(walk_of(block, bytes))
    }

    fn walk_in_memory(&self, block: &BlockAt) -> Option<Walk> {
        self.blocks.get(&block.key()).map(|bytes| walk_of(block, bytes))
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
