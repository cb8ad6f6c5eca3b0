use crate::file::bits::{bytes_of, low_bits};
use crate::file::directory::{buckets_for, buckets_in};
use crate::file::layout::{FileHead, Section};
use crate::key::Fingerprint;

/// The bits of a tag. With up to 32 ids in a bucket, one of 128 absent ids meets an equal tag.
pub(super) const TAG_BITS: u32 = 12;

/// How the ids of a file are divided into buckets, tags and rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::file) struct IdShape {
    /// The bits of a fingerprint that its bucket implies.
    bucket_bits: u32,
    /// The bits of an offset.
    offset_bits: u32,
}

/// A fingerprint, divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) bucket: u64,
    pub(super) tag: u64,
    /// The last bits of the fingerprint, without the offset.
    pub(super) end: u64,
}

impl IdShape {
    /// Returns the shape of a file with `ids` ids, less than 2^32.
    pub(super) fn for_ids(head: &FileHead, ids: u64) -> Self {
        IdShape { bucket_bits: buckets_for(ids).trailing_zeros(), offset_bits: offset_bits(head) }
    }

    /// Returns the shape of a file with this directory, unless it has too many buckets.
    pub(in crate::file) fn of_sections(head: &FileHead, directory: &Section) -> Option<Self> {
        let bucket_bits = buckets_in(directory).trailing_zeros();
        let fits = bucket_bits <= Fingerprint::BITS - TAG_BITS;
        fits.then(|| IdShape { bucket_bits, offset_bits: offset_bits(head) })
    }

    /// Returns the bytes of the tags and of the rests.
    pub(in crate::file) fn section_lengths(&self, ids: u64) -> [u64; 2] {
        [bytes_of(ids, TAG_BITS), bytes_of(ids, self.rest_bits())]
    }

    fn end_bits(&self) -> u32 {
        Fingerprint::BITS - TAG_BITS - self.bucket_bits
    }

    /// Returns the bits of a rest: at most 60.
    pub(super) fn rest_bits(&self) -> u32 {
        self.end_bits() + self.offset_bits
    }

    pub(super) fn split(&self, id: Fingerprint) -> Parts {
        let bits = id.bits();
        Parts {
            bucket: bits >> (TAG_BITS + self.end_bits()),
            tag: bits >> self.end_bits() & low_bits(TAG_BITS),
            end: bits & low_bits(self.end_bits()),
        }
    }

    pub(super) fn join(&self, parts: Parts) -> Fingerprint {
        let Parts { bucket, tag, end } = parts;
        Fingerprint((bucket << TAG_BITS | tag) << self.end_bits() | end)
    }

    pub(super) fn rest(&self, end: u64, offset: u32) -> u64 {
        end << self.offset_bits | u64::from(offset)
    }

    /// Returns the end of the fingerprint, and the offset.
    pub(super) fn split_rest(&self, rest: u64) -> (u64, u64) {
        (rest >> self.offset_bits, rest & low_bits(self.offset_bits))
    }
}

/// Returns the bits of the greatest offset: at most 32, as a posting has.
fn offset_bits(head: &FileHead) -> u32 {
    let greatest = head.positions().saturating_sub(1).min(u32::MAX.into());
    u64::BITS - greatest.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_divided_without_loss() {
        for (ids, positions) in [(0, 0), (1, 1), (100, 2), (1 << 20, 1 << 20), (1 << 31, 1 << 32)] {
            let head = FileHead { store_id: [1; 16], id: 1, first: 1, last: positions };
            let shape = IdShape::for_ids(&head, ids);
            assert!(shape.rest_bits() <= 60);
            for bits in [0, 1, (1 << 40) - 1, 0x5a_1234_5678] {
                let parts = shape.split(Fingerprint(bits));
                assert_eq!(shape.join(parts), Fingerprint(bits));
                let offset = positions.saturating_sub(1) as u32;
                let rest = shape.rest(parts.end, offset);
                assert_eq!(shape.split_rest(rest), (parts.end, offset.into()));
            }
        }
    }
}
