//! Reads a whole file in the order of its keys.

use std::sync::Arc;

use zerocopy::{FromZeros, IntoBytes};

use super::layout::{ListEntry, ListInfo, PLAIN, SingleEntry, TableEntry, TableHead};
use super::packed::inner_count;
use super::read_ahead::ReadAhead;
use super::reader::IndexFile;
use super::{PIECE, piece, varint};
use crate::error::IndexError;
use crate::key::Key;

/// The entries of a file, lists or (before version 3) singles.
pub(super) struct Entries {
    file: Arc<IndexFile>,
    ahead: ReadAhead,
    next: u64,
    last: Option<Key>,
}

impl Entries {
    pub(super) fn new(file: &Arc<IndexFile>) -> Self {
        Entries { file: file.clone(), ahead: ReadAhead::default(), next: 0, last: None }
    }

    /// Returns the next list entry.
    pub(super) fn list(&mut self) -> Result<Option<ListInfo>, IndexError> {
        let header = &self.file.header;
        if self.next == header.lists.get() {
            return Ok(None);
        }
        let at = header.list_entries.at.get() + self.next * size_of::<ListEntry>() as u64;
        let info = self.file.read_list_info(at, |at, to| self.ahead.read(&self.file, at, to))?;
        self.pass(info.key, at)?;
        Ok(Some(info))
    }

    /// Returns the next single.
    pub(super) fn single(&mut self) -> Result<Option<(Key, u32)>, IndexError> {
        let header = &self.file.header;
        if self.next == header.ids.get() {
            return Ok(None);
        }
        let at = header.id_rests.at.get() + self.next * size_of::<SingleEntry>() as u64;
        let mut entry = SingleEntry::new_zeroed();
        self.ahead.read(&self.file, at, entry.as_mut_bytes())?;
        self.pass(entry.key, at)?;
        Ok(Some((entry.key, self.file.checked(entry.offset.get())?)))
    }

    fn pass(&mut self, key: Key, at: u64) -> Result<(), IndexError> {
        if self.last.is_some_and(|last| last >= key) {
            return Err(self.file.damaged(at, "its keys are not in order"));
        }
        self.last = Some(key);
        self.next += 1;
        Ok(())
    }
}

/// The postings of a file, list by list.
pub(super) struct Postings {
    file: Arc<IndexFile>,
    ahead: ReadAhead,
    /// The start of the next packed list, in payload; the lists are contiguous.
    at: u64,
    chunk: Vec<u32>,
}

impl Postings {
    pub(super) fn new(file: &Arc<IndexFile>) -> Self {
        let (ahead, at) = (ReadAhead::default(), file.header.postings.at.get());
        Postings { file: file.clone(), ahead, at, chunk: Vec::with_capacity(PIECE) }
    }

    /// Passes the postings of the next list to `visit`, at most [`PIECE`] per call.
    pub(super) fn each_chunk<E: From<IndexError>>(
        &mut self,
        info: &ListInfo,
        mut visit: impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        match (self.file.version(), info.count) {
            (_, 0) => Ok(()),
            (PLAIN, _) => self.plain(info, visit),
            (_, 1) => visit(&[self.file.checked_wide(info.at)?]),
            _ => self.packed(info, visit),
        }
    }

    fn plain<E: From<IndexError>>(
        &mut self,
        info: &ListInfo,
        mut visit: impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let section = self.file.plain_section(info)?;
        let (mut at, mut left) = (section.at.get(), info.count as usize);
        let mut last = None;
        while left > 0 {
            let mut bytes = [0; PIECE * 4];
            let bytes = bytes.get_mut(..left.min(PIECE) * 4).unwrap_or_default();
            self.ahead.read(&self.file, at, bytes)?;
            self.chunk.clear();
            self.chunk.extend(bytes.as_chunks().0.iter().map(|o| u32::from_le_bytes(*o)));
            self.file.check_growing(&self.chunk, at)?;
            if last >= self.chunk.first().copied() {
                return Err(self.file.damaged(at, "the postings of a list do not grow").into());
            }
            last = self.chunk.last().copied();
            visit(&self.chunk)?;
            (at, left) = (at + bytes.len() as u64, left - self.chunk.len());
        }
        Ok(())
    }

