use std::sync::Arc;

use crate::active::{ActivePart, ListExtent};
use crate::error::IndexError;
use crate::file::{Builder, Counts, FileHead, PIECE, Sink, Target};
use crate::key::Fingerprint;
use crate::set::IndexSet;

impl IndexSet {
    /// Encodes the index file of a part in memory. All older parts must be in this set.
    pub fn encode_part(
        &self,
        active: &Arc<ActivePart>,
        head: FileHead,
        attachment: &[u8],
    ) -> Result<Vec<u8>, IndexError> {
        self.seal_part(Vec::new(), active, head, attachment).map(|(_, bytes)| bytes)
    }

    /// Writes the index file of a part in memory, block by block, and returns the file's length.
    ///
    /// All older parts must be in this set. The caller syncs the file.
    pub fn write_part(
        &self,
        active: &Arc<ActivePart>,
        target: Target<'_>,
        attachment: &[u8],
    ) -> Result<u64, IndexError> {
        self.seal_part(target, active, target.head, attachment).map(|(length, _)| length)
    }

    fn seal_part<S: Sink>(
        &self,
        sink: S,
        active: &Arc<ActivePart>,
        head: FileHead,
        attachment: &[u8],
    ) -> Result<(u64, S), IndexError> {
        let snapshot = active.snapshot();
        let part = self.index_of(active).unwrap_or(self.parts().len());
        let (lists, ids) = (snapshot.lists.len() as u64, snapshot.ids.len() as u64);
        let mut builder = Builder::new(sink, head, Counts { lists, ids })?;
        for (key, offset) in snapshot.ids {
            builder.id(Fingerprint::of(&key), offset)?;
        }
        builder.begin_lists(lists)?;
        let mut chunk = Vec::with_capacity(PIECE);
        for ListExtent { key, ordinal, len } in snapshot.lists {
            let ordinal = match ordinal {
                Some(ordinal) => ordinal,
                None => self.next_ordinal(&key, part)?.saturating_sub(self.backfill_len(&key)?),
            };
            for from in (0..len).step_by(PIECE) {
                chunk.clear();
                active.copy(&key, from, PIECE.min(len - from), &mut chunk);
                builder.postings(chunk.iter().copied())?;
            }
            builder.end_list(key, ordinal)?;
        }
        builder.finish(attachment)
    }
}
