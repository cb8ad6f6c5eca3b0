//! Encodes the bits of a piece: some numbers of a range, in order.
//!
//! Of three shapes the smallest is used. The count of numbers and the width of the range determine
//! the shape, so it is not stored.
//!
//! - All numbers of the range, or none: no bits.
//! - Many numbers: one bit for each number of the range.
//! - Few numbers (Elias-Fano): the high part of each number in unary, then the low parts. This
//!   takes about 2 + log2(width / count) bits per number, wherever the numbers lie: half a bit more
//!   than the entropy of random numbers. An outlier does not make the others longer.

/// The most postings of a piece.
pub(crate) const MOST: usize = 256;

/// The most bytes of a piece's bits: 255 numbers out of 2^32.
pub(super) const MOST_BYTES: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// No number, or all numbers of the range.
    Plain,
    Bitmap,
    /// `high` bits for all high parts, then `low` bits for each low part.
    Split {
        low: u32,
        high: u64,
    },
}

impl Shape {
    fn of(count: u32, width: u32) -> (Shape, u64) {
        if count == 0 || count >= width {
            return (Shape::Plain, 0);
        }
        let low = (width / count).ilog2();
        let high = u64::from(count) + u64::from((width - 1) >> low);
        let split = (high + u64::from(count) * u64::from(low)).div_ceil(8);
        let bitmap = u64::from(width).div_ceil(8);
        if bitmap <= split { (Shape::Bitmap, bitmap) } else { (Shape::Split { low, high }, split) }
    }
}

/// Returns the bytes of `count` numbers less than `width`.
pub(super) fn bytes_of(count: u32, width: u32) -> u64 {
    Shape::of(count, width).1
}

/// Encodes growing numbers less than `width` and appends the bits.
pub(super) fn encode(numbers: impl ExactSizeIterator<Item = u32>, width: u32, to: &mut Vec<u8>) {
    let (shape, bytes) = Shape::of(numbers.len() as u32, width);
    let start = to.len();
    to.resize(start + bytes as usize, 0);
    let bits = to.get_mut(start..).unwrap_or_default();
    match shape {
        Shape::Plain => {}
        Shape::Bitmap => numbers.for_each(|number| set(bits, number.into(), 1, 1)),
        Shape::Split { low, high } => {
            for (i, number) in (0..).zip(numbers) {
                set(bits, u64::from(number >> low) + i, 1, 1);
                let part = u64::from(number) & ((1 << low) - 1);
                set(bits, high + i * u64::from(low), part, low);
            }
        }
    }
}

/// Decodes the numbers, adds `base` to each and appends them.
///
/// Returns false and appends nothing if the bits are not `count` growing numbers less than `width`.
pub(super) fn decode(bits: &[u8], count: u32, width: u32, base: u32, to: &mut Vec<u32>) -> bool {
    if base.checked_add(width).is_none() || count > width {
        return false;
    }
    let start = to.len();
    let whole = match Shape::of(count, width).0 {
        Shape::Plain => {
            to.extend(base..base + count);
            true
        }
        Shape::Bitmap => {
            to.extend(ones(bits, width.into()).take(count as usize).map(|at| base + at as u32));
            ones(bits, width.into()).count() == count as usize
        }
        Shape::Split { low, high } => decode_split(bits, count, [width, base], low, high, to),
    };
    if !whole {
        to.truncate(start);
    }
    whole
}

fn decode_split(
    bits: &[u8],
    count: u32,
    [width, base]: [u32; 2],
    low: u32,
    high: u64,
    to: &mut Vec<u32>,
) -> bool {
    let (mut i, mut least) = (0, 0);
    for at in ones(bits, high) {
        let part = word(bits, high + i * u64::from(low)) & ((1 << low) - 1);
        let number = at.saturating_sub(i) << low | part;
        if i == u64::from(count) || number < least || number >= u64::from(width) {
            return false;
        }
        to.push(base + number as u32);
        (i, least) = (i + 1, number + 1);
    }
    i == u64::from(count)
}

/// Iterates over the indexes of the set bits among the first `limit` bits.
fn ones(bits: &[u8], limit: u64) -> impl Iterator<Item = u64> {
    let words = (0..limit).step_by(64).map(move |at| {
        let word = load(bits, (at / 8) as usize);
        let rest = limit - at;
        (at, if rest < 64 { word & ((1 << rest) - 1) } else { word })
    });
    words.flat_map(|(at, mut word)| {
        std::iter::from_fn(move || {
            let next = (word != 0).then(|| u64::from(word.trailing_zeros()))?;
            word &= word - 1;
            Some(at + next)
        })
    })
}

/// Returns at least 57 bits from bit `at` on; bits behind the end are zero.
fn word(bits: &[u8], at: u64) -> u64 {
    load(bits, (at / 8) as usize) >> (at % 8)
}

fn load(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(whole) = rest.first_chunk::<8>() {
        return u64::from_le_bytes(*whole);
    }
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Sets up to 32 bits that were zero.
fn set(bits: &mut [u8], at: u64, value: u64, count: u32) {
    let shift = (at % 8) as u32;
    let bytes = (value << shift).to_le_bytes();
    let touched = (shift + count).div_ceil(8) as usize;
    let target = bits.get_mut((at / 8) as usize..).unwrap_or_default();
    target.iter_mut().zip(&bytes).take(touched).for_each(|(to, from)| *to |= from);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = (BTreeSet<u32>, u32)> {
        let width = prop_oneof![1u32..2000, 1u32..=u32::MAX];
        width.prop_flat_map(|width| (prop::collection::btree_set(0..width, 0..MOST), Just(width)))
    }

    proptest! {
        #[test]
        fn numbers_survive_a_round_trip((numbers, width) in numbers(), base in any::<u32>()) {
            let count = numbers.len() as u32;
            let base = base.min(u32::MAX - width);
            let mut bits = Vec::new();
            encode(numbers.iter().copied().collect::<Vec<_>>().into_iter(), width, &mut bits);
            prop_assert_eq!(bits.len() as u64, bytes_of(count, width));
            prop_assert!(bits.len() <= MOST_BYTES);
            let mut found = Vec::new();
            prop_assert!(decode(&bits, count, width, base, &mut found));
            prop_assert_eq!(found, numbers.iter().map(|n| base + n).collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_bits_decode_to_growing_numbers_or_fail(
            bits in prop::collection::vec(any::<u8>(), 0..300),
            count in 0u32..256,
            width in prop_oneof![0u32..2000, any::<u32>()],
            base in any::<u32>(),
        ) {
            let mut found = Vec::new();
            if decode(&bits, count, width, base, &mut found) {
                prop_assert_eq!(found.len(), count as usize);
                prop_assert!(found.is_sorted_by(|a, b| a < b));
                prop_assert!(found.iter().all(|n| (base..base + width).contains(n)));
            } else {
                prop_assert!(found.is_empty());
            }
        }
    }

    #[test]
    fn dense_pieces_take_at_most_one_bit_per_number_of_the_range() {
        assert_eq!(bytes_of(255, 255), 0);
        assert_eq!(bytes_of(200, 255), 32);
        assert_eq!(bytes_of(255, 255 * 1000), (255u64 * 9 + 255 + 255 * 1000 / 512).div_ceil(8));
    }
}
