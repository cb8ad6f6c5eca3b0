//! How a file finds a key: the filter, the directory, then halving among a few entries.

use std::sync::Arc;

use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes, transmute};

use super::layout::{ListEntry, Listed, PLAIN, PlainEntry, Section, SingleEntry};
use super::reader::IndexFile;
use super::{PIECE, PackedList, filter, places};
use crate::error::IndexError;
use crate::key::Key;
use crate::list::{List, Origin};

/// More postings of one key there will never be; ordinals can be added without overflow.
const MOST_ORDINALS: u64 = 1 << 56;

impl IndexFile {
    /// The postings of a key.
    pub(crate) fn list(self: &Arc<Self>, key: &Key) -> Result<Option<List>, IndexError> {
        if !self.may_hold(key)? {
            return Ok(None);
        }
        let (places, entries) = (self.header.list_places, self.header.list_entries);
        let size = size_of::<ListEntry>();
        if let Some(at) = self.find([places, entries], size, key)? {
            let listed = self.listed(at, |at, to| self.read(at, to))?;
            return self.bind(&listed).map(Some);
        }
        let (places, entries) = (self.header.single_places, self.header.single_entries);
        let size = size_of::<SingleEntry>();
        let Some(at) = self.find([places, entries], size, key)? else { return Ok(None) };
        let mut entry = SingleEntry::new_zeroed();
        self.read(at, entry.as_mut_bytes())?;
        let source = Origin::Single(self.checked(entry.offset.get())?);
        Ok(Some(List { first: self.first(), ordinal: Some(0), len: 1, source }))
    }

    /// Reads an entry of either version.
    pub(super) fn listed(
        &self,
        at: u64,
        read: impl FnOnce(u64, &mut [u8]) -> Result<(), IndexError>,
    ) -> Result<Listed, IndexError> {
        let mut bytes = [0; size_of::<ListEntry>()];
        read(at, &mut bytes)?;
        let listed = match self.version() {
            PLAIN => {
                let entry: PlainEntry = transmute!(bytes);
                Listed::from(entry)
            }
            _ => {
                let entry: ListEntry = transmute!(bytes);
                Listed::from(entry)
            }
        };
        let counts = u64::from(listed.count) <= self.positions() && listed.ordinal < MOST_ORDINALS;
        if counts { Ok(listed) } else { Err(self.damaged(at, "a list is too long")) }
    }

    fn bind(self: &Arc<Self>, listed: &Listed) -> Result<List, IndexError> {
        let source = match (self.version(), listed.count) {
            (PLAIN, _) => {
                self.plain_section(listed)?;
                Origin::Plain(self.clone(), listed.at as u32)
            }
            // Where there is no posting, none is asked for.
            (_, 0) => Origin::Single(0),
            (_, 1) => Origin::Single(self.checked_wide(listed.at)?),
            _ => Origin::Packed(PackedList::open(self, listed)?),
        };
        let (ordinal, len) = (Some(listed.ordinal), listed.count as usize);
        Ok(List { first: self.first(), ordinal, len, source })
    }

    /// Where the postings of a list lie that is not packed.
    pub(super) fn plain_section(&self, listed: &Listed) -> Result<Section, IndexError> {
        let Section { at, length } = self.header.postings;
        let section = Section::new(listed.at * 4, u64::from(listed.count) * 4);
        match section.end_within(length.get()) {
            Some(_) => Ok(Section::new(at.get() + listed.at * 4, section.length.get())),
            None => Err(self.damaged(at.get(), "a list goes beyond the postings")),
        }
    }

    /// Puts a chunk of a list that is not packed in the place of what was there.
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

    /// A posting of a list that is not packed.
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

    /// Where the entry of a key is, in payload. Every entry begins with its key.
    fn find(
        &self,
        [places, entries]: [Section; 2],
        size: usize,
        key: &Key,
    ) -> Result<Option<u64>, IndexError> {
        let place = places::place_of(key, places::places_in(&places));
        let at = places.at.get() + place * places::WIDTH;
        let mut ends = [0; 2 * places::WIDTH as usize];
        self.read(at, &mut ends)?;
        let ends: [U32; 2] = transmute!(ends);
        let [mut low, mut high] = ends.map(|end| u64::from(end.get()));
        let size = size as u64;
        if high > entries.length.get() / size {
            return Err(self.damaged(at, "a directory points beyond the keys"));
        }
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
