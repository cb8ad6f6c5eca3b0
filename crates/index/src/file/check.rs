use std::sync::Arc;

use super::reader::IndexFile;
use super::scan::{Entries, Postings};
use crate::error::IndexError;
use crate::key::Key;

impl IndexFile {
    /// Checks every block; calls `visit` with each key's ordinal and all its positions.
    pub fn verify(
        self: &Arc<Self>,
        mut visit: impl FnMut(Key, u64, &[u64]),
    ) -> Result<(), IndexError> {
        let mut positions = Vec::new();
        let mut key_at_hand: Option<(Key, u64)> = None;
        self.verify_in_chunks(|key, ordinal, chunk| {
            match key_at_hand {
                Some((at_hand, _)) if at_hand == key && !chunk.is_empty() => {}
                _ => {
                    if let Some((key, ordinal)) = key_at_hand.replace((key, ordinal)) {
                        visit(key, ordinal, &positions);
                    }
                    positions.clear();
                }
            }
            positions.extend_from_slice(chunk);
        })?;
        if let Some((key, ordinal)) = key_at_hand {
            visit(key, ordinal, &positions);
        }
        Ok(())
    }

    /// Checks every block, and that lists and tables make sense; calls `visit` for each key, with
    /// some of its positions and the ordinal of the first of these: several times for a key that
    /// has many. Holds no list in memory.
    pub fn verify_in_chunks(
        self: &Arc<Self>,
        mut visit: impl FnMut(Key, u64, &[u64]),
    ) -> Result<(), IndexError> {
        self.check_blocks()?;
        let (mut entries, mut postings) = (Entries::new(self), Postings::new(self));
        let mut positions = Vec::new();
        while let Some(listed) = entries.list()? {
            let mut ordinal = listed.ordinal;
            postings.each_chunk::<IndexError>(&listed, |chunk| {
                positions.clear();
                positions.extend(chunk.iter().map(|offset| self.first() + u64::from(*offset)));
                visit(listed.key, ordinal, &positions);
                ordinal += chunk.len() as u64;
                Ok(())
            })?;
            if listed.count == 0 {
                visit(listed.key, ordinal, &[]);
            }
        }
        let mut entries = Entries::new(self);
        while let Some((key, offset)) = entries.single()? {
            visit(key, 0, &[self.first() + u64::from(offset)]);
        }
        Ok(())
    }
}
