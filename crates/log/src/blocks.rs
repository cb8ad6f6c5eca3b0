use crate::format::{BlockEntry, RecordPrefix};
use crate::frames::FrameView;

/// A block of a sealed segment is closed at the first record boundary after this many bytes. A cold read of
/// one record reads one block.
pub(crate) const BLOCK_BYTES: u64 = 16 << 10;

/// A block of a segment that is not sealed: shorter, because it is not compressed, and its entry is not
/// stored.
const OPEN_BLOCK_BYTES: u64 = 4 << 10;

/// The blocks of a segment that is not sealed, including those at its end that are not durable yet.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    /// A block is closed after this many bytes.
    block_bytes: u64,
    pub(crate) entries: Vec<BlockEntry>,
    pub(crate) records: u64,
    pub(crate) frames: u64,
    pub(crate) last_position: u64,
    pub(crate) commit_max: i64,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks::closed_after(OPEN_BLOCK_BYTES)
    }
}

impl Blocks {
    pub(crate) fn closed_after(block_bytes: u64) -> Self {
        let (entries, last_position, commit_max) = (Vec::new(), 0, 0);
        Blocks { block_bytes, entries, records: 0, frames: 0, last_position, commit_max }
    }

    /// Returns the blocks of the sealed segment: neighbours of these joined.
    pub(crate) fn sealed(&self) -> Vec<BlockEntry> {
        let mut joined: Vec<BlockEntry> = Vec::new();
        for block in &self.entries {
            match joined.last_mut() {
                Some(last) if block.offset.get() - last.offset.get() < BLOCK_BYTES => {
                    last.commit_max = block.commit_max;
                    last.time_min = last.time_min.get().min(block.time_min.get()).into();
                    last.time_max = last.time_max.get().max(block.time_max.get()).into();
                }
                _ => joined.push(*block),
            }
        }
        joined
    }

    /// Lets the first block begin here, with the frames before its first record; adds one if there
    /// are only such frames.
    pub(crate) fn begin_at(&mut self, offset: u64, position: u64, content: bool) {
        match self.entries.first_mut() {
            Some(first) => first.offset = offset.into(),
            None if content => {
                self.note(position, offset, self.commit_max, self.commit_max);
                self.records = 0;
            }
            None => {}
        }
    }

    /// Adds a record. If it opens a block, that begins at this offset.
    pub(crate) fn note(&mut self, position: u64, offset: u64, commit: i64, time: i64) {
        self.records += 1;
        self.last_position = position;
        match self.entries.last_mut() {
            Some(block) if offset - block.offset.get() < self.block_bytes => {
                block.commit_max = commit.into();
                block.time_min = block.time_min.get().min(time).into();
                block.time_max = block.time_max.get().max(time).into();
            }
            _ => self.entries.push(BlockEntry {
                first_position: position.into(),
                offset: offset.into(),
                commit_min: commit.into(),
                commit_max: commit.into(),
                time_min: time.into(),
                time_max: time.into(),
            }),
        }
    }

    /// Adds a whole frame.
    pub(crate) fn note_frame(&mut self, frame: &FrameView) {
        self.frames += 1;
        self.commit_max = frame.header.commit_time.get();
        let mut offset = frame.offset;
        let mut next = frame.offset + frame.header.to_records() as u64;
        for record in &frame.records {
            self.note(record.position, offset, record.commit_time, record.time);
            next += RecordPrefix::SIZE as u64 + record.bytes.len() as u64;
            offset = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_of_a_sealed_segment_are_joined_from_those_before() {
        let mut blocks = Blocks::default();
        for n in 0..100 {
            // Each record is as long as a block.
            let (position, offset) = (n + 1, n * OPEN_BLOCK_BYTES);
            blocks.note(position, offset, position as i64, 100 - n as i64);
        }
        assert_eq!(blocks.entries.len(), 100);
        let sealed = blocks.sealed();
        assert_eq!(sealed.len(), 25);
        for (n, block) in (0..).zip(&sealed) {
            let first = 4 * n + 1;
            assert_eq!(block.first_position.get(), first);
            assert_eq!(block.offset.get(), n * BLOCK_BYTES);
            let commits = (block.commit_min.get(), block.commit_max.get());
            assert_eq!(commits, (first as i64, first as i64 + 3));
            let times = (block.time_min.get(), block.time_max.get());
            assert_eq!(times, (101 - first as i64 - 3, 101 - first as i64));
        }
    }
}
