use super::build::{Builder, Counts};
use super::layout::FileHead;
use super::run::Sink;
use crate::error::IndexError;
use crate::key::{Fingerprint, Key};

/// The content of an index file, sorted by key.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Keys with the ordinal of their first posting and growing offsets from the first position.
    pub lists: &'a [(Key, u64, Vec<u32>)],
    /// The keys and offsets of event ids.
    pub ids: &'a [(Key, u32)],
    /// Bytes that the index stores for its caller.
    pub attachment: &'a [u8],
}

/// Encodes a whole file. Returns no bytes if it would need 2^32 keys or a tebibyte of postings.
pub fn encode(head: FileHead, source: Source<'_>) -> Vec<u8> {
    write(Vec::new(), head, source).map(|(_, bytes)| bytes).unwrap_or_default()
}

fn write<S: Sink>(sink: S, head: FileHead, source: Source<'_>) -> Result<(u64, S), IndexError> {
    let Source { lists, ids, attachment } = source;
    let keys = Counts { lists: lists.len() as u64, ids: ids.len() as u64 };
    let mut builder = Builder::new(sink, head, keys)?;
    for (key, offset) in ids {
        builder.id(Fingerprint::of(key), *offset)?;
    }
    builder.begin_lists(keys.lists)?;
    for (key, ordinal, offsets) in lists {
        builder.postings(offsets.iter().copied())?;
        builder.end_list(*key, *ordinal)?;
    }
    builder.finish(attachment)
}
