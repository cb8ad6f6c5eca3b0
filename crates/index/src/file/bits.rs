//! Numbers of a fixed width in bits, one after the other, each with its lowest bit first.

/// The most bits of a number.
pub(super) const MOST: u32 = 64;
/// The most bytes that a number touches.
pub(super) const MOST_BYTES: usize = 9;

/// Collects numbers as bytes.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// The bits that do not fill a byte yet.
    rest: u128,
    count: u32,
}

impl BitWriter {
    /// Creates a writer with room for this many bytes.
    pub(super) fn with_capacity(bytes: u64) -> Self {
        BitWriter { bytes: Vec::with_capacity(bytes as usize), ..BitWriter::default() }
    }

    /// Appends the lowest `width` bits of a number, which has no others.
    pub(super) fn push(&mut self, number: u64, width: u32) {
        self.rest |= u128::from(number) << self.count;
        self.count += width;
        if self.count >= MOST {
            self.bytes.extend_from_slice(&(self.rest as u64).to_le_bytes());
            self.rest >>= MOST;
            self.count -= MOST;
        }
    }

    /// Returns the complete bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Drops the complete bytes after the caller wrote them.
    pub(super) fn clear_written(&mut self) {
        self.bytes.clear();
    }

    /// Completes the last byte with zeros.
    pub(super) fn finish(&mut self) {
        let bytes = self.rest.to_le_bytes();
        let used = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(bytes.get(..used).unwrap_or_default());
        (self.rest, self.count) = (0, 0);
    }

    /// Completes the last byte and returns all bytes.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.finish();
        self.bytes
    }
}

/// Returns the bytes of `count` numbers.
pub(super) fn bytes_of(count: u64, width: u32) -> u64 {
    // No file has 2^32 numbers.
    count.saturating_mul(width.into()).div_ceil(8)
}

/// Returns the first byte of the number at an index, and how many bytes it touches.
pub(super) fn span_of(index: u64, width: u32) -> (u64, usize) {
    let (start, end) = (index * u64::from(width), (index + 1) * u64::from(width));
    (start / 8, (end.div_ceil(8) - start / 8) as usize)
}

/// Returns the number at an index from the bytes of its span.
pub(super) fn number_at(span: &[u8], index: u64, width: u32) -> u64 {
    let shift = index * u64::from(width) % 8;
    let word = span.iter().rev().fold(0u128, |word, byte| word << 8 | u128::from(*byte));
    (word >> shift) as u64 & low_bits(width)
}

/// Returns a number whose lowest `width` bits are set.
pub(super) fn low_bits(width: u32) -> u64 {
    1u64.checked_shl(width).map_or(u64::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive_a_round_trip(
            numbers in prop::collection::vec(any::<u64>(), 0..200),
            width in 0..=MOST,
            every in 1usize..20,
        ) {
            let (mut writer, mut bytes) = (BitWriter::default(), Vec::new());
            for (i, number) in numbers.iter().enumerate() {
                writer.push(number & low_bits(width), width);
                if i % every == 0 {
                    bytes.extend_from_slice(writer.bytes());
                    writer.clear_written();
                }
            }
            writer.finish();
            bytes.extend_from_slice(writer.bytes());
            prop_assert_eq!(bytes.len() as u64, bytes_of(numbers.len() as u64, width));
            for (i, number) in (0..).zip(&numbers) {
                let (start, length) = span_of(i, width);
                prop_assert!(length <= MOST_BYTES);
                let span = &bytes[start as usize..start as usize + length];
                prop_assert_eq!(number_at(span, i, width), number & low_bits(width));
            }
        }
    }
}
