//! Writes a file of version 3 from keys in order: first all event ids, then all lists.
//!
//! Two runs of blocks are written in parallel, each in order. The front holds the entries. The
//! number of lists must be known before the first list, so the end of the front is known, and the
//! back begins there with the postings. The filter, the tags of ids and the directories stay in
//! memory and follow the postings. The header is written last, into the first block, so an unfinished file is
//! invalid.

use zerocopy::IntoBytes;

use super::directory::Directory;
use super::filter::Filter;
use super::ids::IdWriter;
use super::layout::{
    BLOCK, FINGERPRINTS, FileHead, Header, ListEntry, MAGIC, PAYLOAD, Section, narrow,
};
use super::packer::Packer;
use super::run::{Run, Sink};
use crate::error::IndexError;
use crate::key::{Fingerprint, Key};

/// The most bytes of a list in memory.
const PACKED_AT_ONCE: usize = 1 << 16;

/// The first block is the header's.
const FRONT: u64 = 1;

/// The number of keys of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) lists: u64,
    /// Exact: it decides how ids are encoded.
    pub(crate) ids: u64,
}

/// A file under construction.
pub(crate) struct Builder<S> {
    sink: S,
    head: FileHead,
    filter: Filter,
    ids: IdWriter,
    list_directory: Directory,
    front: Run,
    back: Run,
    /// The start of the back, in payload.
    back_at: u64,
    packer: Packer,
    /// The start of the current list, in bytes of the postings.
    list_at: u64,
    found_lists: u64,
    expected: Counts,
    flags: u32,
}

impl<S: Sink> Builder<S> {
    /// Begins a file of exactly these numbers of keys; no list is that of an id.
    pub(crate) fn new(sink: S, head: FileHead, keys: Counts) -> Result<Self, IndexError> {
        Self::with_filter(sink, head, keys, Filter::for_keys(keys.lists), 0)
    }

    /// Begins a file of at most this number of lists.
    pub(super) fn at_most(
        sink: S,
        head: FileHead,
        keys: Counts,
        flags: u32,
    ) -> Result<Self, IndexError> {
        Self::with_filter(sink, head, keys, Filter::for_at_most(keys.lists), flags)
    }

    fn with_filter(
        sink: S,
        head: FileHead,
        keys: Counts,
        filter: Filter,
        flags: u32,
    ) -> Result<Self, IndexError> {
        if keys.lists.max(keys.ids) > u64::from(u32::MAX) {
            return Err(sink.unwritable("there are more keys than fit in one file"));
        }
        Ok(Builder {
            sink,
            head,
            filter,
            ids: IdWriter::new(&head, keys.ids),
            list_directory: Directory::for_at_most(0),
            front: Run::new(head.salt(), FRONT),
            back: Run::new(head.salt(), FRONT),
            back_at: FRONT * PAYLOAD as u64,
            packer: Packer::default(),
            list_at: 0,
            found_lists: 0,
            expected: keys,
            flags,
        })
    }

    /// Returns the number of bytes written.
    pub(super) fn written(&self) -> u64 {
        let blocks =
            self.front.blocks_from(FRONT) + self.back.blocks_from(self.back_at / PAYLOAD as u64);
        blocks * BLOCK as u64
    }

    /// Adds an event id. Fingerprints must not decrease; equal ones are all kept.
    pub(crate) fn id(&mut self, id: Fingerprint, offset: u32) -> Result<(), IndexError> {
        if u64::from(offset) >= self.head.positions() {
            return Err(self.sink.unwritable("an event id lies beyond what the file covers"));
        }
        self.ids.add(id, offset);
        if self.ids.rests().len() >= PACKED_AT_ONCE { self.write_ids() } else { Ok(()) }
    }

    fn write_ids(&mut self) -> Result<(), IndexError> {
        self.front.write(self.ids.rests(), &mut self.sink)?;
        self.ids.clear_written();
        Ok(())
    }

    /// Ends the ids; exactly `lists` lists must follow.
    pub(crate) fn begin_lists(&mut self, lists: u64) -> Result<(), IndexError> {
        if self.ids.count() != self.expected.ids {
            return Err(self.sink.unwritable("the number of ids differs from the announced one"));
        }
        self.ids.finish_rests();
        self.write_ids()?;
        self.expected.lists = lists;
        self.list_directory = Directory::for_at_most(lists);
        let end = self.front.position() + lists * size_of::<ListEntry>() as u64;
        let number = end.div_ceil(PAYLOAD as u64);
        self.back = Run::new(self.head.salt(), number);
        self.back_at = self.back.position();
        Ok(())
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
        self.list_directory.add(key.high());
        self.found_lists += 1;
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
        if self.found_lists != self.expected.lists {
            return Err(self.sink.unwritable("the number of lists differs from the announced one"));
        }
        let lists = self.found_lists * size_of::<ListEntry>() as u64;
        let (front, rests) = (FRONT * PAYLOAD as u64, self.ids.rests_length());
        let (id_directory, id_tags) = self.ids.finish();
        let header = Header {
            magic: MAGIC,
            version: FINGERPRINTS.into(),
            flags: self.flags.into(),
            store_id: self.head.store_id,
            id: self.head.id.into(),
            first: self.head.first.into(),
            last: self.head.last.into(),
            lists: self.found_lists.into(),
            ids: self.expected.ids.into(),
            id_rests: Section::new(front, rests),
            list_entries: Section::new(front + rests, lists),
            postings: Section::new(self.back_at, self.list_at),
            filter: section(&self.filter.finish(self.found_lists), &mut self.back, &mut self.sink)?,
            list_directory: section(&self.list_directory.finish(), &mut self.back, &mut self.sink)?,
            id_directory: section(&id_directory, &mut self.back, &mut self.sink)?,
            id_tags: section(&id_tags, &mut self.back, &mut self.sink)?,
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
