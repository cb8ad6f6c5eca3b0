//! Finds a key in a file: by the filter, the directory, and a binary search of a few entries.

use std::sync::Arc;

use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes, transmute};

use super::layout::{ListEntry, ListInfo, PLAIN, PlainEntry, Section, SingleEntry};
use super::reader::IndexFile;
use super::{PIECE, PackedList, directory, filter};
use crate::error::IndexError;
use crate::key::Key;
use crate::list::{List, ListSource};

/// The most postings of a key. Ordinals below it can be added without overflow.
const MOST_ORDINALS: u64 = 1 << 56;

impl IndexFile {
    /// Returns the postings of a key.
    pub(crate) fn list(self: &Arc<Self>, key: &Key) -> Result<Option<List>, IndexError> {
        if !self.may_hold(key)? {
            return Ok(None);
        }
        let (directory, entries) = (self.header.list_directory, self.header.list_entries);
        let size = size_of::<ListEntry>();
        if let Some(at) = self.find([directory, entries], size, key)? {
            let info = self.read_list_info(at, |at, to| self.read(at, to))?;
            return self.bind(&info).map(Some);
        }
        Ok(None)
    }

    /// Returns the offset of an event id in a file before version 3.
    pub(super) fn find_single(&self, key: &Key) -> Result<Option<u32>, IndexError> {
        if !self.may_hold(key)? {
            return Ok(None);
        }
        let (directory, entries) = (self.header.id_directory, self.header.id_rests);
        let size = size_of::<SingleEntry>();
        let Some(at) = self.find([directory, entries], size, key)? else { return Ok(None) };
        let mut entry = SingleEntry::new_zeroed();
        self.read(at, entry.as_mut_bytes())?;
        self.checked(entry.offset.get()).map(Some)
    }

    /// Reads an entry of either version.
    pub(super) fn read_list_info(
        &self,
        at: u64,
        read: impl FnOnce(u64, &mut [u8]) -> Result<(), IndexError>,
    ) -> Result<ListInfo, IndexError> {
        let mut bytes = [0; size_of::<ListEntry>()];
        read(at, &mut bytes)?;
        let info = match self.version() {
            PLAIN => {
                let entry: PlainEntry = transmute!(bytes);
                ListInfo::from(entry)
            }
            _ => {
                let entry: ListEntry = transmute!(bytes);
                ListInfo::from(entry)
            }
        };
        let counts = u64::from(info.count) <= self.positions() && info.ordinal < MOST_ORDINALS;
        if counts { Ok(info) } else { Err(self.damaged(at, "a list is too long")) }
    }

    fn bind(self: &Arc<Self>, info: &ListInfo) -> Result<List, IndexError> {
        let source = match (self.version(), info.count) {
            (PLAIN, _) => {
                self.plain_section(info)?;
                ListSource::Plain(self.clone(), info.at as u32)
            }
            // An empty list has no posting to read.
            (_, 0) => ListSource::Single(0),
            (_, 1) => ListSource::Single(self.checked_wide(info.at)?),
            _ => ListSource::Packed(PackedList::open(self, info)?),
        };
        let (ordinal, len) = (Some(info.ordinal), info.count as usize);
        Ok(List { first: self.first(), ordinal, len, source })
    }

    /// Returns the section of a list of version 1.
    pub(super) fn plain_section(&self, info: &ListInfo) -> Result<Section, IndexError> {
        let Section { at, length } = self.header.postings;
        let section = Section::new(info.at * 4, u64::from(info.count) * 4);
        match section.end_within(length.get()) {
            Some(_) => Ok(Section::new(at.get() + info.at * 4, section.length.get())),
            None => Err(self.damaged(at.get(), "a list goes beyond the postings")),
        }
    }

    /// Replaces the content of `to` with a chunk of a list of version 1.
    pub(crate) fn plain_chunk(
        &self,
        at: u32,
        [from, count]: [usize; 2],
        to: &mut Vec<u32>,
    ) -> Result<(), IndexError> {
        let mut bytes = [0; PIECE * 4];
        let bytes = bytes.get_mut(..count * 4).unwrap_or_default();
        let start = self.header.postings.at.get() + (u64::from(at) + from as u64) * 4;
        self.read(start, bytes)?;
        to.clear();
        to.extend(bytes.as_chunks().0.iter().map(|offset| u32::from_le_bytes(*offset)));
        self.check_growing(to, start)
    }

    /// Returns a posting of a list of version 1.
    pub(crate) fn plain_offset(&self, at: u32, index: usize) -> Result<u32, IndexError> {
        let mut bytes = [0; 4];
        let start = self.header.postings.at.get() + (u64::from(at) + index as u64) * 4;
        self.read(start, &mut bytes)?;
        self.checked(u32::from_le_bytes(bytes))
    }

    /// An offset that lies in what the file covers.
    pub(super) fn checked(&self, offset: u32) -> Result<u32, IndexError> {
        self.checked_wide(offset.into())
    }

    pub(super) fn checked_wide(&self, offset: u64) -> Result<u32, IndexError> {
        let fitting = u32::try_from(offset).ok().filter(|_| offset < self.positions());
        let at = self.header.postings.at.get();
        fitting.ok_or_else(|| self.damaged(at, "a posting lies beyond what the file covers"))
    }

    pub(super) fn check_growing(&self, offsets: &[u32], at: u64) -> Result<(), IndexError> {
        if !offsets.is_sorted_by(|a, b| a < b) {
            return Err(self.damaged(at, "the postings of a list do not grow"));
        }
        offsets.last().map_or(Ok(()), |last| self.checked(*last).map(|_| ()))
    }

    fn may_hold(&self, key: &Key) -> Result<bool, IndexError> {
        let Section { at, length } = self.header.filter;
        let (number, mut bits) = filter::bits(key, length.get() / filter::PIECE as u64);
        let mut piece = [0; filter::PIECE];
        self.read(at.get() + number * filter::PIECE as u64, &mut piece)?;
        Ok(bits.all(|bit| filter::has(&piece, bit)))
    }

    /// Returns the range of entries in the bucket of a key, of at most `entries` entries. `high` has the
    /// key's first 64 bits.
    pub(super) fn bucket(
        &self,
        directory: &Section,
        high: u64,
        entries: u64,
    ) -> Result<[u64; 2], IndexError> {
        let bucket = directory::bucket_of(high, directory::buckets_in(directory));
        let at = directory.at.get() + bucket * directory::WIDTH;
        let mut ends = [0; 2 * directory::WIDTH as usize];
        self.read(at, &mut ends)?;
        let ends: [U32; 2] = transmute!(ends);
        let ends = ends.map(|end| u64::from(end.get()));
        if ends[1] > entries {
            return Err(self.damaged(at, "a directory points beyond the keys"));
        }
        Ok(ends)
    }

    /// Returns the position of a key's entry, in payload. Every entry begins with its key.
    fn find(
        &self,
        [directory, entries]: [Section; 2],
        size: usize,
        key: &Key,
    ) -> Result<Option<u64>, IndexError> {
        let size = size as u64;
        let [mut low, mut high] =
            self.bucket(&directory, key.high(), entries.length.get() / size)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let at = entries.at.get() + middle * size;
            let mut found = [0; size_of::<Key>()];
            self.read(at, &mut found)?;
            match found.cmp(&key.0) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(at)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }
}
