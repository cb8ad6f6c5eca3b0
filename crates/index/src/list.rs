use std::sync::Arc;

use crate::active::ActivePart;
use crate::error::IndexError;
use crate::file::{IndexFile, PIECE, PackedList};
use crate::key::Key;

/// The postings of a key in one part of the index.
///
/// They are read in chunks: the pieces of a packed list, or the same number of postings of others.
#[derive(Clone)]
pub struct List {
    /// The position that offsets count from.
    pub(crate) first: u64,
    /// The ordinal of the first posting, if the part knows it.
    pub(crate) ordinal: Option<u64>,
    pub(crate) len: usize,
    pub(crate) source: ListSource,
}

#[derive(Clone)]
pub(crate) enum ListSource {
    Active(Arc<ActivePart>, Key),
    /// In a file of version 1.
    Plain(Arc<IndexFile>, u32),
    Packed(PackedList),
    Single(u32),
}

impl List {
    pub(crate) fn chunks(&self) -> usize {
        self.len.div_ceil(PIECE)
    }

    /// Replaces the content of `to` with the offsets of a chunk.
    pub(crate) fn chunk(&self, number: usize, to: &mut Vec<u32>) -> Result<(), IndexError> {
        to.clear();
        let from = number * PIECE;
        let count = self.len.saturating_sub(from).min(PIECE);
        if count == 0 {
            return Ok(());
        }
        match &self.source {
            ListSource::Active(active, key) => active.copy(key, from, count, to),
            ListSource::Plain(file, at) => return file.plain_chunk(*at, [from, count], to),
            ListSource::Packed(list) => return list.chunk(number, to),
            ListSource::Single(offset) => to.push(*offset),
        }
        Ok(())
    }

    /// Returns the first offset of an existing chunk.
    pub(crate) fn leader(&self, number: usize) -> Result<u32, IndexError> {
        let index = number * PIECE;
        match &self.source {
            ListSource::Active(active, key) => Ok(active.offset(key, index).unwrap_or(u32::MAX)),
            ListSource::Plain(file, at) => file.plain_offset(*at, index),
            ListSource::Packed(list) => list.leader(number),
            ListSource::Single(offset) => Ok(*offset),
        }
    }

    /// Returns the position of the posting at an index.
    pub(crate) fn position(&self, index: usize) -> Result<Option<u64>, IndexError> {
        if index >= self.len {
            return Ok(None);
        }
        let offset = match &self.source {
            ListSource::Active(active, key) => active.offset(key, index),
            ListSource::Plain(file, at) => Some(file.plain_offset(*at, index)?),
            ListSource::Packed(list) if index == 0 => Some(list.first),
            ListSource::Packed(list) if index == self.len - 1 => Some(list.last),
            ListSource::Packed(list) => {
                let mut chunk = Vec::with_capacity(PIECE);
                list.chunk(index / PIECE, &mut chunk)?;
                chunk.get(index % PIECE).copied()
            }
            ListSource::Single(offset) => Some(*offset),
        };
        Ok(offset.map(|offset| self.first + u64::from(offset)))
    }

    /// Returns the number of postings at or before a position.
    pub(crate) fn count_upto(&self, position: u64) -> Result<usize, IndexError> {
        let Some(limit) = position.checked_sub(self.first) else { return Ok(0) };
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        if matches!(&self.source, ListSource::Packed(list) if list.last <= limit) {
            return Ok(self.len);
        }
        let Some(number) = self.last_led(limit, [0, self.chunks()])? else { return Ok(0) };
        let mut chunk = Vec::with_capacity(PIECE);
        self.chunk(number, &mut chunk)?;
        Ok(number * PIECE + chunk.partition_point(|offset| *offset <= limit))
    }

    /// Returns the last chunk of a range whose first offset is at most `limit`.
    pub(crate) fn last_led(
        &self,
        limit: u32,
        [mut low, mut high]: [usize; 2],
    ) -> Result<Option<usize>, IndexError> {
        let start = low;
        while low < high {
            let middle = low + (high - low) / 2;
            if self.leader(middle)? <= limit {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1).filter(|found| *found >= start))
    }
}
