use std::sync::Arc;

use super::reader::IndexFile;
use super::scan::{Entries, Postings};
use crate::error::IndexError;
use crate::key::Key;

impl IndexFile {
    /// Checks every block and calls `visit` with each key's ordinal and all its positions.
    pub fn verify(
        self: &Arc<Self>,
        mut visit: impl FnMut(Key, u64, &[u64]),
    ) -> Result<(), IndexError> {
        let mut positions = Vec::new();
        let mut current: Option<(Key, u64)> = None;
        self.verify_in_chunks(|key, ordinal, chunk| {
            match current {
                Some((current, _)) if current == key && !chunk.is_empty() => {}
                _ => {
                    if let Some((key, ordinal)) = current.replace((key, ordinal)) {
                        visit(key, ordinal, &positions);
                    }
                    positions.clear();
                }
            }
            positions.extend_from_slice(chunk);
        })?;
        if let Some((key, ordinal)) = current {
            visit(key, ordinal, &positions);
        }
        Ok(())
    }

    /// Checks every block, list and table, without holding a whole list in memory.
    ///
    /// It calls `visit` with each key, some of its positions and the ordinal of the first of these:
    /// several times for a key with many positions.
    pub fn verify_in_chunks(
        self: &Arc<Self>,
        mut visit: impl FnMut(Key, u64, &[u64]),
    ) -> Result<(), IndexError> {
        self.check_blocks()?;
        let (mut entries, mut postings) = (Entries::new(self), Postings::new(self));
        let mut positions = Vec::new();
        while let Some(info) = entries.list()? {
            let mut ordinal = info.ordinal;
            postings.each_chunk::<IndexError>(&info, |chunk| {
                positions.clear();
                positions.extend(chunk.iter().map(|offset| self.first() + u64::from(*offset)));
                visit(info.key, ordinal, &positions);
                ordinal += chunk.len() as u64;
                Ok(())
            })?;
            if info.count == 0 {
                visit(info.key, ordinal, &[]);
            }
        }
        let mut entries = Entries::new(self);
        while let Some((key, offset)) = entries.single()? {
            visit(key, 0, &[self.first() + u64::from(offset)]);
        }
        Ok(())
    }
}
