//! Writes a file of version 2 from keys in order: first all singles, then all lists.
//!
//! Two runs of blocks are written in parallel, each in order. The front holds the entries. The
//! number of lists must be known before the first list, so the end of the front is known, and the
//! back begins there with the postings. The filter and the directories stay in memory and follow
//! the postings. The header is written last, into the first block, so an unfinished file is
//! invalid.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::directory::Directory;
use super::filter::Filter;
use super::layout::{
    BLOCK, FileHead, Header, ListEntry, MAGIC, PACKED, PAYLOAD, Section, SingleEntry, narrow,
};
use super::packer::Packer;
use super::run::{Run, Sink};
use crate::error::IndexError;
use crate::key::Key;

/// The most bytes of a list in memory.
const PACKED_AT_ONCE: usize = 1 << 16;

/// The first block is the header's.
const FRONT: u64 = 1;

/// The number of keys of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) lists: u64,
    pub(crate) singles: u64,
}

/// A file under construction.
pub(crate) struct Builder<S> {
    sink: S,
    head: FileHead,
    filter: Filter,
    single_directory: Directory,
    list_directory: Directory,
    front: Run,
    back: Run,
    /// The start of the back, in payload.
    back_at: u64,
    packer: Packer,
    /// The start of the current list, in bytes of the postings.
    list_at: u64,
    found: Counts,
    expected_lists: u64,
}

impl<S: Sink> Builder<S> {
    /// Begins a file of exactly these numbers of keys.
    pub(crate) fn new(sink: S, head: FileHead, keys: Counts) -> Result<Self, IndexError> {
        let filter = Filter::for_keys(keys.lists + keys.singles);
        Self::with_filter(sink, head, keys, filter)
    }

    /// Begins a file of at most these numbers of keys.
    pub(super) fn at_most(sink: S, head: FileHead, keys: Counts) -> Result<Self, IndexError> {
        let filter = Filter::for_at_most(keys.lists + keys.singles);
        Self::with_filter(sink, head, keys, filter)
    }

    fn with_filter(
        sink: S,
        head: FileHead,
        keys: Counts,
        filter: Filter,
    ) -> Result<Self, IndexError> {
        if keys.lists.max(keys.singles) > u64::from(u32::MAX) {
            return Err(sink.unwritable("there are more keys than fit in one file"));
        }
        Ok(Builder {
            sink,
            head,
            filter,
            single_directory: Directory::for_at_most(keys.singles),
            list_directory: Directory::for_at_most(0),
            front: Run::new(head.salt(), FRONT),
            back: Run::new(head.salt(), FRONT),
            back_at: FRONT * PAYLOAD as u64,
            packer: Packer::default(),
            list_at: 0,
            found: Counts::default(),
            expected_lists: 0,
        })
    }

    /// Returns the number of bytes written.
    pub(super) fn written(&self) -> u64 {
        let blocks =
            self.front.blocks_from(FRONT) + self.back.blocks_from(self.back_at / PAYLOAD as u64);
        blocks * BLOCK as u64
    }

    pub(crate) fn single(&mut self, key: Key, offset: u32) -> Result<(), IndexError> {
        self.filter.add(&key);
        self.single_directory.add(&key);
        self.found.singles += 1;
        let entry = SingleEntry { key, offset: offset.into() };
        self.front.write(entry.as_bytes(), &mut self.sink)
    }

    /// Ends the singles; exactly `lists` lists must follow.
    pub(crate) fn begin_lists(&mut self, lists: u64) {
        self.expected_lists = lists;
        self.list_directory = Directory::for_at_most(lists);
        let end = self.front.position() + lists * size_of::<ListEntry>() as u64;
        let number = end.div_ceil(PAYLOAD as u64);
        self.back = Run::new(self.head.salt(), number);
        self.back_at = self.back.position();
    }

    /// Adds postings to the current list.
    pub(crate) fn postings(
        &mut self,
        offsets: impl IntoIterator<Item = u32>,
    ) -> Result<(), IndexError> {
        offsets.into_iter().for_each(|offset| self.packer.push(offset));
        if self.packer.bytes().len() >= PACKED_AT_ONCE { self.write_packed() } else { Ok(()) }
    }

    /// Ends the current list and names its key.
    pub(crate) fn end_list(&mut self, key: Key, ordinal: u64) -> Result<(), IndexError> {
        let packed = self.packer.finish();
        self.write_packed()?;
        self.packer.restart();
        let at = if packed.count > 1 { self.list_at + packed.at } else { packed.at };
        self.list_at = self.back.position() - self.back_at;
        let (ordinal, at, count) = (narrow(ordinal), narrow(at), u32::try_from(packed.count));
        let (Some(ordinal), Some(at), Ok(count)) = (ordinal, at, count) else {
            return Err(self.sink.unwritable("there are more postings than fit in one file"));
        };
        self.filter.add(&key);
        self.list_directory.add(&key);
        self.found.lists += 1;
        let entry = ListEntry { key, ordinal, at, count: count.into() };
        self.front.write(entry.as_bytes(), &mut self.sink)
    }

    fn write_packed(&mut self) -> Result<(), IndexError> {
        self.back.write(self.packer.bytes(), &mut self.sink)?;
        self.packer.clear_written();
        Ok(())
    }

    /// Writes the rest of the file; returns its length and the sink.
    pub(crate) fn finish(mut self, attachment: &[u8]) -> Result<(u64, S), IndexError> {
        if self.found.lists != self.expected_lists {
            return Err(self.sink.unwritable("the number of lists differs from the announced one"));
        }
        let singles = self.found.singles * size_of::<SingleEntry>() as u64;
        let lists = self.found.lists * size_of::<ListEntry>() as u64;
        let front = FRONT * PAYLOAD as u64;
        let header = Header {
            magic: MAGIC,
            version: PACKED.into(),
            reserved: U32::ZERO,
            store_id: self.head.store_id,
            id: self.head.id.into(),
            first: self.head.first.into(),
            last: self.head.last.into(),
            lists: self.found.lists.into(),
            singles: self.found.singles.into(),
            single_entries: Section::new(front, singles),
            list_entries: Section::new(front + singles, lists),
            postings: Section::new(self.back_at, self.list_at),
            filter: section(
                &self.filter.finish(self.found.lists + self.found.singles),
                &mut self.back,
                &mut self.sink,
            )?,
            list_directory: section(&self.list_directory.finish(), &mut self.back, &mut self.sink)?,
            single_directory: section(
                &self.single_directory.finish(),
                &mut self.back,
                &mut self.sink,
            )?,
            attachment: section(attachment, &mut self.back, &mut self.sink)?,
        };
        self.front.finish(&mut self.sink)?;
        let blocks = self.back.finish(&mut self.sink)?;
        let mut first = Run::new(self.head.salt(), 0);
        first.write(header.as_bytes(), &mut self.sink)?;
        first.finish(&mut self.sink)?;
        Ok((blocks * BLOCK as u64, self.sink))
    }
}

fn section(bytes: &[u8], run: &mut Run, sink: &mut impl Sink) -> Result<Section, IndexError> {
    let at = run.position();
    run.write(bytes, sink)?;
    Ok(Section::new(at, bytes.len() as u64))
}