    fn packed<E: From<IndexError>>(
        &mut self,
        info: &ListInfo,
        mut visit: impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (start, count) = (self.at, info.count as usize);
        let mut first = self.varint()?;
        let (mut left, mut table) = (count, Table::default());
        while left > 0 {
            let end = self.piece(first, left, start, &mut table)?;
            visit(&self.chunk)?;
            first = end;
            left = left.saturating_sub(PIECE);
        }
        let listed_at = self.file.header.postings.at.get() + info.at;
        let found_at = if count > PIECE { self.at } else { start };
        if listed_at != found_at {
            return Err(self
                .file
                .damaged(start, "a list is not at the offset of its entry")
                .into());
        }
        if count > PIECE {
            let last = self.chunk.last().copied().unwrap_or_default();
            self.table(start, last, table)?;
        }
        Ok(())
    }

    /// Reads a piece; returns the first posting of the next piece, or the list's last posting.
    fn piece(
        &mut self,
        first: u32,
        left: usize,
        start: u64,
        table: &mut Table,
    ) -> Result<u32, IndexError> {
        self.chunk.clear();
        self.chunk.push(self.file.checked(first)?);
        if left == 1 {
            table.add(first, self.at - start);
            return Ok(first);
        }
        let (width, count) = (self.varint()?, inner_count(left));
        table.add(first, self.at - start);
        let mut bits = [0; piece::MOST_BYTES];
        let length = piece::bytes_of(count, width) as usize;
        let bits = bits.get_mut(..length).unwrap_or_default();
        self.take(bits)?;
        let end = self.file.checked_wide(u64::from(first) + u64::from(width) + 1)?;
        if !piece::decode(bits, count, width, first + 1, &mut self.chunk) {
            return Err(self.file.damaged(self.at, "a list makes no sense"));
        }
        if left <= PIECE {
            self.chunk.push(end);
        }
        Ok(end)
    }

    /// Reads a list's table, which must match the pieces.
    fn table(&mut self, start: u64, last: u32, expected: Table) -> Result<(), IndexError> {
        let before = self.at - start;
        let mut head = TableHead::new_zeroed();
        self.take(head.as_mut_bytes())?;
        let mut crc = 0;
        for _ in 0..expected.entries {
            let mut entry = TableEntry::new_zeroed();
            self.take(entry.as_mut_bytes())?;
            crc = crc32c::crc32c_append(crc, entry.as_bytes());
        }
        let same = u64::from(head.before.get()) == before && head.last.get() == last;
        if same && crc == expected.crc {
            return Ok(());
        }
        Err(self.file.damaged(self.at, "the table of a list is not that of its pieces"))
    }

    fn varint(&mut self) -> Result<u32, IndexError> {
        let mut bytes = [0; varint::MOST_BYTES];
        let n = self.left().min(bytes.len() as u64) as usize;
        let bytes = bytes.get_mut(..n).unwrap_or_default();
        self.ahead.read(&self.file, self.at, bytes)?;
        let found = varint::read(bytes);
        let Some((number, length)) = found else {
            return Err(self.file.damaged(self.at, "a list makes no sense"));
        };
        self.at += length as u64;
        Ok(number)
    }

    fn take(&mut self, to: &mut [u8]) -> Result<(), IndexError> {
        if self.left() < to.len() as u64 {
            return Err(self.file.damaged(self.at, "a list goes beyond the postings"));
        }
        self.ahead.read(&self.file, self.at, to)?;
        self.at += to.len() as u64;
        Ok(())
    }

    fn left(&self) -> u64 {
        let postings = self.file.header.postings;
        (postings.at.get() + postings.length.get()).saturating_sub(self.at)
    }
}

/// The expected table of a list. It may be long, so only its checksum is stored.
#[derive(Default)]
struct Table {
    entries: usize,
    crc: u32,
}

impl Table {
    fn add(&mut self, first: u32, at: u64) {
        let entry = TableEntry { first: first.into(), at: (at as u32).into() };
        self.crc = crc32c::crc32c_append(self.crc, entry.as_bytes());
        self.entries += 1;
    }
}
