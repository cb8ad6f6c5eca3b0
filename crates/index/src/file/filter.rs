//! The filter rejects most absent keys after reading one block.

use crate::key::Key;

/// Bytes of a piece; a filter is a row of pieces, and all bits of a key are in one piece.
pub(super) const PIECE: usize = 64;
/// About 10.7 bits per key give one false positive in a hundred absent keys.
const KEYS_PER_PIECE: u64 = 48;
const BITS_PER_KEY: u32 = 6;
/// The number of times that a filter can be halved if it was created before its keys were counted.
const HALVINGS: u32 = 3;

/// Returns the piece of a key, and its bits in that piece.
pub(super) fn bits(key: &Key, pieces: u64) -> (u64, impl Iterator<Item = usize>) {
    let piece = ((u128::from(key.high()) * u128::from(pieces)) >> 64) as u64;
    let low = key.low();
    (piece, (0..BITS_PER_KEY).map(move |i| (low >> (i * 9)) as usize & 511))
}

/// Returns whether a bit of a piece is set.
pub(super) fn has(piece: &[u8; PIECE], bit: usize) -> bool {
    piece.get(bit / 8).is_some_and(|byte| byte & 1 << (bit % 8) != 0)
}

/// A filter under construction.
pub(super) struct Filter {
    bytes: Vec<u8>,
}

impl Filter {
    /// Creates a filter for exactly `keys` keys.
    pub(super) fn for_keys(keys: u64) -> Self {
        Filter { bytes: vec![0; (pieces_for(keys) * PIECE as u64) as usize] }
    }

    /// Creates a filter for at most `keys` keys; [`Filter::finish`] takes the final number.
    pub(super) fn for_at_most(keys: u64) -> Self {
        let pieces = pieces_for(keys).next_multiple_of(1 << HALVINGS);
        Filter { bytes: vec![0; (pieces * PIECE as u64) as usize] }
    }

    fn pieces(&self) -> u64 {
        (self.bytes.len() / PIECE) as u64
    }

    pub(super) fn add(&mut self, key: &Key) {
        let (piece, bits) = bits(key, self.pieces());
        let start = piece as usize * PIECE;
        for bit in bits {
            if let Some(byte) = self.bytes.get_mut(start + bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }

    /// Returns the bytes of the filter, halved while it is at least twice too wide.
    ///
    /// A key's piece is `high * pieces >> 64`. With half the pieces its number is halved, so each
    /// piece is united with its neighbour.
    pub(super) fn finish(mut self, keys: u64) -> Vec<u8> {
        let needed = pieces_for(keys);
        while self.pieces().is_multiple_of(2) && self.pieces() / 2 >= needed {
            let pairs = self.bytes.chunks_exact(2 * PIECE).flat_map(|pair| {
                let (one, other) = pair.split_at(PIECE);
                one.iter().zip(other).map(|(a, b)| a | b)
            });
            self.bytes = pairs.collect();
        }
        self.bytes
    }
}

fn pieces_for(keys: u64) -> u64 {
    keys.div_ceil(KEYS_PER_PIECE).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyHasher, Kind};

    #[test]
    fn a_halved_filter_equals_a_filter_of_the_final_size() {
        let hasher = KeyHasher::new(&[3; 16]);
        let keys = (0..4 * 48u32).map(|n| hasher.key(Kind(1), &[&n.to_le_bytes()]));
        let mut wide = Filter::for_at_most(32 * 48);
        let mut narrow = Filter::for_keys(4 * 48);
        for key in keys {
            wide.add(&key);
            narrow.add(&key);
        }
        assert_eq!(wide.finish(4 * 48), narrow.finish(4 * 48));
    }
}
