use std::sync::Arc;

use super::shape::{IdShape, TAG_BITS};
use crate::error::IndexError;
use crate::file::PIECE;
use crate::file::bits::{MOST_BYTES, number_at, span_of};
use crate::file::layout::FINGERPRINTS;
use crate::file::reader::IndexFile;
use crate::key::{Fingerprint, Key};

/// Tags per read: those of most buckets.
const TAGS_AT_ONCE: u64 = 64;
/// The first tag may begin in the middle of a byte.
const TAG_BYTES_AT_ONCE: usize = (TAGS_AT_ONCE as usize * TAG_BITS as usize).div_ceil(8) + 1;

impl IndexFile {
    /// Returns the offsets of the events that may have an id, in order.
    ///
    /// In a file of an earlier version, they have it.
    pub(crate) fn find_id(self: &Arc<Self>, key: &Key) -> Result<Vec<u32>, IndexError> {
        let mut found = Vec::new();
        if self.header.lists_ids()
            && let Some(list) = self.list(key)?
        {
            let mut chunk = Vec::with_capacity(PIECE);
            for number in 0..list.chunks() {
                list.chunk(number, &mut chunk)?;
                found.extend_from_slice(&chunk);
            }
        }
        if self.version() == FINGERPRINTS {
            self.find_fingerprint(Fingerprint::of(key), &mut found)?;
            found.sort_unstable();
        } else if found.is_empty() {
            // A key that is a list and a single counts as a list.
            found.extend(self.find_single(key)?);
        }
        Ok(found)
    }

    /// Appends the offsets of the ids with a fingerprint.
    fn find_fingerprint(&self, id: Fingerprint, to: &mut Vec<u32>) -> Result<(), IndexError> {
        let directory = &self.header.id_directory;
        // Opening checked that there is a shape.
        let Some(shape) = IdShape::of_sections(&self.head(), directory) else { return Ok(()) };
        let parts = shape.split(id);
        let [low, high] = self.bucket(directory, id.high(), self.header.ids.get())?;
        for first in (low..high).step_by(TAGS_AT_ONCE as usize) {
            let (equal, goes_on) = self.equal_tags([first, high], parts.tag)?;
            for index in equal {
                let (end, offset) = shape.split_rest(self.read_rest(index, shape.rest_bits())?);
                if end == parts.end {
                    to.push(self.checked_wide(offset)?);
                }
            }
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Returns which of the next tags equal a tag, and whether those behind them may.
    fn equal_tags(
        &self,
        [first, end]: [u64; 2],
        wanted: u64,
    ) -> Result<(impl Iterator<Item = u64>, bool), IndexError> {
        let last = end.min(first + TAGS_AT_ONCE) - 1;
        let (start, _) = span_of(first, TAG_BITS);
        let (last_start, last_length) = span_of(last, TAG_BITS);
        let mut bytes = [0; TAG_BYTES_AT_ONCE];
        let span = bytes.get_mut(..(last_start - start) as usize + last_length).unwrap_or_default();
        self.read(self.header.id_tags.at.get() + start, span)?;
        let tag_at = move |index| {
            let (at, length) = span_of(index, TAG_BITS);
            let at = (at - start) as usize;
            number_at(bytes.get(at..at + length).unwrap_or_default(), index, TAG_BITS)
        };
        // Tags of a bucket do not decrease.
        let equal = (first..=last).skip_while(move |index| tag_at(*index) < wanted);
        let equal = equal.take_while(move |index| tag_at(*index) == wanted);
        Ok((equal, tag_at(last) <= wanted))
    }

    fn read_rest(&self, index: u64, width: u32) -> Result<u64, IndexError> {
        let (start, length) = span_of(index, width);
        let mut bytes = [0; MOST_BYTES];
        let span = bytes.get_mut(..length).unwrap_or_default();
        self.read(self.header.id_rests.at.get() + start, span)?;
        Ok(number_at(span, index, width))
    }
}
