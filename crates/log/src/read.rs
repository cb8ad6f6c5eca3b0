use std::ops::Range;

use crate::error::ReadError;
use crate::frames::FrameView;
use crate::log::Log;
use crate::prefetch::Prefetches;
use crate::reader::Block;
use crate::walk::{Record, Walk};

impl Log {
    /// Calls `visit` with every durable frame of a segment, in order; checks all checksums.
    pub fn each_frame(
        &self,
        segment: u64,
        mut visit: impl FnMut(FrameView),
    ) -> Result<(), ReadError> {
        let Some(segment) = self.catalog().segment(segment) else { return Ok(()) };
        let mut frames = self.reader().frames_of(&segment)?;
        frames.expect_term(self.catalog().manifest.term());
        while let Some(frame) = frames.next()? {
            visit(frame);
        }
        Ok(())
    }

    /// Returns the first position whose commit time is not earlier, or one past the head.
    pub fn position_at_commit_time(&self, time: i64) -> Result<u64, ReadError> {
        let head = self.head().position;
        let (segments, reader) = (self.catalog().segments(), self.reader());
        let first = reader.segment_at_commit_time(&segments, time)?;
        // What is in the first one may not be durable yet.
        for segment in segments.iter().skip(first) {
            let found = reader.with_blocks(segment, |blocks, _| {
                let found = blocks.partition_point(|block| block.commit_max.get() < time);
                (found < blocks.len()).then_some(found)
            })?;
            let Some(found) = found else { continue };
            let Some(block) = reader.block(segment, found)? else { continue };
            let mut walk = reader.walk(&block)?;
            while let Some(record) = block.next_record(&mut walk, 0)? {
                if record.commit_time >= time || record.position > head {
                    return Ok(record.position.min(head + 1));
                }
            }
        }
        Ok(head + 1)
    }

    /// Returns a reader of records by position.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher {
            log: self.clone(),
            current: None,
            is_kept: false,
            misses: 0,
            announced: 0..0,
            prefetches: Prefetches::default(),
        }
    }
}

/// Fetches records by position; cheap when they lie near each other in ascending order.
pub struct Fetcher {
    log: Log,
    current: Option<(Block, Walk)>,
    /// Whether the current block is in the cache, or was offered to it: one that is too long, or grows, stays out.
    is_kept: bool,
    /// Blocks that had to be read from files.
    misses: u32,
    /// The positions of the block that was announced last, as far as they are known.
    announced: Range<u64>,
    prefetches: Prefetches,
}

impl Fetcher {
    /// Returns how many blocks had to be read from files.
    pub fn misses(&self) -> u32 {
        self.misses
    }

    /// Whether the block with a position is in memory.
    pub fn holds(&self, position: u64) -> bool {
        if self.current.as_ref().is_some_and(|(block, _)| block.holds(position)) {
            return true;
        }
        self.block_with(position).is_some_and(|block| self.log.reader().is_in_memory(&block))
    }

    /// Whether a position lies in the block that was announced last.
    pub fn is_announced(&self, position: u64) -> bool {
        self.announced.contains(&position)
    }

    /// Announces that a position will be fetched soon; returns whether that is another block than the
    /// last one. The system is told by [`begin_announced`](Self::begin_announced). Errors come when the
    /// position is fetched.
    pub fn announce(&mut self, position: u64) -> bool {
        if self.is_announced(position) {
            return false;
        }
        let Some(block) = self.block_with(position) else { return false };
        let first = block.entry.first_position.get();
        let is_new = self.announced.start != first;
        // What is added to the last block of a segment belongs to it.
        self.announced = first..block.next_position.unwrap_or(position).max(position + 1);
        let reader = self.log.reader();
        if is_new
            && !reader.is_in_memory(&block)
            && let Ok(Some(range)) = reader.stored(&block)
        {
            self.prefetches.add(range);
        }
        is_new
    }

    /// Lets the system begin to read what was announced, if it is more than one block. A single one is
    /// about to be read anyway.
    pub fn begin_announced(&mut self) {
        self.prefetches.begin();
    }

    fn block_with(&self, position: u64) -> Option<Block> {
        let segments = self.log.catalog().segments();
        self.log.reader().block_with(&segments, position).ok().flatten()
    }

    /// Whether a position is a few records after the one that was fetched last, and its block in memory.
    pub fn is_beside(&self, position: u64) -> bool {
        /// Stepping over this many records costs about as much as finding another block.
        const A_FEW: u64 = 8;
        let next = self.current.as_ref().map(|(_, walk)| walk.position());
        let is_near = |next: u64| (next..next.saturating_add(A_FEW)).contains(&position);
        next.is_some_and(is_near) && self.holds(position)
    }

    /// Whether the record that was fetched last is in a block that grows. Such a block is not kept in memory.
    pub fn is_in_growing_block(&self) -> bool {
        self.current.as_ref().is_some_and(|(block, _)| !block.complete)
    }

    /// Whether the records from one position to another were written by one append.
    pub fn is_one_append(&mut self, first: u64, last: u64) -> Result<bool, ReadError> {
        for position in first + 1..=last {
            if self.get(position)?.is_none_or(|record| record.begins_frame) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the record at a durable position, or `None`.
    pub fn get(&mut self, position: u64) -> Result<Option<Record>, ReadError> {
        if position == 0 || position > self.log.head().position {
            return Ok(None);
        }
        if let Some((block, walk)) = &mut self.current
            && walk.position() <= position
            && let Some(record) = block.next_record(walk, position)?
            && record.position == position
        {
            if !std::mem::replace(&mut self.is_kept, true) {
                self.log.reader().keep(block, walk);
            }
            return Ok(Some(record));
        }
        self.current = None;
        let reader = self.log.reader();
        let block = reader.block_with(&self.log.catalog().segments(), position)?;
        let Some(block) = block else { return Ok(None) };
        self.is_kept = true;
        let mut walk = match reader.walk_in_memory(&block) {
            Some(walk) => walk,
            None => {
                self.misses = self.misses.saturating_add(1);
                // Of a block that is not compressed, a single record is found as fast in the system's memory.
                self.is_kept = reader.is_compressed(&block)?;
                match self.is_kept {
                    true => reader.walk(&block)?,
                    false => reader.walk_once(&block)?,
                }
            }
        };
        let record = block.next_record(&mut walk, position)?;
        self.current = Some((block, walk));
        Ok(record.filter(|record| record.position == position))
    }
}
