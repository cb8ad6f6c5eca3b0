use std::sync::Arc;

use super::ids::Ids;
use super::reader::IndexFile;
use super::scan::{Entries, Postings};
use crate::error::IndexError;
use crate::key::{Fingerprint, Key};

/// What a file holds of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexEntry<'a> {
    /// Positions of a key's list.
    List {
        /// The key.
        key: Key,
        /// The ordinal of the first of the positions.
        ordinal: u64,
        /// The positions.
        positions: &'a [u64],
    },
    /// The position of an event id.
    Id {
        /// The fingerprint of the key of the id in its stream.
        fingerprint: Fingerprint,
        /// The position.
        position: u64,
    },
}

impl IndexFile {
    /// Checks every block and calls `visit` with each list as a whole, then with each id.
    pub fn verify(
        self: &Arc<Self>,
        mut visit: impl FnMut(IndexEntry<'_>),
    ) -> Result<(), IndexError> {
        self.check_blocks()?;
        let mut positions = Vec::new();
        let mut current: Option<(Key, u64)> = None;
        self.each_chunk(|key, ordinal, chunk| {
            match current {
                Some((current, _)) if current == key && !chunk.is_empty() => {}
                _ => {
                    if let Some((key, ordinal)) = current.replace((key, ordinal)) {
                        visit(IndexEntry::List { key, ordinal, positions: &positions });
                    }
                    positions.clear();
                }
            }
            positions.extend_from_slice(chunk);
        })?;
        if let Some((key, ordinal)) = current {
            visit(IndexEntry::List { key, ordinal, positions: &positions });
        }
        self.each_id(visit)
    }

    /// Checks every block, list, table and id, without holding a whole list in memory.
    ///
    /// It calls `visit` with some positions of a list at a time, and with the ordinal of the first of
    /// these: several times for a key with many positions.
    pub fn verify_in_chunks(
        self: &Arc<Self>,
        mut visit: impl FnMut(IndexEntry<'_>),
    ) -> Result<(), IndexError> {
        self.check_blocks()?;
        self.each_chunk(|key, ordinal, positions| {
            visit(IndexEntry::List { key, ordinal, positions });
        })?;
        self.each_id(visit)
    }

    /// Calls `visit` with each key, the ordinal of a chunk of its list, and the chunk's positions.
    fn each_chunk(
        self: &Arc<Self>,
        mut visit: impl FnMut(Key, u64, &[u64]),
    ) -> Result<(), IndexError> {
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
        Ok(())
    }

    fn each_id(self: &Arc<Self>, mut visit: impl FnMut(IndexEntry<'_>)) -> Result<(), IndexError> {
        let mut ids = Ids::new(self);
        while let Some((fingerprint, offset)) = ids.next()? {
            let position = self.first() + u64::from(offset);
            visit(IndexEntry::Id { fingerprint, position });
        }
        Ok(())
    }
}
