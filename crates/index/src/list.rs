use std::sync::Arc;

use crate::active::Active;
use crate::error::IndexError;
use crate::file::IndexFile;
use crate::key::Key;

/// The postings of a key in one part of the index.
#[derive(Clone)]
pub struct List {
    /// What the offsets count from.
    pub(crate) first: u64,
    /// The ordinal of its first posting, where the part knows it.
    pub(crate) ordinal: Option<u64>,
    pub(crate) len: usize,
    pub(crate) source: Origin,
}

#[derive(Clone)]
pub(crate) enum Origin {
    Active(Arc<Active>, Key),
    File(Arc<IndexFile>, u32),
    Single(u32),
}

impl List {
    /// Adds up to `count` offsets from an index on.
    pub(crate) fn copy(
        &self,
        from: usize,
        count: usize,
        to: &mut Vec<u32>,
    ) -> Result<(), IndexError> {
        let count = count.min(self.len.saturating_sub(from));
        if count == 0 {
            return Ok(());
        }
        match &self.source {
            Origin::Active(active, key) => active.copy(key, from, count, to),
            Origin::File(file, at) => return file.copy(*at as usize + from, count, to),
            Origin::Single(offset) => to.push(*offset),
        }
        Ok(())
    }

    /// The position of the posting at an index.
    pub(crate) fn position(&self, index: usize) -> Result<Option<u64>, IndexError> {
        let mut one = Vec::with_capacity(1);
        self.copy(index, 1, &mut one)?;
        Ok(one.first().map(|offset| self.first + u64::from(*offset)))
    }

    /// How many postings lie at or before a position.
    pub(crate) fn count_upto(&self, position: u64) -> Result<usize, IndexError> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.position(middle)? {
                Some(found) if found <= position => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}
