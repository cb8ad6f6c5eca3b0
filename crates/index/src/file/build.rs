//! Lays out a file of version 2 while its keys come in order: first all singles, then all lists.
//!
//! Two runs of blocks are written side by side, each in order. The front has the entries: how many
//! lists there will be must be known when the first comes, so where the front ends is known, too,
//! and the back begins there with the postings. Filter and directories are in memory until the
//! end; they follow the postings. The header comes last, into the first block: a file that was not
//! finished is none.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::filter::Filter;
use super::layout::{
    BLOCK, FileHead, Header, ListEntry, MAGIC, PACKED, PAYLOAD, Section, SingleEntry, narrow,
};
use super::packer::Packer;
use super::places::Directory;
use super::run::{Run, Sink};
use crate::error::IndexError;
use crate::key::Key;

/// So much of a list is in memory.
const PACKED_AT_ONCE: usize = 1 << 16;

/// The first block is the header's.
const FRONT: u64 = 1;

/// How many keys a file has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) lists: u64,
    pub(crate) singles: u64,
}

/// A file in the making.
pub(crate) struct Builder<S> {
    sink: S,
    head: FileHead,
    filter: Filter,
    single_places: Directory,
    list_places: Directory,
    front: Run,
    back: Run,
    /// Where the back begins.
    back_at: u64,
    packer: Packer,
    /// Where the list at hand begins, in bytes of the postings.
    list_at: u64,
    found: Counts,
    expected_lists: u64,
}

impl<S: Sink> Builder<S> {
    /// Begins a file of just so many keys.
    pub(crate) fn new(sink: S, head: FileHead, keys: Counts) -> Result<Self, IndexError> {
        let filter = Filter::for_keys(keys.lists + keys.singles);
        Self::with_filter(sink, head, keys, filter)
    }

    /// Begins a file of at most so many keys.
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
            return Err(sink.unfit("there are more keys than fit in one file"));
        }
        Ok(Builder {
            sink,
            head,
            filter,
            single_places: Directory::for_at_most(keys.singles),
            list_places: Directory::for_at_most(0),
            front: Run::new(head.salt(), FRONT),
            back: Run::new(head.salt(), FRONT),
            back_at: FRONT * PAYLOAD as u64,
            packer: Packer::default(),
            list_at: 0,
            found: Counts::default(),
            expected_lists: 0,
        })
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> u64 {
        let blocks =
            self.front.blocks_from(FRONT) + self.back.blocks_from(self.back_at / PAYLOAD as u64);
        blocks * BLOCK as u64
    }

    pub(crate) fn single(&mut self, key: Key, offset: u32) -> Result<(), IndexError> {
        self.filter.add(&key);
        self.single_places.add(&key);
        self.found.singles += 1;
        let entry = SingleEntry { key, offset: offset.into() };
        self.front.write(entry.as_bytes(), &mut self.sink)
    }

    /// After all singles: just so many lists follow.
    pub(crate) fn begin_lists(&mut self, lists: u64) {
        self.expected_lists = lists;
        self.list_places = Directory::for_at_most(lists);
        let end = self.front.position() + lists * size_of::<ListEntry>() as u64;
        let number = end.div_ceil(PAYLOAD as u64);
        self.back = Run::new(self.head.salt(), number);
        self.back_at = self.back.position();
    }

    /// Adds postings to the list at hand.
    pub(crate) fn postings(
        &mut self,
        offsets: impl IntoIterator<Item = u32>,
    ) -> Result<(), IndexError> {
        offsets.into_iter().for_each(|offset| self.packer.push(offset));
        if self.packer.bytes().len() >= PACKED_AT_ONCE { self.take_packed() } else { Ok(()) }
    }

    /// Ends the list at hand, which is this key's.
    pub(crate) fn end_list(&mut self, key: Key, ordinal: u64) -> Result<(), IndexError> {
        let packed = self.packer.finish();
        self.take_packed()?;
        self.packer.restart();
        let at = if packed.count > 1 { self.list_at + packed.at } else { packed.at };
        self.list_at = self.back.position() - self.back_at;
        let (ordinal, at, count) = (narrow(ordinal), narrow(at), u32::try_from(packed.count));
        let (Some(ordinal), Some(at), Ok(count)) = (ordinal, at, count) else {
            return Err(self.sink.unfit("there are more postings than fit in one file"));
        };
        self.filter.add(&key);
        self.list_places.add(&key);
        self.found.lists += 1;
        let entry = ListEntry { key, ordinal, at, count: count.into() };
        self.front.write(entry.as_bytes(), &mut self.sink)
    }

    fn take_packed(&mut self) -> Result<(), IndexError> {
        self.back.write(self.packer.bytes(), &mut self.sink)?;
        self.packer.taken();
        Ok(())
    }

    /// Writes what is left; gives the file's length and where it went.
    pub(crate) fn finish(mut self, attachment: &[u8]) -> Result<(u64, S), IndexError> {
        if self.found.lists != self.expected_lists {
            return Err(self.sink.unfit("there are more or fewer lists than were counted"));
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
            list_places: section(&self.list_places.finish(), &mut self.back, &mut self.sink)?,
            single_places: section(&self.single_places.finish(), &mut self.back, &mut self.sink)?,
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
