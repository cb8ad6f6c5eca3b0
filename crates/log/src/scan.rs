use crate::error::ReadError;
use crate::format::BlockEntry;
use crate::log::Log;
use crate::reader::{Block, segment_index};
use crate::walk::{Record, Walk};

/// Neighbouring blocks are read together up to this many bytes.
const READ_AHEAD: u64 = 256 << 10;

pub use leftfold_api::Direction;

/// The range of a scan.
#[derive(Debug, Clone, Copy)]
pub struct ScanRange {
    /// The first position.
    pub from: u64,
    /// The last position; at most the durable head of the moment when the scan begins.
    pub to: u64,
    /// Blocks without a record time in this range (its end not included) may be skipped.
    pub times: Option<(i64, i64)>,
}

/// Reads a range of the log, record by record, with read-ahead.
pub struct Scan {
    log: Log,
    range: ScanRange,
    direction: Direction,
    forward: Option<Chunk>,
    backward: Vec<Record>,
}

/// Neighbouring blocks that were read at once.
struct Chunk {
    first: Block,
    walk: Walk,
    /// The first position after it that may have a record.
    next: u64,
}

impl Log {
    /// Reads a range of durable positions.
    pub fn scan(&self, mut range: ScanRange, direction: Direction) -> Scan {
        range.to = range.to.min(self.head().position);
        Scan { log: self.clone(), range, direction, forward: None, backward: Vec::new() }
    }
}

impl Scan {
    /// Returns the next record, or `None` at the end.
    #[expect(clippy::should_implement_trait, reason = "an error must not look like an item")]
    pub fn next(&mut self) -> Result<Option<Record>, ReadError> {
        match self.direction {
            Direction::Forward => self.next_forward(),
            Direction::Backward => self.next_backward(),
        }
    }

    fn next_forward(&mut self) -> Result<Option<Record>, ReadError> {
        while self.range.from <= self.range.to {
            let Some(chunk) = &mut self.forward else {
                if self.fill_forward()? {
                    continue;
                }
                return Ok(None);
            };
            if let Some(record) = chunk.first.next_record(&mut chunk.walk, self.range.from)? {
                self.range.from = record.position + 1;
                return Ok((record.position <= self.range.to).then_some(record));
            }
            self.range.from = self.range.from.max(chunk.next);
            self.forward = None;
        }
        Ok(None)
    }

    /// Reads the wanted blocks from `range.from` on, or moves on to the next segment; returns false if
    /// none follows.
    fn fill_forward(&mut self) -> Result<bool, ReadError> {
        let (segments, reader) = (self.log.catalog().segments(), self.log.reader());
        let Some(at) = segment_index(&segments, self.range.from) else { return Ok(false) };
        let after = segments.get(at + 1).map(|segment| segment.first_position);
        let mut index = reader.block_index(&segments[at], self.range.from)?.unwrap_or(0);
        let first = loop {
            match reader.block(&segments[at], index)? {
                Some(block) if self.wants(&block.entry) => break block,
                Some(_) => index += 1,
                None => {
                    self.range.from = after.unwrap_or(u64::MAX);
                    return Ok(after.is_some());
                }
            }
        };
        let (mut end, mut next) = (first.end, after.unwrap_or(u64::MAX));
        while let Some(block) = reader.block(&segments[at], index + 1)? {
            let full = end - first.entry.offset.get() >= READ_AHEAD
                || block.entry.first_position.get() > self.range.to;
            if full || !self.wants(&block.entry) {
                next = block.entry.first_position.get();
                break;
            }
            (end, index) = (block.end, index + 1);
        }
        let walk = reader.walk_to(&first, end)?;
        self.forward = Some(Chunk { first, walk, next });
        Ok(true)
    }

    fn wants(&self, block: &BlockEntry) -> bool {
        self.range
            .times
            .is_none_or(|(from, to)| block.time_min.get() < to && block.time_max.get() >= from)
    }

    fn next_backward(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            if let Some(record) = self.backward.pop() {
                self.range.to = record.position - 1;
                return Ok((record.position >= self.range.from).then_some(record));
            }
            if self.range.to == 0 || self.range.from > self.range.to || !self.fill_backward()? {
                return Ok(None);
            }
        }
    }

    /// Reads the blocks that end with `range.to`; returns false if there are none.
    fn fill_backward(&mut self) -> Result<bool, ReadError> {
        let (segments, reader) = (self.log.catalog().segments(), self.log.reader());
        let Some(at) = segment_index(&segments, self.range.to) else { return Ok(false) };
        let segment = &segments[at];
        let last = reader.block_index(segment, self.range.to)?;
        let Some(last) = last.map_or(Ok(None), |last| reader.block(segment, last))? else {
            self.range.to = segment.first_position - 1;
            return Ok(true);
        };
        if !self.wants(&last.entry) {
            self.range.to = last.entry.first_position.get() - 1;
            return Ok(true);
        }
        let end = last.end;
        let mut start = last;
        while start.index > 0 && end - start.entry.offset.get() < READ_AHEAD {
            match reader.block(segment, start.index - 1)? {
                Some(block) if self.wants(&block.entry) => start = block,
                _ => break,
            }
        }
        let mut walk = reader.walk_to(&start, end)?;
        while let Some(record) = start.next_record(&mut walk, 0)? {
            if record.position <= self.range.to {
                self.backward.push(record);
            }
        }
        if self.backward.is_empty() {
            self.range.to = start.entry.first_position.get() - 1;
        }
        Ok(true)
    }
}
