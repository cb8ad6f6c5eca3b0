use std::sync::Arc;

use super::shape::{IdShape, TAG_BITS};
use crate::error::IndexError;
use crate::file::PIECE;
use crate::file::bits::{MOST_BYTES, low_bits, number_at, span_of};
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
        let [mut next, high] = self.bucket(directory, id.high(), self.header.ids.get())?;
        let mut tags = Tags::default();
        while next < high {
            let end = high.min(next + TAGS_AT_ONCE);
            tags.read(self, [next, end])?;
            for index in tags.first_from(parts.tag)..end {
                if tags.get(index) != parts.tag {
                    return Ok(());
                }
                let (end, offset) = shape.split_rest(self.read_rest(index, shape.rest_bits())?);
                if end == parts.end {
                    to.push(self.checked_wide(offset)?);
                }
            }
            next = end;
        }
        Ok(())
    }

    fn read_rest(&self, index: u64, width: u32) -> Result<u64, IndexError> {
        let (start, length) = span_of(index, width);
        let mut bytes = [0; MOST_BYTES];
        let span = bytes.get_mut(..length).unwrap_or_default();
        self.read(self.header.id_rests.at.get() + start, span)?;
        Ok(number_at(span, index, width))
    }
}

/// Some tags of a bucket, which do not decrease.
struct Tags {
    bytes: [u8; TAG_BYTES_AT_ONCE],
    /// The indexes of the first tag and of the end.
    range: [u64; 2],
}

impl Default for Tags {
    fn default() -> Self {
        Tags { bytes: [0; TAG_BYTES_AT_ONCE], range: [0; 2] }
    }
}

impl Tags {
    /// Reads at most [`TAGS_AT_ONCE`] tags.
    fn read(&mut self, file: &IndexFile, range: [u64; 2]) -> Result<(), IndexError> {
        let [start, end] = [byte_of(range[0]), byte_of(range[1] - 1) + 2];
        let bytes = self.bytes.get_mut(..(end - start) as usize).unwrap_or_default();
        self.range = range;
        file.read(file.header.id_tags.at.get() + start, bytes)
    }

    /// Returns the index of the first tag that is not less than another one, or the end.
    fn first_from(&self, tag: u64) -> u64 {
        let [mut low, mut high] = self.range;
        while low < high {
            let middle = low + (high - low) / 2;
            (low, high) = if self.get(middle) < tag { (middle + 1, high) } else { (low, middle) };
        }
        low
    }

    fn get(&self, index: u64) -> u64 {
        let at = (byte_of(index) - byte_of(self.range[0])) as usize;
        let pair = self.bytes.get(at..).and_then(|rest| rest.first_chunk()).copied();
        let word = u64::from(u16::from_le_bytes(pair.unwrap_or_default()));
        word >> (index * u64::from(TAG_BITS) % 8) & low_bits(TAG_BITS)
    }
}

/// Returns the first of the two bytes of a tag.
fn byte_of(index: u64) -> u64 {
    index * u64::from(TAG_BITS) / 8
}
